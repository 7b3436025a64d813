// Weights as they are, in the model's dtype: [panel][in / PER_WORD][32][PER_WORD], so that one step along `in` reads
// neighbouring memory and gives every lane an output of its own.
//
// An output is summed in one order, whatever the number of rows: a row's result does not depend on its neighbours.
#pragma once
#include "panel.h"

namespace {

// 6 rows x 2 panels x 2 vectors with 32 of AVX-512's registers, 3 x 1 x 4 with 16 of AVX2's.
constexpr int PANELS_PER_TILE = LANES == 16 ? 2 : 1;

template <class T>
int64_t packed_size(int64_t out, int64_t in) {
  return panels_for(out) * PANEL * in * (int64_t)sizeof(typename T::Scalar);
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

// A kernel of product.h.
template <class T>
struct Whole {
  typedef typename T::Scalar Input;

  static int64_t panel_bytes(int64_t in) { return PANEL * in * (int64_t)sizeof(Input); }
  static int64_t steps(int64_t in) { return in / T::PER_WORD * (PANELS_AT_ONCE / PANELS_PER_TILE); }

  static void panels(int64_t count, const Input *x, int64_t stride, int64_t rows, const void *weight, int64_t in, float *result, Ahead &ahead) {
    const auto *at = (const Input *)weight;
    if (count == PANELS_PER_TILE) return tile_of<T, PANELS_PER_TILE>(rows, x, stride, at, in, result, ahead);
    for (int64_t p = 0; p < count; p++) tile_of<T, 1>(rows, x, stride, at + p * PANEL * in, in, result + p * PANEL, ahead);
  }
};

}  // namespace
