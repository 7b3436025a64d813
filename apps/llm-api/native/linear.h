// Products with packed weights. Panels of 32 outputs: [panel][in / PER_WORD][32][PER_WORD], so that one step along `in`
// reads neighbouring memory and gives every lane an output of its own.
//
// An output is summed in one order, whatever the number of rows: a row's result does not depend on its neighbours.
#pragma once
#include "llm_step.h"
#include "simd.h"

namespace {

constexpr int PANEL = 32;
constexpr int VECTORS = PANEL / LANES;
constexpr int PANELS_AT_ONCE = 2;  // a gate and its up
constexpr int WIDTH = PANEL * PANELS_AT_ONCE;
// As many totals as the registers hold: 6 rows x 2 panels x 2 vectors with 32 of AVX-512's, 3 x 1 x 4 with 16 of AVX2's.
constexpr int PANELS_PER_TILE = LANES == 16 ? 2 : 1;
constexpr int ROWS_AT_ONCE = LANES == 16 ? 6 : LANES == 8 ? 3 : 1;

inline int64_t num_panels(const llm_linear &linear) { return (linear.out + PANEL - 1) / PANEL; }

template <class T>
int64_t packed_size(int64_t out, int64_t in) {
  return rounded_up(out, PANEL) * in * (int64_t)sizeof(typename T::Scalar);
}

template <class T>
void pack(const typename T::Scalar *weight, int64_t out, int64_t in, typename T::Scalar *packed) {
  memset(packed, 0, (size_t)packed_size<T>(out, in));
  for (int64_t n = 0; n < out; n++) {
    typename T::Scalar *panel = packed + n / PANEL * PANEL * in;
    for (int64_t k = 0; k < in; k++)
      panel[(k / T::PER_WORD * PANEL + n % PANEL) * T::PER_WORD + k % T::PER_WORD] = weight[n * in + k];
  }
}

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

// R rows of x against P neighbouring panels, to `result` [R][WIDTH].
template <class T, int R, int P>
void tile(const typename T::Scalar *x, int64_t stride, const typename T::Scalar *weight, int64_t in, float *result, Ahead &ahead) {
  F totals[R][P * VECTORS] = {};
  const int64_t panel = PANEL * in;
  for (int64_t k = 0; k < in; k += T::PER_WORD) {
    ahead.step();
    typename T::Vector words[P * VECTORS];
    for (int p = 0; p < P; p++)
      for (int v = 0; v < VECTORS; v++)
        words[p * VECTORS + v] = load<typename T::Vector>(weight + p * panel + k * PANEL + v * LANES * T::PER_WORD);
    for (int r = 0; r < R; r++) {
      const typename T::Vector from = typename T::Vector{} + load<typename T::Word>(x + r * stride + k);
      for (int v = 0; v < P * VECTORS; v++) totals[r][v] = T::dot(totals[r][v], words[v], from);
    }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < P * VECTORS; v++) store(result + r * WIDTH + v * LANES, totals[r][v]);
}

template <class T, int P, int R = ROWS_AT_ONCE>
void tile_of(
    int64_t rows, const typename T::Scalar *x, int64_t stride, const typename T::Scalar *weight, int64_t in, float *result, Ahead &ahead
) {
  if (rows == R) return tile<T, R, P>(x, stride, weight, in, result, ahead);
  if constexpr (R > 1) tile_of<T, P, R - 1>(rows, x, stride, weight, in, result, ahead);
}

// The panels from `first` to `last`: hands each row's finished panel to `take(row, panel, float[PANEL])`.
// `after` is what this thread will read next, of the same size or more, or NULL.
template <class T, class Take>
void product(
    const llm_linear &linear, const typename T::Scalar *x, int64_t stride, int64_t rows, int64_t first, int64_t last, const void *after, Take take
) {
  const auto *weight = (const typename T::Scalar *)linear.weight;
  const int64_t tiles = (rows + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE, steps = tiles * (linear.in / T::PER_WORD) * (PANELS_AT_ONCE / PANELS_PER_TILE);
  float result[ROWS_AT_ONCE][WIDTH];
  for (int64_t panel = first; panel < last; panel += PANELS_AT_ONCE) {
    const int64_t panels = least(PANELS_AT_ONCE, last - panel), next = panel + PANELS_AT_ONCE;
    const auto *at = weight + panel * PANEL * linear.in;
    const int64_t size = PANEL * linear.in * (int64_t)sizeof *at;
    Ahead ahead = next < last ? Ahead(weight + next * PANEL * linear.in, least(PANELS_AT_ONCE, last - next) * size, steps)
                              : Ahead(after, PANELS_AT_ONCE * size, steps);
    for (int64_t row = 0; row < rows; row += ROWS_AT_ONCE) {
      const int64_t count = least(ROWS_AT_ONCE, rows - row);
      if (panels == PANELS_PER_TILE)
        tile_of<T, PANELS_PER_TILE>(count, x + row * stride, stride, at, linear.in, result[0], ahead);
      else
        for (int64_t p = 0; p < panels; p++)
          tile_of<T, 1>(count, x + row * stride, stride, at + p * PANEL * linear.in, linear.in, result[0] + p * PANEL, ahead);
      for (int64_t r = 0; r < count; r++)
        for (int64_t p = 0; p < panels; p++) {
          float *out = result[r] + p * PANEL;
          if (linear.bias)
            for (int i = 0; i < PANEL; i++) out[i] += linear.bias[(panel + p) * PANEL + i];
          take(row + r, panel + p, out);
        }
    }
  }
}

}  // namespace
