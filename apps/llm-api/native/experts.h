// A mixture of experts: which experts compute which rows. Each function works on one row, or on the whole batch in one thread.
#pragma once
#include <math.h>

#include "workspace.h"

namespace {

// The `top_k` best scores, best first, with the weights of the experts' outputs. Of equal scores the first one wins.
inline void choose_experts(const float *scores, int64_t experts, int64_t top_k, bool is_normalized, Choice *choices) {
  int64_t count = 0;
  for (int64_t e = 0; e < experts; e++) {
    if (count == top_k && !(scores[e] > choices[top_k - 1].weight)) continue;
    int64_t at = count < top_k ? count++ : top_k - 1;
    for (; at > 0 && scores[e] > choices[at - 1].weight; at--) choices[at] = choices[at - 1];
    choices[at] = {e, scores[e]};
  }
  const float best = choices[0].weight;
  float total = 0;
  if (is_normalized)
    for (int64_t i = 0; i < top_k; i++) total += expf(choices[i].weight - best);
  else
    for (int64_t e = 0; e < experts; e++) total += expf(scores[e] - best);
  for (int64_t i = 0; i < top_k; i++) choices[i].weight = expf(choices[i].weight - best) / total;
}

// Sorts the rows by expert.
template <class T>
void assign_rows(Workspace<T> &w, int64_t rows, int64_t experts, int64_t top_k) {
  memset(w.starts, 0, (size_t)(experts + 1) * sizeof *w.starts);
  for (int64_t i = 0; i < rows * top_k; i++) w.starts[w.choices[i].expert + 1]++;
  for (int64_t e = 0; e < experts; e++) w.starts[e + 1] += w.starts[e];
  for (int64_t i = 0; i < rows * top_k; i++) w.assignments[w.starts[w.choices[i].expert]++] = {i / top_k, w.choices[i].weight};
  for (int64_t e = experts; e > 0; e--) w.starts[e] = w.starts[e - 1];
  w.starts[0] = 0;
}

// The part of `rows` that begins at row `first`.
template <class T>
Rows<T> rows_from(const Rows<T> &rows, int64_t first) {
  return {rows.values ? rows.values + first * rows.stride : nullptr, rows.groups ? rows.groups + first * rows.num_groups() : nullptr,
          rows.stride};
}

}  // namespace
