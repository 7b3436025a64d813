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

// What the next products will read, brought into the cache while this one computes.
class Ahead {
 public:
  Ahead() = default;
  // `bytes` from `from` on, in equal parts by `steps` calls of `step`.
  Ahead(const void *from, int64_t bytes, int64_t steps)
      : at((const char *)from), end(at + bytes), lines(from ? (bytes / LINE + steps - 1) / steps : 0) {}

  inline void step() {
    for (int64_t i = 0; i < lines && at < end; i++, at += LINE) __builtin_prefetch(at, 0, 2);
  }

 private:
  static constexpr int64_t LINE = 64;
  const char *at = nullptr, *end = nullptr;
  int64_t lines = 0;
};

}  // namespace
