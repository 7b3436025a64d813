// RMSNorm (https://arxiv.org/abs/1910.07467) and rotary position embeddings (RoPE), in float32.
#pragma once
#include <math.h>

#include "quantized.h"

namespace {

inline float inverse_rms(const float *x, int64_t n, float eps) {
  F squares = {};
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    const F v = load<F>(x + i);
    squares += v * v;
  }
  float total = reduce_sum(squares);
  for (; i < n; i++) total += x[i] * x[i];
  return 1.0f / sqrtf(total / (float)n + eps);
}

template <class T>
void rms_norm(const float *x, const float *weight, int64_t n, float eps, typename T::Scalar *out) {
  const float factor = inverse_rms(x, n, eps);
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) T::store_vector(out + i, load<F>(x + i) * splat(factor) * load<F>(weight + i));
  for (; i < n; i++) out[i] = T::from_float(x[i] * factor * weight[i]);
}

inline void rms_norm_quantized(const float *x, const float *weight, int64_t n, float eps, Group *out) {
  const float factor = inverse_rms(x, n, eps);
  quantize_row(n, out, [&](int64_t i) { return x[i] * factor * weight[i]; });
}

// In place: the norm of a head, if the model has one (`weight`), then RoPE with the position's `cos` and `sin`.
inline void apply_rope(float *head, const float *weight, int64_t dim, float eps, const float *cos, const float *sin) {
  if (weight) {
    const float factor = inverse_rms(head, dim, eps);
    for (int64_t i = 0; i < dim; i++) head[i] *= factor * weight[i];
  }
  for (int64_t i = 0; i < dim / 2; i++) {
    const float low = head[i], high = head[i + dim / 2];
    head[i] = low * cos[i] + high * sin[i];
    head[i + dim / 2] = high * cos[i + dim / 2] + low * sin[i + dim / 2];
  }
}

}  // namespace
