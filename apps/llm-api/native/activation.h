// The activation functions of an MLP.
#pragma once
#include "llm_step.h"
#include "simd.h"

namespace {

// https://arxiv.org/abs/1606.08415, with the approximation of tanh.
inline F gelu_tanh(F x) {
  const F inner = splat(0.7978845608f) * (x + splat(0.044715f) * x * x * x);
  return x / (splat(1.0f) + exp(-(inner + inner)));
}

// The error function within 2e-7: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26.
inline F erf(F x) {
  const F size = abs(x), t = splat(1.0f) / (splat(1.0f) + splat(0.3275911f) * size);
  F p = splat(1.061405429f);
  p = p * t + splat(-1.453152027f);
  p = p * t + splat(1.421413741f);
  p = p * t + splat(-0.284496736f);
  p = p * t + splat(0.254829592f);
  const F positive = splat(1.0f) - p * t * exp(-size * size);
  return (F)((U)positive | ((U)x & 0x80000000u));
}

inline F gelu(F x) { return splat(0.5f) * x * (splat(1.0f) + erf(x * splat(0.70710678118f))); }

// Keeps NaN.
inline F at_most(F x, float limit) {
  const I over = x > splat(limit);
  return (F)((over & (I)splat(limit)) | (~over & (I)x));
}

inline F activate(const llm_model &m, F x) {
  return m.activation == LLM_SILU ? silu(x) : m.activation == LLM_GELU ? gelu(x) : gelu_tanh(x);
}

// The activated gate times `up` (https://arxiv.org/abs/2002.05202).
inline F gated(const llm_model &m, F gate, F up) {
  if (m.activation != LLM_CLAMPED_SWIGLU) return activate(m, gate) * up;
  const F clamped = at_most(gate, m.swiglu_limit), bounded = -at_most(-at_most(up, m.swiglu_limit), m.swiglu_limit);
  return clamped / (splat(1.0f) + exp(clamped * splat(-m.swiglu_alpha))) * (bounded + splat(1.0f));
}

}  // namespace
