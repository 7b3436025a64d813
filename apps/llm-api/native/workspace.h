// The intermediate results of a step, in one block of memory that the caller provides.
#pragma once
#include "attention.h"
#include "matmul.h"

namespace {

// Rows of one sequence whose attention is computed together.
struct Tile {
  int64_t sequence, first, rows;
};

// A row that goes through an expert, with the weight of the expert's output.
struct Assignment {
  int64_t row;
  float weight;
};

// The experts of a row, best first.
struct Choice {
  int64_t expert;
  float weight;
};

template <class T>
struct Workspace {
  typedef typename T::Scalar Scalar;

  int64_t stream_width, heads_width, gated_width, num_tiles, attention_bytes;
  float *stream, *heads;            // the residual stream [rows][stream width]; queries, keys and values [rows][heads width]
  Rows<T> normed, attended, gated;  // the inputs of matmuls
  Scalar *queries;                  // [rows][heads * head dim], after RoPE
  char *attention;                  // scratch memory, attention_bytes per thread
  Tile *tiles;
  char *is_last;  // [rows], whether the row is the last of its sequence
  float *branch;  // [rows][stream width], a branch's output before its norm

  // Of layers with experts. A row has `top_k` assignments, which are sorted by expert.
  int64_t scores_width;
  float *scores;            // of the router, [rows][scores width]
  Choice *choices;          // [rows][top k]
  Assignment *assignments;  // [rows * top k]
  int64_t *starts;          // [experts + 1], where an expert's assignments begin
  Rows<T> gathered;         // the inputs of the assignments

  // Sets the pointers for `memory` and returns the bytes needed. NULL: only computes the size.
  int64_t lay_out(char *memory, const llm_model &m, int64_t num_rows, int64_t threads) {
    char *at = memory;
    const auto allocate = [&](int64_t bytes) {
      char *allocated = at;
      at += round_up(bytes, 64);
      return allocated;
    };
    stream_width = round_up(m.hidden, PANEL);
    heads_width = round_up((m.heads + 2 * m.kv_heads) * m.head_dim, PANEL);
    int64_t inner = 0, experts = 0, top_k = 1;
    bool has_output_norms = false;
    for (int64_t index = 0; index < m.num_layers; index++) {
      const llm_layer &layer = m.layers[index];
      inner = max(inner, layer.mlps[0].down.in);
      has_output_norms |= layer.attention_output_norm.weight || layer.mlp_output_norm.weight;
      if (layer.router.weight) experts = max(experts, layer.experts), top_k = max(top_k, layer.top_k);
    }
    gated_width = round_up(inner, PANEL);
    attention_bytes = Scratch<T>::bytes(TILE_ROWS * (m.heads / m.kv_heads), m.head_dim);
    stream = (float *)allocate(num_rows * stream_width * 4);
    heads = (float *)allocate(num_rows * heads_width * 4);
    const bool quantized = m.head.format != LLM_DENSE;
    const auto allocate_rows = [&](int64_t count, int64_t width, bool values, bool groups) {
      Scalar *values_at = (Scalar *)allocate(values ? count * width * (int64_t)sizeof(Scalar) : 0);
      return Rows<T>{values_at, (Group *)allocate(groups ? count * groups_for(width) * (int64_t)sizeof(Group) : 0), width};
    };
    normed = allocate_rows(num_rows, m.hidden, !quantized || experts, quantized);  // a router is never quantized
    attended = allocate_rows(num_rows, m.heads * m.head_dim, true, quantized);
    gated = allocate_rows(num_rows * top_k, gated_width, !quantized, quantized);
    branch = (float *)allocate(has_output_norms ? num_rows * stream_width * 4 : 0);
    scores_width = round_up(experts, PANEL);
    const int64_t assigned = experts ? num_rows * top_k : 0;
    scores = (float *)allocate(num_rows * scores_width * 4);
    choices = (Choice *)allocate(assigned * (int64_t)sizeof(Choice));
    assignments = (Assignment *)allocate(assigned * (int64_t)sizeof(Assignment));
    starts = (int64_t *)allocate((experts + 1) * 8);
    gathered = allocate_rows(assigned, m.hidden, !quantized, quantized);
    queries = (Scalar *)allocate(num_rows * m.heads * m.head_dim * (int64_t)sizeof(Scalar));
    tiles = (Tile *)allocate(num_rows * (int64_t)sizeof(Tile));
    is_last = allocate(num_rows);
    attention = allocate(threads * attention_bytes);
    return at - memory;
  }
};

}  // namespace
