// Attention over the cache in place, with an online softmax (https://arxiv.org/abs/1805.02867) over chunks of keys.
//
// A block of the cache holds, per kv head, its keys [block size / 16][dim / PER_WORD][16][PER_WORD] and then its values
// [block size / PER_WORD][dim][PER_WORD]: sixteen keys are compared, and two values summed, by one instruction.
//
// Chunks begin at multiples of CHUNK and a query's sums have one order: a row's result is the same whether it came as a
// prompt's, in part of one, or as a decode, and whatever else is in the batch.
#pragma once
#include <math.h>

#include "simd.h"

namespace {

constexpr int KEYS = 16;
constexpr int CHUNK = 128;
constexpr int KEY_VECTORS = KEYS / LANES;
constexpr int QUERIES_AT_ONCE = LANES == 16 ? 4 : 2;
// Groups of sixteen keys that are compared side by side: a sum over `dim` is one chain of instructions, which wait for each other.
constexpr int GROUPS_AT_ONCE = LANES == 16 ? 4 : LANES == 8 ? 2 : 1;
constexpr int64_t TILE_ROWS = 16;  // of a prompt, which share what they read of the cache

// One kv head of one sequence, and the queries that look at it: `rows` of `group` heads each.
template <class T>
struct Look {
  const typename T::Scalar *query;  // [rows][row_stride], the group's heads side by side
  typename T::Scalar *output;       // likewise
  int64_t row_stride, rows, group, dim, first_position;
  const int64_t *blocks;
  const typename T::Scalar *cache;  // at the kv head
  int64_t block_stride, block_size, window;
  float scale;
  const Look *next;  // what this thread probably does next, or NULL

  int64_t queries() const { return rows * group; }
  int64_t offset(int64_t query) const { return query / group * row_stride + query % group * dim; }
  int64_t position(int64_t query) const { return first_position + query / group; }
  int64_t first_key(int64_t query) const { return window ? most(0, position(query) - window + 1) : 0; }
  const typename T::Scalar *keys(int64_t position) const {
    return cache + blocks[position / block_size] * block_stride + position % block_size * dim;
  }
  const typename T::Scalar *values(int64_t position) const { return keys(position) + block_size * dim; }
  // Keys to prefetch while those at `position` are read: the next Look's. The blocks of a sequence lie anywhere, so that the
  // processor does not foresee them by itself.
  const typename T::Scalar *keys_ahead(int64_t position) const { return (next && position < next->end() ? next : this)->keys(position); }
  const typename T::Scalar *values_ahead(int64_t position) const { return keys_ahead(position) + block_size * dim; }
  int64_t end() const { return first_position + rows; }
};

template <class T>
struct Scratch {
  float (*scores)[CHUNK];
  typename T::Scalar (*shares)[CHUNK];
  float *totals;  // [queries][dim]
  float *highest, *sums;

  static int64_t bytes(int64_t queries, int64_t dim) {
    return rounded_up(queries * (CHUNK * (int64_t)(sizeof(float) + sizeof(typename T::Scalar)) + (dim + 2) * (int64_t)sizeof(float)), 64);
  }

  Scratch(void *memory, int64_t queries, int64_t dim) {
    scores = (float(*)[CHUNK])memory;
    shares = (typename T::Scalar(*)[CHUNK])(scores + queries);
    totals = (float *)(shares + queries);
    highest = totals + queries * dim;
    sums = highest + queries;
  }
};

// R queries against G groups of sixteen keys, `at` into the chunk. AHEAD: prefetches the same of what comes next.
template <class T, int R, int G, bool AHEAD>
void score(const Look<T> &look, int64_t query, int64_t chunk, int64_t at, float (*scores)[CHUNK]) {
  F totals[R][G * KEY_VECTORS] = {};
  const typename T::Scalar *from[R], *keys[G], *ahead[G];
  for (int r = 0; r < R; r++) from[r] = look.query + look.offset(query + r);
  for (int g = 0; g < G; g++) keys[g] = look.keys(chunk + at + g * KEYS), ahead[g] = look.keys_ahead(chunk + at + g * KEYS);
  for (int64_t d = 0; d < look.dim; d += T::PER_WORD) {
    typename T::Vector words[G * KEY_VECTORS];
    for (int g = 0; g < G; g++)
      for (int v = 0; v < KEY_VECTORS; v++) {
        words[g * KEY_VECTORS + v] = load<typename T::Vector>(keys[g] + d * KEYS + v * LANES * T::PER_WORD);
        if constexpr (AHEAD) __builtin_prefetch(ahead[g] + d * KEYS + v * LANES * T::PER_WORD, 0, 2);
      }
    for (int r = 0; r < R; r++) {
      const auto query_word = typename T::Vector{} + load<typename T::Word>(from[r] + d);
      for (int v = 0; v < G * KEY_VECTORS; v++) totals[r][v] = T::dot(totals[r][v], words[v], query_word);
    }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < G * KEY_VECTORS; v++) store(scores[query + r] + at + v * LANES, totals[r][v] * all(look.scale));
}

// Adds the chunk's values, by their shares, to R queries' totals, V vectors from column d on.
template <class T, int R, int V, bool AHEAD>
void collect(const Look<T> &look, int64_t query, int64_t chunk, int64_t keys, int64_t d, const Scratch<T> &scratch) {
  F totals[R][V];
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) totals[r][v] = load<F>(scratch.totals + (query + r) * look.dim + d + v * LANES);
  for (int64_t group = 0; group < keys; group += KEYS) {
    const typename T::Scalar *values = look.values(chunk + group), *ahead = look.values_ahead(chunk + group);
    for (int64_t key = 0; key < KEYS; key += T::PER_WORD) {
      typename T::Vector words[V];
      for (int v = 0; v < V; v++) {
        words[v] = load<typename T::Vector>(values + key * look.dim + (d + v * LANES) * T::PER_WORD);
        if constexpr (AHEAD) __builtin_prefetch(ahead + key * look.dim + (d + v * LANES) * T::PER_WORD, 0, 2);
      }
      for (int r = 0; r < R; r++) {
        const auto share = typename T::Vector{} + load<typename T::Word>(scratch.shares[query + r] + group + key);
        for (int v = 0; v < V; v++) totals[r][v] = T::dot(totals[r][v], words[v], share);
      }
    }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) store(scratch.totals + (query + r) * look.dim + d + v * LANES, totals[r][v]);
}

// Turns a query's scores of a chunk into shares, and rescales what it has gathered so far.
template <class T>
void soften(const Look<T> &look, int64_t query, int64_t chunk, int64_t keys, const Scratch<T> &scratch) {
  float *scores = scratch.scores[query];
  const int64_t last = look.position(query) - chunk, first = look.first_key(query) - chunk;
  for (int64_t i = most(0, last + 1); i < keys; i++) scores[i] = -INFINITY;
  for (int64_t i = 0; i < least(first, keys); i++) scores[i] = -INFINITY;
  F top = all(scratch.highest[query]);
  for (int64_t i = 0; i < keys; i += LANES) top = larger(load<F>(scores + i), top);
  const float highest = largest(top);
  if (highest == -INFINITY) {  // nothing to see yet
    memset(scratch.shares[query], 0, sizeof scratch.shares[query]);
    return;
  }
  F total = {};
  for (int64_t i = 0; i < keys; i += LANES) {
    const F share = exponential(load<F>(scores + i) - all(highest));
    total += share;
    T::narrow_vector(scratch.shares[query] + i, share);
  }
  if (highest > scratch.highest[query]) {
    const F keep = exponential(all(scratch.highest[query] - highest));
    scratch.sums[query] *= keep[0];
    scratch.highest[query] = highest;
    for (int64_t d = 0; d < look.dim; d += LANES) {
      float *totals = scratch.totals + query * look.dim + d;
      store(totals, load<F>(totals) * keep);
    }
  }
  scratch.sums[query] += sum(total);
}

template <class T, int G, bool AHEAD, int R = QUERIES_AT_ONCE>
void score_of(int64_t count, const Look<T> &look, int64_t query, int64_t chunk, int64_t at, float (*scores)[CHUNK]) {
  if (count >= R) return score<T, R, G, AHEAD>(look, query, chunk, at, scores);
  if constexpr (R > 1) score_of<T, G, AHEAD, R - 1>(count, look, query, chunk, at, scores);
}

// All queries against G groups of keys, which stay in the nearest cache meanwhile.
template <class T, int G>
void score_all(const Look<T> &look, int64_t chunk, int64_t at, float (*scores)[CHUNK]) {
  const int64_t queries = look.queries();
  score_of<T, G, true>(queries, look, 0, chunk, at, scores);
  for (int64_t q = QUERIES_AT_ONCE; q < queries; q += QUERIES_AT_ONCE) score_of<T, G, false>(queries - q, look, q, chunk, at, scores);
}

template <class T, bool AHEAD, int R = QUERIES_AT_ONCE>
void collect_of(int64_t count, const Look<T> &look, int64_t query, int64_t chunk, int64_t keys, const Scratch<T> &scratch) {
  if (count >= R) {
    int64_t d = 0;
    for (; d + 4 * LANES <= look.dim; d += 4 * LANES) collect<T, R, 4, AHEAD>(look, query, chunk, keys, d, scratch);
    for (; d < look.dim; d += LANES) collect<T, R, 1, AHEAD>(look, query, chunk, keys, d, scratch);
    return;
  }
  if constexpr (R > 1) collect_of<T, AHEAD, R - 1>(count, look, query, chunk, keys, scratch);
}

template <class T>
void attend(const Look<T> &look, void *memory) {
  const int64_t queries = look.queries();
  const Scratch<T> scratch(memory, queries, look.dim);
  memset(scratch.totals, 0, (size_t)(queries * look.dim) * sizeof(float));
  for (int64_t q = 0; q < queries; q++) scratch.highest[q] = -INFINITY, scratch.sums[q] = 0;
  const int64_t end = look.position(queries - 1) + 1;
  for (int64_t chunk = look.first_key(0) / CHUNK * CHUNK; chunk < end; chunk += CHUNK) {
    const int64_t keys = least(CHUNK, rounded_up(end - chunk, KEYS));
    int64_t at = 0;
    for (; at + GROUPS_AT_ONCE * KEYS <= keys; at += GROUPS_AT_ONCE * KEYS) score_all<T, GROUPS_AT_ONCE>(look, chunk, at, scratch.scores);
    for (; at < keys; at += KEYS) score_all<T, 1>(look, chunk, at, scratch.scores);
    for (int64_t q = 0; q < queries; q++) soften(look, q, chunk, keys, scratch);
    collect_of<T, true>(queries, look, 0, chunk, keys, scratch);
    for (int64_t q = QUERIES_AT_ONCE; q < queries; q += QUERIES_AT_ONCE) collect_of<T, false>(queries - q, look, q, chunk, keys, scratch);
  }
  for (int64_t q = 0; q < queries; q++)
    for (int64_t d = 0; d < look.dim; d += LANES)
      T::narrow_vector(look.output + look.offset(q) + d, load<F>(scratch.totals + q * look.dim + d) / all(scratch.sums[q]));
}

// Stores a row's key and value of one kv head in its slot, `offset` positions into the block.
template <class T>
void remember(const float *key, const float *value, typename T::Scalar *head_of_block, int64_t offset, int64_t dim, int64_t block_size) {
  typename T::Scalar *keys = head_of_block + offset / KEYS * KEYS * dim, *values = head_of_block + block_size * dim;
  typename T::Scalar narrow[LANES];
  for (int64_t d = 0; d < dim; d += LANES) {
    T::narrow_vector(narrow, load<F>(key + d));
    for (int64_t i = 0; i < LANES; i += T::PER_WORD)
      memcpy(keys + ((d + i) * KEYS + offset % KEYS * T::PER_WORD), narrow + i, sizeof(typename T::Word));
    T::narrow_vector(narrow, load<F>(value + d));
    for (int64_t i = 0; i < LANES; i++) values[(offset / T::PER_WORD * dim + d + i) * T::PER_WORD + offset % T::PER_WORD] = narrow[i];
  }
}

// Zeroes the block's values after `offset`, the end of a sequence: a share of 0 of what its last owner left could be NaN.
template <class T>
void forget_after(typename T::Scalar *head_of_block, int64_t offset, int64_t dim, int64_t block_size) {
  typename T::Scalar *values = head_of_block + block_size * dim;
  const int64_t next = rounded_up(offset + 1, T::PER_WORD);
  if (next != offset + 1)
    for (int64_t d = 0; d < dim; d++) values[(offset / T::PER_WORD * dim + d) * T::PER_WORD + T::PER_WORD - 1] = 0;
  memset(values + next * dim, 0, (size_t)((block_size - next) * dim) * sizeof(typename T::Scalar));
}

}  // namespace
