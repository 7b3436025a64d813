// One step of a Llama-like decoder, from token ids to logits, in one parallel region.
#pragma once
#include "attention.h"
#include "norm.h"
#include "product.h"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace {

// Of n things, thread t's begin at cut(n, t): n * t / threads, on a multiple of `even`.
inline int64_t cut(int64_t n, int64_t thread, int64_t threads, int64_t even = 1) {
  return least(n, rounded_up(n * thread / threads, even));
}

// A tile of one sequence's rows.
struct Tile {
  int64_t sequence, first, rows;
};

template <class T>
class Step {
 public:
  typedef typename T::Scalar Scalar;

  static int64_t workspace_bytes(const llm_model &m, int64_t rows, int64_t outputs, int64_t threads) {
    Step step(m, llm_batch{rows, 0, outputs, 0, 0, 0, 0, 0, 0, 0, 0}, threads);
    return step.lay_out(nullptr);
  }

  Step(const llm_model &model, const llm_batch &batch, int64_t threads) : m(model), b(batch), threads(threads) {}

  void run(void *workspace) {
    lay_out((char *)workspace);
    make_tiles();
#pragma omp parallel num_threads((int)threads)
    {
#ifdef _OPENMP
      // The runtime may give fewer threads than were asked for.
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
  int64_t stream_width, heads_width, gated_width, num_tiles, attention_bytes;
  float *stream, *heads;  // [rows][stream width], [rows][heads width]
  Rows<T> normed, attended, gated;  // what the products take
  Scalar *queries;
  char *attention;
  Tile *tiles;
  char *is_last;  // [rows], of its sequence

  int64_t lay_out(char *memory) {
    char *at = memory;
    const auto take = [&](int64_t bytes) {
      char *taken = at;
      at += rounded_up(bytes, 64);
      return taken;
    };
    stream_width = rounded_up(m.hidden, PANEL);
    heads_width = rounded_up((m.heads + 2 * m.kv_heads) * m.head_dim, PANEL);
    gated_width = rounded_up(m.intermediate, PANEL);
    attention_bytes = Scratch<T>::bytes(TILE_ROWS * (m.heads / m.kv_heads), m.head_dim);
    stream = (float *)take(b.rows * stream_width * 4);
    heads = (float *)take(b.rows * heads_width * 4);
    const bool quantised = m.head.format != LLM_WHOLE;
    const auto take_rows = [&](int64_t rows, int64_t width, bool values, bool groups) {
      Scalar *values_at = (Scalar *)take(values ? rows * width * (int64_t)sizeof(Scalar) : 0);
      return Rows<T>{values_at, (Group *)take(groups ? rows * groups_for(width) * (int64_t)sizeof(Group) : 0), width};
    };
    normed = take_rows(b.rows, m.hidden, !quantised, quantised);
    attended = take_rows(b.rows, m.heads * m.head_dim, true, quantised);
    gated = take_rows(b.rows, gated_width, !quantised, quantised);
    queries = (Scalar *)take(b.rows * m.heads * m.head_dim * (int64_t)sizeof(Scalar));
    tiles = (Tile *)take(b.rows * (int64_t)sizeof(Tile));
    is_last = take(b.rows);
    attention = take(threads * attention_bytes);
    return at - memory;
  }

  void make_tiles() {
    num_tiles = 0;
    memset(is_last, 0, (size_t)b.rows);
    for (int64_t s = 0; s < b.sequences; s++) {
      const int64_t end = b.row_starts[s + 1];
      is_last[end - 1] = 1;
      for (int64_t row = b.row_starts[s]; row < end; row += TILE_ROWS) tiles[num_tiles++] = {s, row, least(TILE_ROWS, end - row)};
    }
  }

  void embed(int64_t thread, int64_t team) {
    for (int64_t row = cut(b.rows, thread, team); row < cut(b.rows, thread + 1, team); row++) {
      const Scalar *from = (const Scalar *)m.embedding + b.token_ids[row] * m.hidden;
      for (int64_t i = 0; i < m.hidden; i++) stream[row * stream_width + i] = T::widen(from[i]);
      for (int64_t i = m.hidden; i < stream_width; i++) stream[row * stream_width + i] = 0;
    }
#pragma omp barrier
  }

  void layer(int64_t index, int64_t thread, int64_t team) {
    const llm_layer &layer = m.layers[index];
    const llm_linear &next = index + 1 < m.num_layers ? m.layers[index + 1].qkv : m.head;
    norm_rows(layer.input_norm, layer.qkv, b.rows, thread, team);
    project_heads(layer, thread, team);
    rotate_rows(layer, thread, team);
    int64_t rows = b.rows;
    if (index + 1 == m.num_layers) {
      if (!b.outputs) return;  // part of a prompt: its keys and values were all that was wanted
      rows = b.outputs;
    }
    attend_tiles(layer, thread, team);
    if (rows < b.rows) keep_outputs(thread);
    if (layer.output.format != LLM_WHOLE) quantise_attended(rows, thread, team);
    add_product(layer.output, attended, rows, share(layer.gate_up, thread, team, 2), thread, team);
    norm_rows(layer.post_attention_norm, layer.gate_up, rows, thread, team);
    gate(layer, rows, thread, team);
    add_product(layer.down, gated, rows, share(next, thread, team), thread, team);
  }

  // After the last attention nobody looks at the other rows any more: those whose logits are wanted move to the front.
  void keep_outputs(int64_t thread) {
    if (thread == 0)
      for (int64_t i = 0; i < b.outputs; i++) {
        memmove(stream + i * stream_width, stream + b.logits_rows[i] * stream_width, sizeof(float) * (size_t)stream_width);
        memmove(attended.values + i * attended.stride, attended.values + b.logits_rows[i] * attended.stride, sizeof(Scalar) * (size_t)attended.stride);
      }
#pragma omp barrier
  }

  Share share(const llm_linear &linear, int64_t thread, int64_t team, int64_t even = 1) const {
    const int64_t panels = num_panels(linear);
    return share_of(linear, panel_bytes<T>(linear), cut(panels, thread, team, even), cut(panels, thread + 1, team, even));
  }

  void norm_rows(const float *weight, const llm_linear &next, int64_t rows, int64_t thread, int64_t team) {
    for (int64_t row = cut(rows, thread, team); row < cut(rows, thread + 1, team); row++) norm_row(row, weight, next);
#pragma omp barrier
  }

  void norm_row(int64_t row, const float *weight, const llm_linear &next) {
    const float *from = stream + row * stream_width;
    if (next.format == LLM_WHOLE)
      normalise<T>(from, weight, m.hidden, m.eps, normed.values + row * normed.stride);
    else
      normalise_groups(from, weight, m.hidden, m.eps, normed.groups + row * normed.num_groups());
  }

  void quantise_attended(int64_t rows, int64_t thread, int64_t team) {
    for (int64_t row = cut(rows, thread, team); row < cut(rows, thread + 1, team); row++) {
      const Scalar *from = attended.values + row * attended.stride;
      quantise_row(attended.stride, attended.groups + row * attended.num_groups(), [&](int64_t i) { return T::widen(from[i]); });
    }
#pragma omp barrier
  }

  void project_heads(const llm_layer &layer, int64_t thread, int64_t team) {
    const int64_t panels = num_panels(layer.qkv);
    product<T>(layer.qkv, normed, b.rows, cut(panels, thread, team), cut(panels, thread + 1, team),
               share(layer.output, thread, team), [&](int64_t row, int64_t panel, const float *out) {
                 memcpy(heads + row * heads_width + panel * PANEL, out, sizeof(float) * PANEL);
               });
#pragma omp barrier
  }

  // Rows of a sequence share blocks, but no slots: no two threads write the same memory.
  void rotate_rows(const llm_layer &layer, int64_t thread, int64_t team) {
    const int64_t dim = m.head_dim, block = m.block_size * 2 * m.kv_heads * dim, units = b.rows * m.kv_heads;
    const int64_t group = m.heads / m.kv_heads;
    for (int64_t unit = cut(units, thread, team); unit < cut(units, thread + 1, team); unit++) {
      const int64_t row = unit / m.kv_heads, kv = unit % m.kv_heads, slot = b.slots[row];
      const float *cos = m.cos + b.positions[row] * dim, *sin = m.sin + b.positions[row] * dim;
      float *all_heads = heads + row * heads_width;
      for (int64_t h = kv * group; h < (kv + 1) * group; h++) {
        rotate(all_heads + h * dim, layer.query_norm, dim, m.eps, cos, sin);
        for (int64_t d = 0; d < dim; d += LANES)
          T::narrow_vector(queries + (row * m.heads + h) * dim + d, load<F>(all_heads + h * dim + d));
      }
      float *key = all_heads + (m.heads + kv) * dim;
      rotate(key, layer.key_norm, dim, m.eps, cos, sin);
      Scalar *at = (Scalar *)layer.cache + slot / m.block_size * block + kv * 2 * m.block_size * dim;
      remember<T>(key, all_heads + (m.heads + m.kv_heads + kv) * dim, at, slot % m.block_size, dim, m.block_size);
      if (is_last[row]) forget_after<T>(at, slot % m.block_size, dim, m.block_size);
    }
#pragma omp barrier
  }

  void attend_tiles(const llm_layer &layer, int64_t thread, int64_t team) {
    const int64_t units = num_tiles * m.kv_heads;
#pragma omp for schedule(dynamic, 1)
    for (int64_t unit = 0; unit < units; unit++) {
      Look<T> look = look_of(layer, unit), next = look_of(layer, least(unit + team, units - 1));
      look.next = &next;
      attend(look, attention + thread * attention_bytes);
    }
  }

  // Of a tile's kv head.
  Look<T> look_of(const llm_layer &layer, int64_t unit) const {
    const Tile &tile = tiles[num_tiles - 1 - unit / m.kv_heads];  // the longest come last: they start first
    const int64_t kv = unit % m.kv_heads, dim = m.head_dim, group = m.heads / m.kv_heads;
    const int64_t at = (tile.first * m.heads + kv * group) * dim;
    return {queries + at,
            attended.values + at,
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

  void add_product(const llm_linear &linear, const Rows<T> &x, int64_t rows, Share after, int64_t thread, int64_t team) {
    const int64_t panels = num_panels(linear);
    product<T>(linear, x, rows, cut(panels, thread, team), cut(panels, thread + 1, team), after,
               [&](int64_t row, int64_t panel, const float *out) {
                 float *to = stream + row * stream_width + panel * PANEL;
                 for (int i = 0; i < PANEL; i++) to[i] += out[i];
               });
#pragma omp barrier
  }

  // SwiGLU (https://arxiv.org/abs/2002.05202): a panel of gate comes just before the panel of up that it multiplies.
  void gate(const llm_layer &layer, int64_t rows, int64_t thread, int64_t team) {
    const int64_t panels = num_panels(layer.gate_up);
    float waiting[ROWS_AT_ONCE][PANEL];
    product<T>(layer.gate_up, normed, rows, cut(panels, thread, team, 2), cut(panels, thread + 1, team, 2),
               share(layer.down, thread, team), [&](int64_t row, int64_t panel, const float *out) {
                 float *gates = waiting[row % ROWS_AT_ONCE];
                 if (panel % 2 == 0) {
                   memcpy(gates, out, sizeof(float) * PANEL);
                   return;
                 }
                 for (int i = 0; i < PANEL; i += LANES) store(gates + i, silu(load<F>(gates + i)) * load<F>(out + i));
                 if (layer.down.format != LLM_WHOLE) return quantise(gates, gated.groups[row * gated.num_groups() + panel / 2]);
                 Scalar *to = gated.values + row * gated.stride + panel / 2 * PANEL;
                 for (int i = 0; i < PANEL; i += LANES) T::narrow_vector(to + i, load<F>(gates + i));
               });
#pragma omp barrier
  }

  void logits(int64_t thread, int64_t team) {
    if (!b.outputs) return;
    norm_rows(m.norm, m.head, b.outputs, thread, team);
    const int64_t panels = num_panels(m.head);
    product<T>(m.head, normed, b.outputs, cut(panels, thread, team), cut(panels, thread + 1, team), NOTHING,
               [&](int64_t row, int64_t panel, const float *out) {
                 const int64_t width = least(PANEL, m.vocabulary - panel * PANEL);
                 memcpy(b.logits + row * m.vocabulary + panel * PANEL, out, sizeof(float) * (size_t)width);
               });
  }
};

}  // namespace
