// Weights in 8 or 4 bits, in groups of 32 along `in`: weight = scale * code + minimum, with a float16 scale and minimum per group
// and output. The input is quantized to 8 bits in the same groups, so that the dot product of a group is exact integer arithmetic.
// Only the sum over groups is float32, in the same order for any number of rows.
//
// Layout: [panel][group]{words[32 outputs], scales[32], minima[32]}. A word holds four 8-bit codes, or eight 4-bit codes with the
// low nibbles of its bytes first.
#pragma once
#include "panel.h"

namespace {

constexpr int GROUP = 32;

inline int64_t groups_for(int64_t in) { return (in + GROUP - 1) / GROUP; }

// A quantized group of an input row: x = scale * values; `sum` is the sum of x.
struct Group {
  int8_t values[GROUP];
  float scale, sum;
};

template <int BITS>
struct Block {
  uint32_t words[GROUP * BITS / 32][PANEL];
  uint16_t scales[PANEL], minima[PANEL];
};

// Quantizes 32 values. If one is not finite, the scale becomes NaN, and so does the result of the row.
inline void quantize(const float *x, Group &to) {
  F max_lanes = {}, not_finite = {};
  for (int i = 0; i < GROUP; i += LANES) {
    const F v = load<F>(x + i);
    max_lanes = max(abs(v), max_lanes);
    not_finite += v * splat(0.0f);
  }
  const float max_abs = reduce_max(max_lanes);
  const F factor = splat(max_abs > 0 ? 127.0f / max_abs : 0.0f), magic = splat(12582912.0f);  // adding it rounds to an integer
  I lane_sums = {};
  for (int i = 0; i < GROUP; i += LANES) {
    const I rounded = (I)(load<F>(x + i) * factor + magic) - (I)magic;
    lane_sums += rounded;
    store(to.values + i, __builtin_convertvector(rounded, Bytes));
  }
  int32_t sum_of_values = 0;
  for (int i = 0; i < LANES; i++) sum_of_values += lane_sums[i];
  to.scale = max_abs / 127.0f + reduce_sum(not_finite);
  to.sum = to.scale * (float)sum_of_values;
}

// `value(i)` returns the i-th value of the row in float32. The last group is padded with 0.
template <class Value>
void quantize_row(int64_t n, Group *to, Value value) {
  float x[GROUP];
  int64_t at = 0;
  for (; at + GROUP <= n; at += GROUP) {
    for (int i = 0; i < GROUP; i++) x[i] = value(at + i);
    quantize(x, *to++);
  }
  if (at == n) return;
  for (int i = 0; i < GROUP; i++) x[i] = at + i < n ? value(at + i) : 0.0f;
  quantize(x, *to);
}

template <int BITS>
int64_t packed_groups_size(int64_t out, int64_t in) {
  return panels_for(out) * groups_for(in) * (int64_t)sizeof(Block<BITS>);
}

// codes [out][in], a byte each; scales and minima [out][groups], float16.
template <int BITS>
void pack_groups(const uint8_t *codes, const uint16_t *scales, const uint16_t *minima, int64_t out, int64_t in, Block<BITS> *packed) {
  constexpr int CODES = 32 / BITS;  // per word
  const int64_t groups = groups_for(in);
  memset(packed, 0, (size_t)packed_groups_size<BITS>(out, in));
  for (int64_t n = 0; n < out; n++) {
    Block<BITS> *blocks = packed + n / PANEL * groups;
    for (int64_t g = 0; g < groups; g++) {
      blocks[g].scales[n % PANEL] = scales[n * groups + g];
      blocks[g].minima[n % PANEL] = minima[n * groups + g];
    }
    for (int64_t k = 0; k < in; k++) {
      const int64_t place = k % GROUP % CODES;
      blocks[k / GROUP].words[k % GROUP / CODES][n % PANEL] |= (uint32_t)codes[n * in + k] << (place % 4 * 8 + place / 4 * 4);
    }
  }
}

// R rows of x times V vectors of each of P adjacent panels, to `result` [R][WIDTH].
template <int BITS, int R, int P, int V>
[[gnu::noinline]] void quantized_tile(
    const Group *x, int64_t stride, const Block<BITS> *blocks, int64_t groups, int lane, float *result, Prefetcher &prefetcher
) {
  F acc[R][P * V] = {};
  for (int64_t g = 0; g < groups; g++) {
    prefetcher.step();
    I dots[R][P * V] = {};
    for (int w = 0; w < BITS; w++) {
      U words[P * V];
      for (int v = 0; v < P * V; v++) words[v] = load<U>(blocks[v / V * groups + g].words[w] + lane + v % V * LANES);
      for (int half = 0; half < 8 / BITS; half++) {
        U codes[P * V];
        for (int v = 0; v < P * V; v++) codes[v] = BITS == 8 ? words[v] : words[v] >> (4 * half) & splat(0x0f0f0f0fu);
        for (int r = 0; r < R; r++) {
          const U from = splat(load<uint32_t>(x[r * stride + g].values + (w * (8 / BITS) + half) * 4));
          for (int v = 0; v < P * V; v++) dots[r][v] = dot_bytes(dots[r][v], codes[v], from);
        }
      }
    }
    for (int v = 0; v < P * V; v++) {
      const Block<BITS> &block = blocks[v / V * groups + g];
      const F scale = load_half(block.scales + lane + v % V * LANES), minimum = load_half(block.minima + lane + v % V * LANES);
      for (int r = 0; r < R; r++) {
        const Group &from = x[r * stride + g];
        acc[r][v] += __builtin_convertvector(dots[r][v], F) * (scale * splat(from.scale));
        acc[r][v] += minimum * splat(from.sum);
      }
    }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < P * V; v++) store(result + r * WIDTH + v / V * PANEL + lane + v % V * LANES, acc[r][v]);
}

template <int BITS, int P, int V, int R>
void quantized_tile_for(
    int64_t rows, const Group *x, int64_t stride, const Block<BITS> *blocks, int64_t groups, int lane, float *result, Prefetcher &prefetcher
) {
  if (rows == R) return quantized_tile<BITS, R, P, V>(x, stride, blocks, groups, lane, result, prefetcher);
  if constexpr (R > 1) quantized_tile_for<BITS, P, V, R - 1>(rows, x, stride, blocks, groups, lane, result, prefetcher);
}

// A kernel for matmul.h.
template <int BITS>
struct QuantizedKernel {
  typedef Group Input;
  // Vectors per panel. Each needs an integer and a float accumulator, so half as many fit as in DenseKernel.
  static constexpr int V = LANES == 4 ? 1 : 2;
  static constexpr int FEW = LANES == 16 ? ROWS_AT_ONCE / 2 : 0;  // the most rows for which two panels fit in the registers

  static int64_t panel_bytes(int64_t in) { return groups_for(in) * (int64_t)sizeof(Block<BITS>); }
  static int64_t steps(int64_t in) { return groups_for(in) * PANELS_AT_ONCE * (VECTORS / V); }

  static void panels(
      int64_t count, const Group *x, int64_t stride, int64_t rows, const void *weight, int64_t in, float *result, Prefetcher &prefetcher
  ) {
    const auto *blocks = (const Block<BITS> *)weight;
    const int64_t groups = groups_for(in);
    if constexpr (FEW > 0)
      if (count == 2 && rows <= FEW) return quantized_tile_for<BITS, 2, V, FEW>(rows, x, stride, blocks, groups, 0, result, prefetcher);
    for (int64_t p = 0; p < count; p++)
      for (int lane = 0; lane < PANEL; lane += V * LANES)
        quantized_tile_for<BITS, 1, V, ROWS_AT_ONCE>(rows, x, stride, blocks + p * groups, groups, lane, result + p * PANEL, prefetcher);
  }
};

}  // namespace
