// The layout of the KV cache. Per kv head, a block holds its keys [block size / 16][dim / PER_WORD][16][PER_WORD] and then its
// values [block size / PER_WORD][dim][PER_WORD]. One instruction then multiplies 16 keys, or accumulates two values.
#pragma once
#include "simd.h"

namespace {

constexpr int KEYS = 16;

// Stores a row's key and value of one kv head in its slot, `offset` positions into the block.
template <class T>
void write_kv(const float *key, const float *value, typename T::Scalar *head_of_block, int64_t offset, int64_t dim, int64_t block_size) {
  typename T::Scalar *keys = head_of_block + offset / KEYS * KEYS * dim, *values = head_of_block + block_size * dim;
  typename T::Scalar rounded[LANES];
  for (int64_t d = 0; d < dim; d += LANES) {
    T::store_vector(rounded, load<F>(key + d));
    for (int64_t i = 0; i < LANES; i += T::PER_WORD)
      memcpy(keys + ((d + i) * KEYS + offset % KEYS * T::PER_WORD), rounded + i, sizeof(typename T::Word));
    T::store_vector(rounded, load<F>(value + d));
    for (int64_t i = 0; i < LANES; i++) values[(offset / T::PER_WORD * dim + d + i) * T::PER_WORD + offset % T::PER_WORD] = rounded[i];
  }
}

// Zeroes the block's values after `offset`, the end of a sequence. The block's previous sequence may have left NaN there, and
// a probability of 0 times NaN is NaN.
template <class T>
void clear_values_after(typename T::Scalar *head_of_block, int64_t offset, int64_t dim, int64_t block_size) {
  typename T::Scalar *values = head_of_block + block_size * dim;
  const int64_t next = round_up(offset + 1, T::PER_WORD);
  if (next != offset + 1)
    for (int64_t d = 0; d < dim; d++) values[(offset / T::PER_WORD * dim + d) * T::PER_WORD + T::PER_WORD - 1] = 0;
  memset(values + next * dim, 0, (size_t)((block_size - next) * dim) * sizeof(typename T::Scalar));
}

}  // namespace
