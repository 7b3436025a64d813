// Products of rows with packed weights, of whichever format.
#pragma once
#include "linear.h"
#include "quantised.h"

namespace {

// The rows that a product takes: their values in the model's dtype, or, where the weights are quantised, their groups.
template <class T>
struct Rows {
  typename T::Scalar *values;
  Group *groups;
  int64_t stride;  // values of a row

  int64_t num_groups() const { return groups_for(stride); }
};

template <class T>
int64_t panel_bytes(const llm_linear &linear) {
  return linear.format == LLM_INT8   ? Grouped<8>::panel_bytes(linear.in)
         : linear.format == LLM_INT4 ? Grouped<4>::panel_bytes(linear.in)
                                     : Whole<T>::panel_bytes(linear.in);
}

template <class Kernel, class Take>
void product_by(
    const llm_linear &linear, const typename Kernel::Input *x, int64_t stride, int64_t rows, int64_t first, int64_t last, Share after, Take take
) {
  const int64_t size = Kernel::panel_bytes(linear.in), tiles = (rows + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE, steps = tiles * Kernel::steps(linear.in);
  const Share own = share_of(linear, size, first, last);
  float result[ROWS_AT_ONCE][WIDTH];
  for (int64_t panel = first; panel < last; panel += PANELS_AT_ONCE) {
    const int64_t panels = least(PANELS_AT_ONCE, last - panel), from = (panel - first) * size;
    const char *at = own.at + from;
    Ahead ahead(own, after, from, panels * size, steps);
    for (int64_t row = 0; row < rows; row += ROWS_AT_ONCE) {
      const int64_t count = least(ROWS_AT_ONCE, rows - row);
      Kernel::panels(panels, x + row * stride, stride, count, at, linear.in, result[0], ahead);
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

// The panels from `first` to `last`: hands each row's finished panel to `take(row, panel, float[PANEL])`.
// `after` is what this thread will read next.
template <class T, class Take>
void product(const llm_linear &linear, const Rows<T> &x, int64_t rows, int64_t first, int64_t last, Share after, Take take) {
  if (linear.format == LLM_INT8) return product_by<Grouped<8>>(linear, x.groups, x.num_groups(), rows, first, last, after, take);
  if (linear.format == LLM_INT4) return product_by<Grouped<4>>(linear, x.groups, x.num_groups(), rows, first, last, after, take);
  product_by<Whole<T>>(linear, x.values, x.stride, rows, first, last, after, take);
}

}  // namespace
