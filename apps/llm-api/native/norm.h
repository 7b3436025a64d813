// RMSNorm (https://arxiv.org/abs/1910.07467), LayerNorm (https://arxiv.org/abs/1607.06450) and rotary position embeddings (RoPE), in
// float32.
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

inline float mean_of(const float *x, int64_t n) {
  F lanes = {};
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) lanes += load<F>(x + i);
  float total = reduce_sum(lanes);
  for (; i < n; i++) total += x[i];
  return total / (float)n;
}

inline float variance_of(const float *x, int64_t n, float mean) {
  F lanes = {};
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    const F v = load<F>(x + i) - splat(mean);
    lanes += v * v;
  }
  float total = reduce_sum(lanes);
  for (; i < n; i++) total += (x[i] - mean) * (x[i] - mean);
  return total / (float)n;
}

// Computes x * factor + shift, then weight and bias: both kinds of norms.
struct Normalizer {
  const float *weight, *bias;
  float factor, shift;

  Normalizer(const float *x, const llm_norm &norm, int64_t n, float eps) : weight(norm.weight), bias(norm.bias), factor(1), shift(0) {
    if (!weight) return;
    if (!bias) {
      factor = inverse_rms(x, n, eps);
      return;
    }
    const float mean = mean_of(x, n);
    factor = 1.0f / sqrtf(variance_of(x, n, mean) + eps);
    shift = -mean * factor;
  }

  // The i-th value of x after the norm.
  float operator()(const float *x, int64_t i) const {
    if (!weight) return x[i];
    return bias ? (x[i] * factor + shift) * weight[i] + bias[i] : x[i] * factor * weight[i];
  }
};

template <class T>
void normalize(const float *x, const llm_norm &norm, int64_t n, float eps, typename T::Scalar *out) {
  const Normalizer normalized(x, norm, n, eps);
  int64_t i = 0;
  const F factor = splat(normalized.factor), shift = splat(normalized.shift);
  if (norm.weight && norm.bias)
    for (; i + LANES <= n; i += LANES)
      T::store_vector(out + i, (load<F>(x + i) * factor + shift) * load<F>(norm.weight + i) + load<F>(norm.bias + i));
  else if (norm.weight)
    for (; i + LANES <= n; i += LANES) T::store_vector(out + i, load<F>(x + i) * factor * load<F>(norm.weight + i));
  for (; i < n; i++) out[i] = T::from_float(normalized(x, i));
}

inline void normalize_quantized(const float *x, const llm_norm &norm, int64_t n, float eps, Group *out) {
  const Normalizer normalized(x, norm, n, eps);
  if (norm.bias || !norm.weight) return quantize_row(n, out, [&](int64_t i) { return normalized(x, i); });
  quantize_row(n, out, [&](int64_t i) { return x[i] * normalized.factor * norm.weight[i]; });
}

// In place: RMSNorm of one head, or of all heads together.
inline void normalize_heads(float *heads, const float *weight, int64_t n, float eps) {
  const float factor = inverse_rms(heads, n, eps);
  for (int64_t i = 0; i < n; i++) heads[i] *= factor * weight[i];
}

// In place: RoPE with the position's `cos` and `sin`.
inline void apply_rope(float *head, int64_t dim, const float *cos, const float *sin) {
  for (int64_t i = 0; i < dim / 2; i++) {
    const float low = head[i], high = head[i + dim / 2];
    head[i] = low * cos[i] + high * sin[i];
    head[i + dim / 2] = high * cos[i + dim / 2] + low * sin[i + dim / 2];
  }
}

}  // namespace
