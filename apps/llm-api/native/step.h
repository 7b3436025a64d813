// One step of a Llama-like decoder, from token ids to logits, in one OpenMP parallel region.
#pragma once
#include "norm.h"
#include "workspace.h"

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
      for (int64_t i = 0; i < m.hidden; i++) w.stream[row * w.stream_width + i] = T::to_float(from[i]);
      for (int64_t i = m.hidden; i < w.stream_width; i++) w.stream[row * w.stream_width + i] = 0;
    }
#pragma omp barrier
  }

  void layer(int64_t index, int64_t thread, int64_t team) {
    const llm_layer &layer = m.layers[index];
    const llm_linear &next = index + 1 < m.num_layers ? m.layers[index + 1].qkv : m.head;
    norm_rows(layer.input_norm, layer.qkv, b.rows, thread, team);
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
    add_matmul(layer.output, w.attended, rows, weights_of(layer.gate_up, thread, team, 2), thread, team);
    norm_rows(layer.post_attention_norm, layer.gate_up, rows, thread, team);
    swiglu(layer, rows, thread, team);
    add_matmul(layer.down, w.gated, rows, weights_of(next, thread, team), thread, team);
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

  void norm_rows(const float *weight, const llm_linear &next, int64_t rows, int64_t thread, int64_t team) {
    for (int64_t row = partition(rows, thread, team); row < partition(rows, thread + 1, team); row++) norm_row(row, weight, next);
#pragma omp barrier
  }

  void norm_row(int64_t row, const float *weight, const llm_linear &next) {
    const float *from = w.stream + row * w.stream_width;
    if (next.format == LLM_DENSE)
      rms_norm<T>(from, weight, m.hidden, m.eps, w.normed.values + row * w.normed.stride);
    else
      rms_norm_quantized(from, weight, m.hidden, m.eps, w.normed.groups + row * w.normed.num_groups());
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

  // Rows of a sequence share blocks but not slots, so no two threads write to the same memory.
  void rotate_and_cache_rows(const llm_layer &layer, int64_t thread, int64_t team) {
    const int64_t dim = m.head_dim, block = m.block_size * 2 * m.kv_heads * dim, units = b.rows * m.kv_heads;
    const int64_t group = m.heads / m.kv_heads;
    for (int64_t unit = partition(units, thread, team); unit < partition(units, thread + 1, team); unit++) {
      const int64_t row = unit / m.kv_heads, kv = unit % m.kv_heads, slot = b.slots[row];
      const float *cos = m.cos + b.positions[row] * dim, *sin = m.sin + b.positions[row] * dim;
      float *all_heads = w.heads + row * w.heads_width;
      for (int64_t h = kv * group; h < (kv + 1) * group; h++) {
        apply_rope(all_heads + h * dim, layer.query_norm, dim, m.eps, cos, sin);
        for (int64_t d = 0; d < dim; d += LANES)
          T::store_vector(w.queries + (row * m.heads + h) * dim + d, load<F>(all_heads + h * dim + d));
      }
      float *key = all_heads + (m.heads + kv) * dim;
      apply_rope(key, layer.key_norm, dim, m.eps, cos, sin);
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
            nullptr};
  }

  void add_matmul(const llm_linear &linear, const Rows<T> &x, int64_t rows, WeightRange next_weights, int64_t thread, int64_t team) {
    const int64_t panels = num_panels(linear);
    matmul<T>(linear, x, rows, partition(panels, thread, team), partition(panels, thread + 1, team), next_weights,
              [&](int64_t row, int64_t panel, const float *out) {
                float *to = w.stream + row * w.stream_width + panel * PANEL;
                for (int i = 0; i < PANEL; i++) to[i] += out[i];
              });
#pragma omp barrier
  }

  // SwiGLU (https://arxiv.org/abs/2002.05202). A panel of gate comes before the panel of up that it multiplies.
  void swiglu(const llm_layer &layer, int64_t rows, int64_t thread, int64_t team) {
    const int64_t panels = num_panels(layer.gate_up);
    float gate_panels[ROWS_AT_ONCE][PANEL];
    matmul<T>(layer.gate_up, w.normed, rows, partition(panels, thread, team, 2), partition(panels, thread + 1, team, 2),
              weights_of(layer.down, thread, team), [&](int64_t row, int64_t panel, const float *out) {
                float *gates = gate_panels[row % ROWS_AT_ONCE];
                if (panel % 2 == 0) {
                  memcpy(gates, out, sizeof(float) * PANEL);
                  return;
                }
                for (int i = 0; i < PANEL; i += LANES) store(gates + i, silu(load<F>(gates + i)) * load<F>(out + i));
                if (layer.down.format != LLM_DENSE) return quantize(gates, w.gated.groups[row * w.gated.num_groups() + panel / 2]);
                Scalar *to = w.gated.values + row * w.gated.stride + panel / 2 * PANEL;
                for (int i = 0; i < PANEL; i += LANES) T::store_vector(to + i, load<F>(gates + i));
              });
#pragma omp barrier
  }

  void logits(int64_t thread, int64_t team) {
    if (!b.outputs) return;
    norm_rows(m.norm, m.head, b.outputs, thread, team);
    const int64_t panels = num_panels(m.head);
    matmul<T>(m.head, w.normed, b.outputs, partition(panels, thread, team), partition(panels, thread + 1, team), NO_WEIGHTS,
              [&](int64_t row, int64_t panel, const float *out) {
                const int64_t width = min(PANEL, m.vocabulary - panel * PANEL);
                memcpy(b.logits + row * m.vocabulary + panel * PANEL, out, sizeof(float) * (size_t)width);
              });
  }
};

}  // namespace
