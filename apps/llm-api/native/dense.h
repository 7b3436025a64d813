// Unquantized weights in the model's dtype: [panel][in / PER_WORD][32][PER_WORD]. A step along `in` reads contiguous memory, and
// each lane computes a different output.
//
// An output is accumulated in the same order for any number of rows: the result of a row does not depend on other rows.
#pragma once
#include "panel.h"

namespace {

// Accumulators: 6 rows x 2 panels x 2 vectors in the 32 registers of AVX-512, 3 x 1 x 4 in the 16 of AVX2.
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

// R rows of x times P adjacent panels, to `result` [R][WIDTH].
template <class T, int R, int P>
void dense_tile(
    const typename T::Scalar *x, int64_t stride, const typename T::Scalar *weight, int64_t in, float *result, Prefetcher &prefetcher
) {
  F acc[R][P * VECTORS] = {};
  const int64_t panel = PANEL * in;
  for (int64_t k = 0; k < in; k += T::PER_WORD) {
    prefetcher.step();
    typename T::Vector words[P * VECTORS];
    for (int p = 0; p < P; p++)
      for (int v = 0; v < VECTORS; v++)
        words[p * VECTORS + v] = load<typename T::Vector>(weight + p * panel + k * PANEL + v * LANES * T::PER_WORD);
    for (int r = 0; r < R; r++) {
      const typename T::Vector from = typename T::Vector{} + load<typename T::Word>(x + r * stride + k);
      for (int v = 0; v < P * VECTORS; v++) acc[r][v] = T::dot(acc[r][v], words[v], from);
    }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < P * VECTORS; v++) store(result + r * WIDTH + v * LANES, acc[r][v]);
}

template <class T, int P, int R = ROWS_AT_ONCE>
void dense_tile_for(
    int64_t rows, const typename T::Scalar *x, int64_t stride, const typename T::Scalar *weight, int64_t in, float *result,
    Prefetcher &prefetcher
) {
  if (rows == R) return dense_tile<T, R, P>(x, stride, weight, in, result, prefetcher);
  if constexpr (R > 1) dense_tile_for<T, P, R - 1>(rows, x, stride, weight, in, result, prefetcher);
}

// A kernel for matmul.h.
template <class T>
struct DenseKernel {
  typedef typename T::Scalar Input;

  static int64_t panel_bytes(int64_t in) { return PANEL * in * (int64_t)sizeof(Input); }
  static int64_t steps(int64_t in) { return in / T::PER_WORD * (PANELS_AT_ONCE / PANELS_PER_TILE); }

  static void panels(
      int64_t count, const Input *x, int64_t stride, int64_t rows, const void *weight, int64_t in, float *result, Prefetcher &prefetcher
  ) {
    const auto *at = (const Input *)weight;
    if (count == PANELS_PER_TILE) return dense_tile_for<T, PANELS_PER_TILE>(rows, x, stride, at, in, result, prefetcher);
    for (int64_t p = 0; p < count; p++) dense_tile_for<T, 1>(rows, x, stride, at + p * PANEL * in, in, result + p * PANEL, prefetcher);
  }
};

}  // namespace
