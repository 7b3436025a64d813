// SIMD vectors of float32 with the vector extensions of GCC and Clang, as wide as the target supports. Compiled once per
// instruction set: everything is in an unnamed namespace, so that the linker cannot mix code of different instruction sets.
#pragma once
#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace {

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX2__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif

typedef float F __attribute__((vector_size(LANES * 4)));
typedef int32_t I __attribute__((vector_size(LANES * 4)));
typedef uint32_t U __attribute__((vector_size(LANES * 4)));
typedef uint16_t Half __attribute__((vector_size(LANES * 2)));
typedef int16_t Pairs __attribute__((vector_size(LANES * 4)));  // two per lane
typedef int8_t Bytes __attribute__((vector_size(LANES)));

inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
inline int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

template <class V, class S>
inline V load(const S *from) {
  V v;
  memcpy(&v, from, sizeof v);
  return v;
}

template <class V, class S>
inline void store(S *to, V v) {
  memcpy(to, &v, sizeof v);
}

// Broadcasts a scalar to all lanes.
inline F splat(float x) { return F{} + x; }
inline U splat(uint32_t x) { return U{} + x; }

inline F max(F a, F b) {
  const I greater = a > b;
  return (F)((greater & (I)a) | (~greater & (I)b));
}

inline F abs(F v) { return (F)((I)v & 0x7fffffff); }

// Combines halves until one lane is left: few dependent instructions, in a fixed order.
template <class Combine>
inline float reduce(F v, Combine combine) {
  float lanes[LANES];
  store(lanes, v);
  for (int half = LANES / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) lanes[i] = combine(lanes[i], lanes[i + half]);
  return lanes[0];
}

inline float reduce_sum(F v) {
  return reduce(v, [](float a, float b) { return a + b; });
}

inline float reduce_max(F v) {
  return reduce(v, [](float a, float b) { return b > a ? b : a; });
}

// e^x within 2 ulp; 0 for very small x, NaN for NaN. The polynomial is from the Cephes library.
inline F exp(F x) {
  const F log2e = splat(1.44269504088896341f), magic = splat(12582912.0f);  // adding it rounds to an integer
  const F lowest = splat(-87.3f), highest = splat(88.0f);
  const I under = x < lowest, over = x > highest;
  F y = (F)((under & (I)lowest) | (~under & (I)x));
  y = (F)((over & (I)highest) | (~over & (I)y));
  const F shifted = y * log2e + magic;
  const F n = shifted - magic;
  const F r = y - n * splat(0.693359375f) - n * splat(-2.12194440e-4f);
  F p = splat(1.9875691500e-4f);
  p = p * r + splat(1.3981999507e-3f);
  p = p * r + splat(8.3334519073e-3f);
  p = p * r + splat(4.1665795894e-2f);
  p = p * r + splat(1.6666665459e-1f);
  p = p * r + splat(5.0000001201e-1f);
  p = p * r * r + r + splat(1.0f);
  const I scale = ((I)shifted - (I)magic + 127) << 23;
  return (F)(~under & (I)(p * (F)scale));
}

inline F silu(F x) { return x / (splat(1.0f) + exp(-x)); }

inline F tanh(F x) { return splat(1.0f) - splat(2.0f) / (exp(x + x) + splat(1.0f)); }

inline F softcap(F x, float cap) { return splat(cap) * tanh(x / splat(cap)); }

// Adds to each lane the dot product of its four unsigned bytes of `codes` and its four signed bytes of `x`.
inline I dot_bytes(I total, U codes, U x) {
#if defined(__AVX512VNNI__)
  return (I)_mm512_dpbusd_epi32((__m512i)total, (__m512i)codes, (__m512i)x);
#else
  const Pairs even = (Pairs)(codes & 0x00ff00ffu), odd = (Pairs)(codes >> 8 & 0x00ff00ffu);
  const Pairs x_even = (Pairs)x << 8 >> 8, x_odd = (Pairs)x >> 8;
#if defined(__AVX512BW__)
  return total + (I)_mm512_madd_epi16((__m512i)even, (__m512i)x_even) + (I)_mm512_madd_epi16((__m512i)odd, (__m512i)x_odd);
#elif defined(__AVX2__)
  return total + (I)_mm256_madd_epi16((__m256i)even, (__m256i)x_even) + (I)_mm256_madd_epi16((__m256i)odd, (__m256i)x_odd);
#else
  const I low = (I)(even * x_even), high = (I)(odd * x_odd);  // 255 * -128 fits 16 bits
  return total + (low << 16 >> 16) + (low >> 16) + (high << 16 >> 16) + (high >> 16);
#endif
#endif
}

// Loads float16 values.
inline F load_half(const uint16_t *from) {
#if defined(__AVX512F__)
  return (F)_mm512_maskz_cvtph_ps(0xffff, load<__m256i>(from));  // the unmasked intrinsic causes a warning in a header of GCC 12
#elif defined(__F16C__)
  return (F)_mm256_cvtph_ps(load<__m128i>(from));
#else
  const U bits = __builtin_convertvector(load<Half>(from), U);
  const F size = (F)((bits & 0x7fffu) << 13) * splat(0x1p112f);  // the exponents' biases differ by 112
  const U special = (U)((bits & 0x7c00u) == 0x7c00u) & 0x7f800000u;
  return (F)((U)size | special | (bits & 0x8000u) << 16);
#endif
}

// The dtypes of weights, activations and cached keys and values. A word holds the elements that one lane of a dot product takes at once.
struct Float32 {
  typedef float Scalar;
  typedef float Word;
  typedef F Vector;
  static constexpr int PER_WORD = 1;
  static inline F dot(F total, F words, F x) { return total + words * x; }
  static inline float to_float(float x) { return x; }
  static inline float from_float(float x) { return x; }
  static inline void store_vector(float *to, F v) { store(to, v); }
};

struct BFloat16 {
  typedef uint16_t Scalar;
  typedef uint32_t Word;  // the even element in the lower half
  typedef U Vector;
  static constexpr int PER_WORD = 2;

  static inline F dot(F total, U words, U x) {
#if defined(__AVX512BF16__)
    return (F)_mm512_dpbf16_ps((__m512)total, (__m512bh)words, (__m512bh)x);
#else
    total += (F)(words << 16) * (F)(x << 16);
    return total + (F)(words & 0xffff0000u) * (F)(x & 0xffff0000u);
#endif
  }

  static inline float to_float(uint16_t x) {
    const uint32_t bits = (uint32_t)x << 16;
    return load<float>(&bits);
  }

  static inline uint16_t from_float(float x) {
    const uint32_t bits = load<uint32_t>(&x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40);  // keeps NaN, which rounding could turn into 0
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }

  static inline void store_vector(uint16_t *to, F v) {
#if defined(__AVX512BF16__)
    store(to, (__m256i)_mm512_cvtneps_pbh((__m512)v));
#else
    const U bits = (U)v;
    const U rounded = bits + 0x7fff + (bits >> 16 & 1);
    const U nan = (U)((bits & 0x7fffffffu) > 0x7f800000u);
    store(to, __builtin_convertvector(((nan & (bits | 0x400000u)) | (~nan & rounded)) >> 16, Half));
#endif
  }
};

}  // namespace
