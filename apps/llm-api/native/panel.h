// How packed weights lie in memory, whatever they are made of: panels of 32 outputs, each contiguous, one after the other.
#pragma once
#include "llm_step.h"
#include "simd.h"

namespace {

constexpr int PANEL = 32;
constexpr int VECTORS = PANEL / LANES;
constexpr int PANELS_AT_ONCE = 2;  // a gate and its up
constexpr int WIDTH = PANEL * PANELS_AT_ONCE;
// Rows that share what is loaded of the weights: as many as the registers hold totals for.
constexpr int ROWS_AT_ONCE = LANES == 16 ? 6 : LANES == 8 ? 3 : 1;

inline int64_t panels_for(int64_t out) { return (out + PANEL - 1) / PANEL; }
inline int64_t num_panels(const llm_linear &linear) { return panels_for(linear.out); }

// A thread's part of a product's weights, which it reads from front to end.
struct Share {
  const char *at;
  int64_t bytes;
};

constexpr Share NOTHING = {nullptr, 0};

// The panels from `first` to `last`, of `size` bytes each.
inline Share share_of(const llm_linear &linear, int64_t size, int64_t first, int64_t last) {
  return {(const char *)linear.weight + first * size, (last - first) * size};
}

// Brings weights into the cache a fixed distance ahead of those that are computed with, evenly: in bursts, lines that wait for memory
// would keep those that are in the cache already from being read.
class Ahead {
 public:
  // The `bytes` that lie DISTANCE after `from` in `own`, and where that ends in `next`, by `steps` calls of `step`.
  Ahead(Share own, Share next, int64_t from, int64_t bytes, int64_t steps) {
    const int64_t begin = least(from + DISTANCE, own.bytes), of_own = least(bytes, own.bytes - begin);
    const int64_t beyond = least(from + DISTANCE - begin, next.bytes), of_next = least(bytes - of_own, next.bytes - beyond);
    at = own.at + begin, end = at + of_own;
    then = next.at + beyond, last = then + of_next;
    rate = (of_own + of_next) / LINE * ONE / steps;
  }

  inline void step() {
    for (due += rate; due >= ONE; due -= ONE, at += LINE) {
      if (at >= end) at = then, end = last;
      __builtin_prefetch(at, 0, 2);
    }
  }

 private:
  static constexpr int64_t DISTANCE = 128 * 1024, LINE = 64, ONE = 1 << 16;
  const char *at, *end, *then, *last;
  int64_t rate, due = 0;  // lines a step, in parts of ONE
};

}  // namespace
