// The intermediate results of a step, in one block of memory that the caller provides.
#pragma once
#include "attention.h"
#include "matmul.h"

namespace {

// Rows of one sequence whose attention is computed together.
struct Tile {
  int64_t sequence, first, rows;
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
    gated_width = round_up(m.intermediate, PANEL);
    attention_bytes = Scratch<T>::bytes(TILE_ROWS * (m.heads / m.kv_heads), m.head_dim);
    stream = (float *)allocate(num_rows * stream_width * 4);
    heads = (float *)allocate(num_rows * heads_width * 4);
    const bool quantized = m.head.format != LLM_DENSE;
    const auto allocate_rows = [&](int64_t width, bool values, bool groups) {
      Scalar *values_at = (Scalar *)allocate(values ? num_rows * width * (int64_t)sizeof(Scalar) : 0);
      return Rows<T>{values_at, (Group *)allocate(groups ? num_rows * groups_for(width) * (int64_t)sizeof(Group) : 0), width};
    };
    normed = allocate_rows(m.hidden, !quantized, quantized);
    attended = allocate_rows(m.heads * m.head_dim, true, quantized);
    gated = allocate_rows(gated_width, !quantized, quantized);
    queries = (Scalar *)allocate(num_rows * m.heads * m.head_dim * (int64_t)sizeof(Scalar));
    tiles = (Tile *)allocate(num_rows * (int64_t)sizeof(Tile));
    is_last = allocate(num_rows);
    attention = allocate(threads * attention_bytes);
    return at - memory;
  }
};

}  // namespace
