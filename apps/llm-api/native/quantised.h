// Weights in 8 or 4 bits, in groups of 32 along `in`: weight = scale * code + minimum, with a scale and a minimum in float16
// for each group of each output. The input is rounded to 8 bits in the same groups, so that a group's product is one of
// integers, which is exact: only the sum over groups is in float32, in one order, whatever the number of rows.
//
// [panel][group]{words[32 outputs], scales[32], minima[32]}: a word has four codes of 8 bits, or eight of 4 bits, of which
// the lower halves of the bytes come first.
#pragma once
#include "panel.h"

namespace {

constexpr int GROUP = 32;

inline int64_t groups_for(int64_t in) { return (in + GROUP - 1) / GROUP; }

// A group of a row: x = scale * values, and sum is that of x.
struct Group {
  int8_t values[GROUP];
  float scale, sum;
};

template <int BITS>
struct Block {
  uint32_t words[GROUP * BITS / 32][PANEL];
  uint16_t scales[PANEL], minima[PANEL];
};

// Not a number where a value is not finite, so that the row's result tells.
inline void quantise(const float *x, Group &to) {
  F top = {}, trouble = {};
  for (int i = 0; i < GROUP; i += LANES) {
    const F v = load<F>(x + i);
    top = larger(magnitude(v), top);
    trouble += v * all(0.0f);
  }
  const float highest = largest(top);
  const F factor = all(highest > 0 ? 127.0f / highest : 0.0f), magic = all(12582912.0f);  // adding it rounds to an integer
  I total = {};
  for (int i = 0; i < GROUP; i += LANES) {
    const I rounded = (I)(load<F>(x + i) * factor + magic) - (I)magic;
    total += rounded;
    store(to.values + i, __builtin_convertvector(rounded, Bytes));
  }
  int32_t sum_of_values = 0;
  for (int i = 0; i < LANES; i++) sum_of_values += total[i];
  to.scale = highest / 127.0f + sum(trouble);
  to.sum = to.scale * (float)sum_of_values;
}

// `value(i)` is the row's i-th, in float32; what is missing of the last group is 0.
template <class Value>
void quantise_row(int64_t n, Group *to, Value value) {
  float x[GROUP];
  int64_t at = 0;
  for (; at + GROUP <= n; at += GROUP) {
    for (int i = 0; i < GROUP; i++) x[i] = value(at + i);
    quantise(x, *to++);
  }
  if (at == n) return;
  for (int i = 0; i < GROUP; i++) x[i] = at + i < n ? value(at + i) : 0.0f;
  quantise(x, *to);
}

template <int BITS>
int64_t packed_groups_size(int64_t out, int64_t in) {
  return panels_for(out) * groups_for(in) * (int64_t)sizeof(Block<BITS>);
}

// codes [out][in], a byte each; scales and minima [out][groups], float16.
template <int BITS>
void pack_groups(const uint8_t *codes, const uint16_t *scales, const uint16_t *minima, int64_t out, int64_t in, Block<BITS> *packed) {
  constexpr int CODES = 32 / BITS;  // in a word
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

// R rows of x against V vectors of each of P neighbouring panels, to `result` [R][WIDTH].
template <int BITS, int R, int P, int V>
[[gnu::noinline]] void groups_tile(const Group *x, int64_t stride, const Block<BITS> *blocks, int64_t groups, int lane, float *result, Ahead &ahead) {
  F totals[R][P * V] = {};
  for (int64_t g = 0; g < groups; g++) {
    ahead.step();
    I products[R][P * V] = {};
    for (int w = 0; w < BITS; w++) {
      U words[P * V];
      for (int v = 0; v < P * V; v++) words[v] = load<U>(blocks[v / V * groups + g].words[w] + lane + v % V * LANES);
      for (int half = 0; half < 8 / BITS; half++) {
        U codes[P * V];
        for (int v = 0; v < P * V; v++) codes[v] = BITS == 8 ? words[v] : words[v] >> (4 * half) & all(0x0f0f0f0fu);
        for (int r = 0; r < R; r++) {
          const U from = all(load<uint32_t>(x[r * stride + g].values + (w * (8 / BITS) + half) * 4));
          for (int v = 0; v < P * V; v++) products[r][v] = dot_bytes(products[r][v], codes[v], from);
        }
      }
    }
    for (int v = 0; v < P * V; v++) {
      const Block<BITS> &block = blocks[v / V * groups + g];
      const F scale = widen_half(block.scales + lane + v % V * LANES), minimum = widen_half(block.minima + lane + v % V * LANES);
      for (int r = 0; r < R; r++) {
        const Group &from = x[r * stride + g];
        totals[r][v] += __builtin_convertvector(products[r][v], F) * (scale * all(from.scale));
        totals[r][v] += minimum * all(from.sum);
      }
    }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < P * V; v++) store(result + r * WIDTH + v / V * PANEL + lane + v % V * LANES, totals[r][v]);
}

template <int BITS, int P, int V, int R>
void groups_tile_of(
    int64_t rows, const Group *x, int64_t stride, const Block<BITS> *blocks, int64_t groups, int lane, float *result, Ahead &ahead
) {
  if (rows == R) return groups_tile<BITS, R, P, V>(x, stride, blocks, groups, lane, result, ahead);
  if constexpr (R > 1) groups_tile_of<BITS, P, V, R - 1>(rows, x, stride, blocks, groups, lane, result, ahead);
}

// A kernel of product.h.
template <int BITS>
struct Grouped {
  typedef Group Input;
  static constexpr int V = LANES == 4 ? 1 : 2;                     // an integer and a float total each: half as many as Whole's
  static constexpr int FEW = LANES == 16 ? ROWS_AT_ONCE / 2 : 0;  // rows that leave registers for two panels

  static int64_t panel_bytes(int64_t in) { return groups_for(in) * (int64_t)sizeof(Block<BITS>); }
  static int64_t steps(int64_t in) { return groups_for(in) * PANELS_AT_ONCE * (VECTORS / V); }

  static void panels(int64_t count, const Group *x, int64_t stride, int64_t rows, const void *weight, int64_t in, float *result, Ahead &ahead) {
    const auto *blocks = (const Block<BITS> *)weight;
    const int64_t groups = groups_for(in);
    if constexpr (FEW > 0)
      if (count == 2 && rows <= FEW) return groups_tile_of<BITS, 2, V, FEW>(rows, x, stride, blocks, groups, 0, result, ahead);
    for (int64_t p = 0; p < count; p++)
      for (int lane = 0; lane < PANEL; lane += V * LANES)
        groups_tile_of<BITS, 1, V, ROWS_AT_ONCE>(rows, x, stride, blocks + p * groups, groups, lane, result + p * PANEL, ahead);
  }
};

}  // namespace
