// y = x W^T + b with packed weights of any format.
#pragma once
#include "dense.h"
#include "quantized.h"

namespace {

// The input rows of a matmul: values in the model's dtype or, for quantized weights, quantized groups.
template <class T>
struct Rows {
  typename T::Scalar *values;
  Group *groups;
  int64_t stride;  // values per row

  int64_t num_groups() const { return groups_for(stride); }
};

template <class T>
int64_t panel_bytes(const llm_linear &linear) {
  return linear.format == LLM_INT8   ? QuantizedKernel<8>::panel_bytes(linear.in)
         : linear.format == LLM_INT4 ? QuantizedKernel<4>::panel_bytes(linear.in)
                                     : DenseKernel<T>::panel_bytes(linear.in);
}

template <class Kernel, class Sink>
void matmul_with(
    const llm_linear &linear, const typename Kernel::Input *x, int64_t stride, int64_t rows, int64_t first, int64_t last,
    WeightRange next, Sink sink
) {
  const int64_t size = Kernel::panel_bytes(linear.in);
  const int64_t tiles = (rows + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE, steps = tiles * Kernel::steps(linear.in);
  const WeightRange weights = weight_range(linear, size, first, last);
  float result[ROWS_AT_ONCE][WIDTH];
  for (int64_t panel = first; panel < last; panel += PANELS_AT_ONCE) {
    const int64_t panels = min(PANELS_AT_ONCE, last - panel), from = (panel - first) * size;
    const char *at = weights.at + from;
    Prefetcher prefetcher(weights, next, from, panels * size, steps);
    for (int64_t row = 0; row < rows; row += ROWS_AT_ONCE) {
      const int64_t count = min(ROWS_AT_ONCE, rows - row);
      Kernel::panels(panels, x + row * stride, stride, count, at, linear.in, result[0], prefetcher);
      for (int64_t r = 0; r < count; r++)
        for (int64_t p = 0; p < panels; p++) {
          float *out = result[r] + p * PANEL;
          if (linear.bias)
            for (int i = 0; i < PANEL; i++) out[i] += linear.bias[(panel + p) * PANEL + i];
          sink(row + r, panel + p, out);
        }
    }
  }
}

// Computes the panels from `first` to `last` and passes each row's panel to `sink(row, panel, float[PANEL])`.
// `next` are the weights that this thread reads next, to be prefetched.
template <class T, class Sink>
void matmul(const llm_linear &linear, const Rows<T> &x, int64_t rows, int64_t first, int64_t last, WeightRange next, Sink sink) {
  if (linear.format == LLM_INT8) return matmul_with<QuantizedKernel<8>>(linear, x.groups, x.num_groups(), rows, first, last, next, sink);
  if (linear.format == LLM_INT4) return matmul_with<QuantizedKernel<4>>(linear, x.groups, x.num_groups(), rows, first, last, next, sink);
  matmul_with<DenseKernel<T>>(linear, x.values, x.stride, rows, first, last, next, sink);
}

}  // namespace
