// The memory layout of packed weights of every format: contiguous panels of 32 outputs, one after the other.
#pragma once
#include "llm_step.h"
#include "simd.h"

namespace {

constexpr int PANEL = 32;
constexpr int VECTORS = PANEL / LANES;
constexpr int PANELS_AT_ONCE = 2;  // a gate panel and its up panel
constexpr int WIDTH = PANEL * PANELS_AT_ONCE;
// Rows that share the loaded weights: as many as the registers can hold accumulators for.
constexpr int ROWS_AT_ONCE = LANES == 16 ? 6 : LANES == 8 ? 3 : 1;

inline int64_t panels_for(int64_t out) { return (out + PANEL - 1) / PANEL; }
inline int64_t num_panels(const llm_linear &linear) { return panels_for(linear.out); }

// A thread's contiguous part of the weights of a matmul.
struct WeightRange {
  const char *at;
  int64_t bytes;
};

constexpr WeightRange NO_WEIGHTS = {nullptr, 0};

// The panels from `first` to `last`, of `size` bytes each.
inline WeightRange weight_range(const llm_linear &linear, int64_t size, int64_t first, int64_t last) {
  return {(const char *)linear.weight + first * size, (last - first) * size};
}

// Prefetches weights a fixed distance ahead of the computation, at an even rate: bursts would fill the load queue with cache lines
// that wait for memory and delay reads of lines that are already in the cache.
class Prefetcher {
 public:
  // Prefetches the `bytes` from DISTANCE after `from` in `own`, continuing in `next`, over `steps` calls of `step`.
  Prefetcher(WeightRange own, WeightRange next, int64_t from, int64_t bytes, int64_t steps) {
    const int64_t begin = min(from + DISTANCE, own.bytes), from_own = min(bytes, own.bytes - begin);
    const int64_t beyond = min(from + DISTANCE - begin, next.bytes), from_next = min(bytes - from_own, next.bytes - beyond);
    at = own.at + begin, end = at + from_own;
    next_at = next.at + beyond, next_end = next_at + from_next;
    rate = (from_own + from_next) / LINE * ONE / steps;
  }

  inline void step() {
    for (due += rate; due >= ONE; due -= ONE, at += LINE) {
      if (at >= end) at = next_at, end = next_end;
      __builtin_prefetch(at, 0, 2);
    }
  }

 private:
  static constexpr int64_t DISTANCE = 128 * 1024, LINE = 64, ONE = 1 << 16;
  const char *at, *end, *next_at, *next_end;
  int64_t rate, due = 0;  // cache lines per step, in fixed point: ONE is one line
};

}  // namespace
