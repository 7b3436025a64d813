// One step of a decoder, from token ids to logits, in one OpenMP parallel region.
#pragma once
#include "activation.h"
#include "experts.h"
#include "norm.h"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace {

// Where thread `thread`'s part of n items begins: n * thread / threads, rounded up to a multiple.
inline int64_t partition(int64_t n, int64_t thread, int64_t threads, int64_t multiple = 1) {
  return min(n, round_up(n * thread / threads, multiple));
}

template <class T>
class Step {
 public:
  typedef typename T::Scalar Scalar;

  static int64_t workspace_bytes(const llm_model &m, int64_t rows, int64_t threads) {
    return Workspace<T>().lay_out(nullptr, m, rows, threads);
  }

  Step(const llm_model &model, const llm_batch &batch, int64_t threads) : m(model), b(batch), threads(threads) {}

  void run(void *workspace) {
    w.lay_out((char *)workspace, m, b.rows, threads);
    make_tiles();
#pragma omp parallel num_threads((int)threads)
    {
#ifdef _OPENMP
      // OpenMP may provide fewer threads than requested.
      const int64_t thread = omp_get_thread_num(), team = omp_get_num_threads();
#else
      const int64_t thread = 0, team = 1;
#endif
      embed(thread, team);
      for (int64_t index = 0; index < m.num_layers; index++) layer(index, thread, team);
      logits(thread, team);
    }
  }

 private:
  const llm_model &m;
  const llm_batch b;
  const int64_t threads;
  Workspace<T> w;

  void make_tiles() {
    w.num_tiles = 0;
    memset(w.is_last, 0, (size_t)b.rows);
    for (int64_t s = 0; s < b.sequences; s++) {
      const int64_t end = b.row_starts[s + 1];
      w.is_last[end - 1] = 1;
      for (int64_t row = b.row_starts[s]; row < end; row += TILE_ROWS) w.tiles[w.num_tiles++] = {s, row, min(TILE_ROWS, end - row)};
    }
  }

  void embed(int64_t thread, int64_t team) {
    for (int64_t row = partition(b.rows, thread, team); row < partition(b.rows, thread + 1, team); row++) {
      const Scalar *from = (const Scalar *)m.embedding + b.token_ids[row] * m.hidden;
      for (int64_t i = 0; i < m.hidden; i++) w.stream[row * w.stream_width + i] = T::to_float(from[i]) * m.embedding_scale;
      for (int64_t i = m.hidden; i < w.stream_width; i++) w.stream[row * w.stream_width + i] = 0;
    }
#pragma omp barrier
  }

  void layer(int64_t index, int64_t thread, int64_t team) {
    const llm_layer &layer = m.layers[index];
    const llm_linear &next = index + 1 < m.num_layers ? m.layers[index + 1].qkv : m.head;
    norm_rows(layer.attention_norm, layer.qkv, b.rows, thread, team);
    project_heads(layer, thread, team);
    rotate_and_cache_rows(layer, thread, team);
    int64_t rows = b.rows;
    if (index + 1 == m.num_layers) {
      if (!b.outputs) return;  // an incomplete prompt: only its keys and values are needed
      rows = b.outputs;
    }
    attend_tiles(layer, thread, team);
    if (rows < b.rows) keep_output_rows(thread);
    if (layer.output.format != LLM_DENSE) quantize_attended(rows, thread, team);
    const WeightRange after_output = layer.router.weight ? NO_WEIGHTS : weights_of(layer.mlps[0].up, thread, team, m.is_gated ? 2 : 1);
    add_matmul(layer.output, w.attended, rows, layer.attention_output_norm, after_output, thread, team);
    norm_rows(layer.mlp_norm, layer.mlps[0].up, rows, thread, team, layer.router.weight);
    if (layer.router.weight) return run_experts(layer, rows, thread, team);
    up_matmul(layer.mlps[0], w.normed, rows, w.gated, weights_of(layer.mlps[0].down, thread, team), thread, team);
#pragma omp barrier
    add_matmul(layer.mlps[0].down, w.gated, rows, layer.mlp_output_norm, weights_of(next, thread, team), thread, team);
  }

  // After the last attention only the rows whose logits are needed are used. They move to the front.
  void keep_output_rows(int64_t thread) {
    if (thread == 0)
      for (int64_t i = 0; i < b.outputs; i++) {
        const int64_t row = b.logits_rows[i], width = w.stream_width, stride = w.attended.stride;
        memmove(w.stream + i * width, w.stream + row * width, sizeof(float) * (size_t)width);
        memmove(w.attended.values + i * stride, w.attended.values + row * stride, sizeof(Scalar) * (size_t)stride);
      }
#pragma omp barrier
  }

  WeightRange weights_of(const llm_linear &linear, int64_t thread, int64_t team, int64_t multiple = 1) const {
    const int64_t panels = num_panels(linear);
    const int64_t first = partition(panels, thread, team, multiple), last = partition(panels, thread + 1, team, multiple);
    return weight_range(linear, panel_bytes<T>(linear), first, last);
  }

  // `keeps_values`: also if the next layer is quantized, because a router is not.
  void norm_rows(const llm_norm &norm, const llm_linear &next, int64_t rows, int64_t thread, int64_t team, bool keeps_values = false) {
    for (int64_t row = partition(rows, thread, team); row < partition(rows, thread + 1, team); row++) {
      const float *from = w.stream + row * w.stream_width;
      if (next.format == LLM_DENSE || keeps_values) normalize<T>(from, norm, m.hidden, m.eps, w.normed.values + row * w.normed.stride);
      if (next.format != LLM_DENSE) normalize_quantized(from, norm, m.hidden, m.eps, w.normed.groups + row * w.normed.num_groups());
    }
#pragma omp barrier
  }

  void quantize_attended(int64_t rows, int64_t thread, int64_t team) {
    for (int64_t row = partition(rows, thread, team); row < partition(rows, thread + 1, team); row++) {
      const Scalar *from = w.attended.values + row * w.attended.stride;
      quantize_row(w.attended.stride, w.attended.groups + row * w.attended.num_groups(), [&](int64_t i) { return T::to_float(from[i]); });
    }
#pragma omp barrier
  }

  void project_heads(const llm_layer &layer, int64_t thread, int64_t team) {
    const int64_t panels = num_panels(layer.qkv);
    matmul<T>(layer.qkv, w.normed, b.rows, partition(panels, thread, team), partition(panels, thread + 1, team),
              weights_of(layer.output, thread, team), [&](int64_t row, int64_t panel, const float *out) {
                memcpy(w.heads + row * w.heads_width + panel * PANEL, out, sizeof(float) * PANEL);
              });
#pragma omp barrier
  }

  // The norms of all queries and of all keys of a row together.
  void normalize_rows(const llm_layer &layer, int64_t thread, int64_t team) {
    for (int64_t row = partition(b.rows, thread, team); row < partition(b.rows, thread + 1, team); row++) {
      float *heads = w.heads + row * w.heads_width;
      normalize_heads(heads, layer.query_norm.weight, layer.query_norm.size, m.eps);
      normalize_heads(heads + m.heads * m.head_dim, layer.key_norm.weight, layer.key_norm.size, m.eps);
    }
#pragma omp barrier
  }

  // Rows of a sequence share blocks but not slots, so no two threads write to the same memory.
  void rotate_and_cache_rows(const llm_layer &layer, int64_t thread, int64_t team) {
    const int64_t dim = m.head_dim, block = m.block_size * 2 * m.kv_heads * dim, units = b.rows * m.kv_heads;
    const int64_t group = m.heads / m.kv_heads;
    const bool norms_heads = layer.query_norm.weight && layer.query_norm.size == dim;
    if (layer.query_norm.weight && !norms_heads) normalize_rows(layer, thread, team);
    for (int64_t unit = partition(units, thread, team); unit < partition(units, thread + 1, team); unit++) {
      const int64_t row = unit / m.kv_heads, kv = unit % m.kv_heads, slot = b.slots[row];
      const auto rotate = [&](float *head, const llm_norm &norm) {
        if (norms_heads) normalize_heads(head, norm.weight, dim, m.eps);
        if (layer.cos) apply_rope(head, dim, layer.cos + b.positions[row] * dim, layer.sin + b.positions[row] * dim);
      };
      float *all_heads = w.heads + row * w.heads_width;
      for (int64_t h = kv * group; h < (kv + 1) * group; h++) {
        rotate(all_heads + h * dim, layer.query_norm);
        for (int64_t d = 0; d < dim; d += LANES)
          T::store_vector(w.queries + (row * m.heads + h) * dim + d, load<F>(all_heads + h * dim + d));
      }
      float *key = all_heads + (m.heads + kv) * dim;
      rotate(key, layer.key_norm);
      Scalar *at = (Scalar *)layer.cache + slot / m.block_size * block + kv * 2 * m.block_size * dim;
      write_kv<T>(key, all_heads + (m.heads + m.kv_heads + kv) * dim, at, slot % m.block_size, dim, m.block_size);
      if (w.is_last[row]) clear_values_after<T>(at, slot % m.block_size, dim, m.block_size);
    }
#pragma omp barrier
  }

  void attend_tiles(const llm_layer &layer, int64_t thread, int64_t team) {
    const int64_t units = w.num_tiles * m.kv_heads;
#pragma omp for schedule(dynamic, 1)
    for (int64_t unit = 0; unit < units; unit++) {
      AttentionTask<T> task = attention_task(layer, unit), next = attention_task(layer, min(unit + team, units - 1));
      task.next = &next;
      attend(task, w.attention + thread * w.attention_bytes);
    }
  }

  // The attention of one kv head of one tile.
  AttentionTask<T> attention_task(const llm_layer &layer, int64_t unit) const {
    const Tile &tile = w.tiles[w.num_tiles - 1 - unit / m.kv_heads];  // the tiles with the longest contexts are last; they run first
    const int64_t kv = unit % m.kv_heads, dim = m.head_dim, group = m.heads / m.kv_heads;
    const int64_t at = (tile.first * m.heads + kv * group) * dim;
    return {w.queries + at,
            w.attended.values + at,
            m.heads * dim,
            tile.rows,
            group,
            dim,
            b.positions[tile.first],
            b.block_tables + b.table_starts[tile.sequence],
            (const Scalar *)layer.cache + kv * 2 * m.block_size * dim,
            m.block_size * 2 * m.kv_heads * dim,
            m.block_size,
            layer.window,
            layer.scale,
            m.attention_softcap,
            layer.sinks ? layer.sinks + kv * group : nullptr,
            nullptr};
  }

  // Adds a branch's output to the stream, or puts it into `branch` if it has a norm of its own.
  void add_matmul(
      const llm_linear &linear, const Rows<T> &x, int64_t rows, const llm_norm &norm, WeightRange next_weights, int64_t thread, int64_t team
  ) {
    const int64_t panels = num_panels(linear);
    matmul<T>(linear, x, rows, partition(panels, thread, team), partition(panels, thread + 1, team), next_weights,
              [&](int64_t row, int64_t panel, const float *out) {
                const int64_t at = row * w.stream_width + panel * PANEL;
                if (norm.weight) return (void)memcpy(w.branch + at, out, sizeof(float) * PANEL);
                for (int i = 0; i < PANEL; i++) w.stream[at + i] += m.residual_scale * out[i];
              });
#pragma omp barrier
    if (norm.weight) add_branch(norm, rows, thread, team);
  }

  // Adds the normed branch to the stream. What follows reads the same rows in the same thread, so there is no barrier.
  void add_branch(const llm_norm &norm, int64_t rows, int64_t thread, int64_t team) {
    for (int64_t row = partition(rows, thread, team); row < partition(rows, thread + 1, team); row++) {
      const float *from = w.branch + row * w.stream_width;
      const Normalizer normalized(from, norm, m.hidden, m.eps);
      for (int64_t i = 0; i < m.hidden; i++) w.stream[row * w.stream_width + i] += m.residual_scale * normalized(from, i);
    }
  }

  // Stores 32 activated values, which begin at panel `panel` of a row.
  void store_gated(const llm_mlp &mlp, const Rows<T> &to, int64_t row, int64_t panel, const float *values) {
    if (mlp.down.format != LLM_DENSE) return quantize(values, to.groups[row * to.num_groups() + panel]);
    for (int i = 0; i < PANEL; i += LANES) T::store_vector(to.values + row * to.stride + panel * PANEL + i, load<F>(values + i));
  }

  // The first half of an MLP, to `to`. A panel of gate comes before the panel of up that it multiplies.
  void up_matmul(
      const llm_mlp &mlp, const Rows<T> &x, int64_t rows, const Rows<T> &to, WeightRange next_weights, int64_t thread, int64_t team
  ) {
    const int64_t panels = num_panels(mlp.up), multiple = m.is_gated ? 2 : 1;
    const int64_t first = partition(panels, thread, team, multiple), last = partition(panels, thread + 1, team, multiple);
    float held[ROWS_AT_ONCE][PANEL];
    if (m.is_gated)
      matmul<T>(mlp.up, x, rows, first, last, next_weights, [&](int64_t row, int64_t panel, const float *out) {
        float *gates = held[row % ROWS_AT_ONCE];
        if (panel % 2 == 0) return (void)memcpy(gates, out, sizeof(float) * PANEL);
        for (int i = 0; i < PANEL; i += LANES) store(gates + i, gated(m, load<F>(gates + i), load<F>(out + i)));
        store_gated(mlp, to, row, panel / 2, gates);
      });
    else
      matmul<T>(mlp.up, x, rows, first, last, next_weights, [&](int64_t row, int64_t panel, const float *out) {
        for (int i = 0; i < PANEL; i += LANES) store(held[0] + i, activate(m, load<F>(out + i)));
        store_gated(mlp, to, row, panel, held[0]);
      });
  }

  // Mixture of experts (https://arxiv.org/abs/1701.06538). Only the chosen experts' weights are read. A row's experts are added in
  // their order, and each thread adds to its own columns: the sum does not depend on the batch.
  void run_experts(const llm_layer &layer, int64_t rows, int64_t thread, int64_t team) {
    route_rows(layer, rows, thread, team);
    gather_rows(layer.mlps[0].up, rows * layer.top_k, thread, team);
    for (int64_t e = 0; e < layer.experts; e++) {
      const int64_t first = w.starts[e], count = w.starts[e + 1] - first;
      if (count) up_matmul(layer.mlps[e], rows_from(w.gathered, first), count, rows_from(w.gated, first), NO_WEIGHTS, thread, team);
    }
#pragma omp barrier
    const bool has_norm = layer.mlp_output_norm.weight;
    float *target = has_norm ? w.branch : w.stream;
    const float scale = has_norm ? 1.0f : m.residual_scale;
    for (int64_t e = 0; e < layer.experts; e++) add_expert(layer.mlps[e], w.starts[e], w.starts[e + 1], scale, target, thread, team);
#pragma omp barrier
    if (has_norm) add_branch(layer.mlp_output_norm, rows, thread, team);
  }

  void route_rows(const llm_layer &layer, int64_t rows, int64_t thread, int64_t team) {
    const int64_t panels = num_panels(layer.router);
    matmul<T>(layer.router, w.normed, rows, partition(panels, thread, team), partition(panels, thread + 1, team), NO_WEIGHTS,
              [&](int64_t row, int64_t panel, const float *out) {
                memcpy(w.scores + row * w.scores_width + panel * PANEL, out, sizeof(float) * PANEL);
              });
#pragma omp barrier
    for (int64_t row = partition(rows, thread, team); row < partition(rows, thread + 1, team); row++) {
      choose_experts(w.scores + row * w.scores_width, layer.experts, layer.top_k, m.normalizes_experts, w.choices + row * layer.top_k);
      if (layer.mlp_output_norm.weight) memset(w.branch + row * w.stream_width, 0, sizeof(float) * (size_t)w.stream_width);
    }
#pragma omp barrier
    if (thread == 0) assign_rows(w, rows, layer.experts, layer.top_k);
#pragma omp barrier
  }

  void gather_rows(const llm_linear &up, int64_t count, int64_t thread, int64_t team) {
    for (int64_t i = partition(count, thread, team); i < partition(count, thread + 1, team); i++) {
      const Rows<T> from = rows_from(w.normed, w.assignments[i].row), to = rows_from(w.gathered, i);
      if (up.format == LLM_DENSE)
        memcpy(to.values, from.values, sizeof(Scalar) * (size_t)m.hidden);
      else
        memcpy(to.groups, from.groups, sizeof(Group) * (size_t)from.num_groups());
    }
#pragma omp barrier
  }

  void add_expert(const llm_mlp &mlp, int64_t start, int64_t end, float scale, float *target, int64_t thread, int64_t team) {
    if (start == end) return;
    const int64_t panels = num_panels(mlp.down);
    matmul<T>(mlp.down, rows_from(w.gated, start), end - start, partition(panels, thread, team), partition(panels, thread + 1, team),
              NO_WEIGHTS, [&](int64_t i, int64_t panel, const float *out) {
                const Assignment &assignment = w.assignments[start + i];
                float *to = target + assignment.row * w.stream_width + panel * PANEL;
                for (int j = 0; j < PANEL; j++) to[j] += scale * assignment.weight * out[j];
              });
  }

  void logits(int64_t thread, int64_t team) {
    if (!b.outputs) return;
    norm_rows(m.norm, m.head, b.outputs, thread, team);
    const int64_t panels = num_panels(m.head);
    matmul<T>(m.head, w.normed, b.outputs, partition(panels, thread, team), partition(panels, thread + 1, team), NO_WEIGHTS,
              [&](int64_t row, int64_t panel, const float *out) {
                const int64_t width = min(PANEL, m.vocabulary - panel * PANEL);
                float capped[PANEL];
                if (m.logits_softcap > 0) {
                  for (int i = 0; i < PANEL; i += LANES) store(capped + i, softcap(load<F>(out + i), m.logits_softcap));
                  out = capped;
                }
                memcpy(b.logits + row * m.vocabulary + panel * PANEL, out, sizeof(float) * (size_t)width);
              });
  }
};

}  // namespace
