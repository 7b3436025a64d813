// Checks sizes and pointers, so that a model or a batch at odds with itself is refused before anything reads other memory.
#pragma once
#include <stdio.h>

#include "attention.h"
#include "matmul.h"

namespace {

// The first difference found in a model.
template <class T>
class ModelCheck {
 public:
  explicit ModelCheck(const llm_model &model) : m(model) {}

  const char *run() {
    check_sizes();
    for (int64_t index = 0; !failed && index < m.num_layers; index++) check_layer(index);
    if (!failed) norm(m.norm, m.hidden, true, "the last norm"), linear(m.head, m.hidden, m.vocabulary, "the head");
    return failed ? text : nullptr;
  }

 private:
  const llm_model &m;
  bool failed = false;
  static thread_local char text[200];
  int64_t layer_index = -1;

  void require(bool holds, const char *what) {
    if (holds || failed) return;
    failed = true;
    if (layer_index < 0)
      snprintf(text, sizeof text, "%s", what);
    else
      snprintf(text, sizeof text, "layer %lld: %s", (long long)layer_index, what);
  }

  void check_sizes() {
    require(m.num_layers > 0 && m.layers, "there are no layers");
    require(m.hidden > 0 && m.hidden % 2 == 0, "the hidden size is not even");
    require(m.kv_heads > 0 && m.heads > 0 && m.heads % m.kv_heads == 0, "the kv heads do not divide the heads");
    require(m.head_dim > 0 && m.head_dim % KEYS == 0, "the head dimension is not a multiple of 16");
    require(m.block_size > 0 && m.block_size % KEYS == 0, "the block size is not a multiple of 16");
    require(m.vocabulary > 0 && m.embedding, "there is no embedding");
    require(m.positions > 0 && m.blocks > 0, "there are no positions or no blocks");
    require(m.activation >= LLM_SILU && m.activation <= LLM_CLAMPED_SWIGLU, "the activation is unknown");
    require(m.activation != LLM_CLAMPED_SWIGLU || m.is_gated, "the activation needs a gate");
  }

  void check_layer(int64_t index) {
    layer_index = index;
    const llm_layer &layer = m.layers[index];
    const int64_t queries = m.heads * m.head_dim, keys = m.kv_heads * m.head_dim;
    for (const llm_norm *each : {&layer.attention_norm, &layer.attention_output_norm, &layer.mlp_norm, &layer.mlp_output_norm})
      norm(*each, m.hidden, false, "a norm");
    head_norm(layer.query_norm, queries);
    head_norm(layer.key_norm, keys);
    require(!layer.query_norm.weight == !layer.key_norm.weight, "one of the norms of queries and keys is missing");
    // Either each head is normalized, or all heads together. The size of the queries' norm decides for both.
    const int64_t key_size = layer.query_norm.size == m.head_dim ? m.head_dim : keys;
    require(!layer.query_norm.weight || layer.key_norm.size == key_size, "the norms of queries and keys are of different kinds");
    linear(layer.qkv, m.hidden, queries + 2 * keys, "qkv");
    linear(layer.output, queries, m.hidden, "the output projection");
    require(!layer.cos == !layer.sin, "one of cos and sin is missing");
    require(layer.cache, "there is no cache");
    require(layer.window >= 0, "the window is negative");
    check_mlps(layer);
    layer_index = -1;
  }

  void check_mlps(const llm_layer &layer) {
    require(layer.mlps && layer.experts > 0, "there is no MLP");
    if (failed) return;
    if (layer.router.weight) {
      require(layer.top_k > 0 && layer.top_k <= layer.experts, "the experts per token are not among the experts");
      require(layer.router.format == LLM_DENSE, "the router is quantized");
      packed(layer.router, m.hidden, layer.experts, "the router");
    } else {
      require(layer.experts == 1, "there are several experts and no router");
    }
    const int64_t inner = layer.mlps[0].down.in;
    for (int64_t e = 0; !failed && e < layer.experts; e++) {
      linear(layer.mlps[e].up, m.hidden, m.is_gated ? 2 * round_up(inner, PANEL) : inner, "the up projection");
      linear(layer.mlps[e].down, inner, m.hidden, "the down projection");
    }
  }

  void norm(const llm_norm &norm, int64_t size, bool is_needed, const char *what) {
    require(norm.weight || !is_needed, what);
    require(!norm.weight || norm.size == size, what);
  }

  void head_norm(const llm_norm &norm, int64_t all_heads) {
    require(!norm.weight || norm.size == m.head_dim || norm.size == all_heads, "a norm of the heads");
    require(!norm.bias, "a norm of the heads has a bias");
  }

  void linear(const llm_linear &linear, int64_t in, int64_t out, const char *what) {
    require((linear.format == LLM_DENSE) == (m.head.format == LLM_DENSE), "only some layers are quantized");
    packed(linear, in, out, what);
  }

  void packed(const llm_linear &linear, int64_t in, int64_t out, const char *what) {
    require(linear.format >= LLM_DENSE && linear.format <= LLM_INT4, what);
    require(linear.weight && linear.in == in && linear.out == out && in > 0 && in % 2 == 0 && out > 0, what);
    if (!failed) require(linear.bytes >= num_panels(linear) * panel_bytes<T>(linear), what);
  }
};

template <class T>
thread_local char ModelCheck<T>::text[200];

inline bool all_within(const int64_t *values, int64_t count, int64_t end) {
  for (int64_t i = 0; i < count; i++)
    if (values[i] < 0 || values[i] >= end) return false;
  return true;
}

inline bool is_ascending(const int64_t *values, int64_t count) {
  for (int64_t i = 1; i < count; i++)
    if (values[i] <= values[i - 1]) return false;
  return true;
}

// Whether a sequence's rows have consecutive positions, and its block table has a valid block for each position up to the last.
inline bool sequence_fits(const llm_model &m, const llm_batch &b, int64_t sequence) {
  const int64_t first = b.row_starts[sequence], end = b.row_starts[sequence + 1];
  const int64_t blocks = b.table_starts[sequence + 1] - b.table_starts[sequence];
  if (first < 0 || first >= end || end > b.rows || b.positions[end - 1] / m.block_size >= blocks) return false;
  for (int64_t row = first; row < end; row++)
    if (b.positions[row] != b.positions[first] + row - first) return false;
  return all_within(b.block_tables + b.table_starts[sequence], blocks, m.blocks);
}

inline const char *batch_error(const llm_model &m, const llm_batch &b) {
  if (b.rows < 1 || b.sequences < 1 || b.outputs < 0) return "the batch is empty";
  if (!all_within(b.token_ids, b.rows, m.vocabulary)) return "a token id is not in the vocabulary";
  if (!all_within(b.positions, b.rows, m.positions)) return "a position is beyond the model's context";
  if (!all_within(b.slots, b.rows, m.blocks * m.block_size)) return "a slot is not in the cache";
  if (b.outputs > b.rows) return "there are more outputs than rows";
  if (!all_within(b.logits_rows, b.outputs, b.rows)) return "logits of a row that the batch does not have";
  if (!is_ascending(b.logits_rows, b.outputs)) return "the rows of the logits are not in ascending order";
  if (b.row_starts[0] != 0 || b.row_starts[b.sequences] != b.rows || b.table_starts[0] != 0)
    return "the rows are not those of the sequences";
  for (int64_t s = 0; s < b.sequences; s++)
    if (!sequence_fits(m, b, s)) return "the rows of a sequence do not fit its block table";
  return nullptr;
}

}  // namespace
