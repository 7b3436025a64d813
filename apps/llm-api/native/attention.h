// Paged attention with an online softmax (https://arxiv.org/abs/1805.02867) over chunks of keys.
//
// Chunks begin at multiples of CHUNK and a query accumulates in a fixed order. The result of a row is therefore bitwise equal
// whether the row was computed in a whole prompt, in a part of one or as a decode, and it does not depend on the rest of the batch.
#pragma once
#include <math.h>

#include "kv_cache.h"

namespace {

constexpr int CHUNK = 128;
constexpr int KEY_VECTORS = KEYS / LANES;
constexpr int QUERIES_AT_ONCE = LANES == 16 ? 4 : 2;
// Groups of 16 keys that are computed together. Each dot product over `dim` is a chain of dependent instructions, so several run in
// parallel.
constexpr int GROUPS_AT_ONCE = LANES == 16 ? 4 : LANES == 8 ? 2 : 1;
constexpr int64_t TILE_ROWS = 16;  // of a prompt, which share the loads from the cache

// Attention of one kv head of one sequence: `rows` rows of `group` query heads each.
template <class T>
struct AttentionTask {
  const typename T::Scalar *query;  // [rows][row_stride], the heads of a group are adjacent
  typename T::Scalar *output;       // in the same layout
  int64_t row_stride, rows, group, dim, first_position;
  const int64_t *blocks;
  const typename T::Scalar *cache;  // at the kv head
  int64_t block_stride, block_size, window;
  float scale, softcap;  // softcap 0: none
  const float *sinks;    // [group], or NULL
  const AttentionTask *next;  // the task that this thread will probably run next, or NULL

  int64_t queries() const { return rows * group; }
  int64_t offset(int64_t query) const { return query / group * row_stride + query % group * dim; }
  int64_t position(int64_t query) const { return first_position + query / group; }
  int64_t first_key(int64_t query) const { return window ? max(0, position(query) - window + 1) : 0; }
  const typename T::Scalar *keys(int64_t position) const {
    return cache + blocks[position / block_size] * block_stride + position % block_size * dim;
  }
  const typename T::Scalar *values(int64_t position) const { return keys(position) + block_size * dim; }
  // The next task's keys, to prefetch while those at `position` are read. The blocks of a sequence are not contiguous, so the
  // hardware prefetcher cannot predict them.
  const typename T::Scalar *keys_to_prefetch(int64_t position) const {
    return (next && position < next->end() ? next : this)->keys(position);
  }
  const typename T::Scalar *values_to_prefetch(int64_t position) const { return keys_to_prefetch(position) + block_size * dim; }
  int64_t end() const { return first_position + rows; }
};

template <class T>
struct Scratch {
  float (*scores)[CHUNK];
  typename T::Scalar (*probs)[CHUNK];
  float *output;  // [queries][dim], not yet divided by the denominators
  float *max_scores, *denominators;

  static int64_t bytes(int64_t queries, int64_t dim) {
    return round_up(queries * (CHUNK * (int64_t)(sizeof(float) + sizeof(typename T::Scalar)) + (dim + 2) * (int64_t)sizeof(float)), 64);
  }

  Scratch(void *memory, int64_t queries, int64_t dim) {
    scores = (float(*)[CHUNK])memory;
    probs = (typename T::Scalar(*)[CHUNK])(scores + queries);
    output = (float *)(probs + queries);
    max_scores = output + queries * dim;
    denominators = max_scores + queries;
  }
};

// scores = scale * Q K^T for R queries and G groups of 16 keys, from offset `at` of the chunk. PREFETCH: prefetches the next task's keys.
template <class T, int R, int G, bool PREFETCH>
void compute_scores(const AttentionTask<T> &task, int64_t query, int64_t chunk, int64_t at, float (*scores)[CHUNK]) {
  F acc[R][G * KEY_VECTORS] = {};
  const typename T::Scalar *from[R], *keys[G], *next_ptr[G];
  for (int r = 0; r < R; r++) from[r] = task.query + task.offset(query + r);
  for (int g = 0; g < G; g++) keys[g] = task.keys(chunk + at + g * KEYS), next_ptr[g] = task.keys_to_prefetch(chunk + at + g * KEYS);
  for (int64_t d = 0; d < task.dim; d += T::PER_WORD) {
    typename T::Vector words[G * KEY_VECTORS];
    for (int g = 0; g < G; g++)
      for (int v = 0; v < KEY_VECTORS; v++) {
        words[g * KEY_VECTORS + v] = load<typename T::Vector>(keys[g] + d * KEYS + v * LANES * T::PER_WORD);
        if constexpr (PREFETCH) __builtin_prefetch(next_ptr[g] + d * KEYS + v * LANES * T::PER_WORD, 0, 2);
      }
    for (int r = 0; r < R; r++) {
      const auto query_word = typename T::Vector{} + load<typename T::Word>(from[r] + d);
      for (int v = 0; v < G * KEY_VECTORS; v++) acc[r][v] = T::dot(acc[r][v], words[v], query_word);
    }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < G * KEY_VECTORS; v++) store(scores[query + r] + at + v * LANES, acc[r][v] * splat(task.scale));
}

// output += probs * V over the chunk, for R queries and V vectors of columns from d on.
template <class T, int R, int V, bool PREFETCH>
void accumulate_values(const AttentionTask<T> &task, int64_t query, int64_t chunk, int64_t keys, int64_t d, const Scratch<T> &scratch) {
  F acc[R][V];
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) acc[r][v] = load<F>(scratch.output + (query + r) * task.dim + d + v * LANES);
  for (int64_t group = 0; group < keys; group += KEYS) {
    const typename T::Scalar *values = task.values(chunk + group), *next_ptr = task.values_to_prefetch(chunk + group);
    for (int64_t key = 0; key < KEYS; key += T::PER_WORD) {
      typename T::Vector words[V];
      for (int v = 0; v < V; v++) {
        words[v] = load<typename T::Vector>(values + key * task.dim + (d + v * LANES) * T::PER_WORD);
        if constexpr (PREFETCH) __builtin_prefetch(next_ptr + key * task.dim + (d + v * LANES) * T::PER_WORD, 0, 2);
      }
      for (int r = 0; r < R; r++) {
        const auto prob = typename T::Vector{} + load<typename T::Word>(scratch.probs[query + r] + group + key);
        for (int v = 0; v < V; v++) acc[r][v] = T::dot(acc[r][v], words[v], prob);
      }
    }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < V; v++) store(scratch.output + (query + r) * task.dim + d + v * LANES, acc[r][v]);
}

// One step of the online softmax: turns a query's scores of a chunk into probabilities and rescales the output so far.
template <class T>
void update_softmax(const AttentionTask<T> &task, int64_t query, int64_t chunk, int64_t keys, const Scratch<T> &scratch) {
  float *scores = scratch.scores[query];
  if (task.softcap > 0)
    for (int64_t i = 0; i < keys; i += LANES) store(scores + i, softcap(load<F>(scores + i), task.softcap));
  const int64_t last = task.position(query) - chunk, first = task.first_key(query) - chunk;
  for (int64_t i = max(0, last + 1); i < keys; i++) scores[i] = -INFINITY;
  for (int64_t i = 0; i < min(first, keys); i++) scores[i] = -INFINITY;
  F lanes = splat(scratch.max_scores[query]);
  for (int64_t i = 0; i < keys; i += LANES) lanes = max(load<F>(scores + i), lanes);
  const float new_max = reduce_max(lanes);
  if (new_max == -INFINITY) {  // all keys so far are masked
    memset(scratch.probs[query], 0, sizeof scratch.probs[query]);
    return;
  }
  F sum = {};
  for (int64_t i = 0; i < keys; i += LANES) {
    const F prob = exp(load<F>(scores + i) - splat(new_max));
    sum += prob;
    T::store_vector(scratch.probs[query] + i, prob);
  }
  if (new_max > scratch.max_scores[query]) {
    const F rescale = exp(splat(scratch.max_scores[query] - new_max));
    scratch.denominators[query] *= rescale[0];
    scratch.max_scores[query] = new_max;
    for (int64_t d = 0; d < task.dim; d += LANES) {
      float *output = scratch.output + query * task.dim + d;
      store(output, load<F>(output) * rescale);
    }
  }
  scratch.denominators[query] += reduce_sum(sum);
}

template <class T, int G, bool PREFETCH, int R = QUERIES_AT_ONCE>
void compute_scores_of(int64_t count, const AttentionTask<T> &task, int64_t query, int64_t chunk, int64_t at, float (*scores)[CHUNK]) {
  if (count >= R) return compute_scores<T, R, G, PREFETCH>(task, query, chunk, at, scores);
  if constexpr (R > 1) compute_scores_of<T, G, PREFETCH, R - 1>(count, task, query, chunk, at, scores);
}

// All queries with the same G groups of keys, which stay in the L1 cache meanwhile.
template <class T, int G>
void compute_all_scores(const AttentionTask<T> &task, int64_t chunk, int64_t at, float (*scores)[CHUNK]) {
  const int64_t queries = task.queries();
  compute_scores_of<T, G, true>(queries, task, 0, chunk, at, scores);
  for (int64_t q = QUERIES_AT_ONCE; q < queries; q += QUERIES_AT_ONCE)
    compute_scores_of<T, G, false>(queries - q, task, q, chunk, at, scores);
}

template <class T, bool PREFETCH, int R = QUERIES_AT_ONCE>
void accumulate_values_of(
    int64_t count, const AttentionTask<T> &task, int64_t query, int64_t chunk, int64_t keys, const Scratch<T> &scratch
) {
  if (count >= R) {
    int64_t d = 0;
    for (; d + 4 * LANES <= task.dim; d += 4 * LANES) accumulate_values<T, R, 4, PREFETCH>(task, query, chunk, keys, d, scratch);
    for (; d < task.dim; d += LANES) accumulate_values<T, R, 1, PREFETCH>(task, query, chunk, keys, d, scratch);
    return;
  }
  if constexpr (R > 1) accumulate_values_of<T, PREFETCH, R - 1>(count, task, query, chunk, keys, scratch);
}

template <class T>
void attend(const AttentionTask<T> &task, void *memory) {
  const int64_t queries = task.queries();
  const Scratch<T> scratch(memory, queries, task.dim);
  memset(scratch.output, 0, (size_t)(queries * task.dim) * sizeof(float));
  // A sink is a score without a key: its weight counts, and it has no value.
  for (int64_t q = 0; q < queries; q++)
    scratch.max_scores[q] = task.sinks ? task.sinks[q % task.group] : -INFINITY, scratch.denominators[q] = task.sinks ? 1 : 0;
  const int64_t end = task.position(queries - 1) + 1;
  for (int64_t chunk = task.first_key(0) / CHUNK * CHUNK; chunk < end; chunk += CHUNK) {
    const int64_t keys = min(CHUNK, round_up(end - chunk, KEYS));
    int64_t at = 0;
    for (; at + GROUPS_AT_ONCE * KEYS <= keys; at += GROUPS_AT_ONCE * KEYS)
      compute_all_scores<T, GROUPS_AT_ONCE>(task, chunk, at, scratch.scores);
    for (; at < keys; at += KEYS) compute_all_scores<T, 1>(task, chunk, at, scratch.scores);
    for (int64_t q = 0; q < queries; q++) update_softmax(task, q, chunk, keys, scratch);
    accumulate_values_of<T, true>(queries, task, 0, chunk, keys, scratch);
    for (int64_t q = QUERIES_AT_ONCE; q < queries; q += QUERIES_AT_ONCE)
      accumulate_values_of<T, false>(queries - q, task, q, chunk, keys, scratch);
  }
  for (int64_t q = 0; q < queries; q++)
    for (int64_t d = 0; d < task.dim; d += LANES)
      T::store_vector(task.output + task.offset(q) + d, load<F>(scratch.output + q * task.dim + d) / splat(scratch.denominators[q]));
}

}  // namespace
