// The C interface of the native decoder: plain pointers and 64-bit integers, so that it needs no torch headers to build and no
// torch release can break it. engine/models/native/bindings.py mirrors these structs field by field.
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum llm_dtype { LLM_BFLOAT16 = 0, LLM_FLOAT32 = 1 };
enum llm_format { LLM_DENSE = 0, LLM_INT8 = 1, LLM_INT4 = 2 };  // of weights: in the model's dtype or quantized

// y = x W^T + b, with W packed by `pack` or `pack_groups`.
struct llm_linear {
  const void *weight;
  const float *bias;  // [out rounded up to 32] or NULL
  int64_t in, out, format;
};

struct llm_layer {
  const float *input_norm;  // [hidden]
  struct llm_linear qkv;
  const float *query_norm, *key_norm;  // [head dim] or NULL
  struct llm_linear output;
  const float *post_attention_norm;  // [hidden]
  struct llm_linear gate_up;         // panels of gate and up alternate
  struct llm_linear down;
  void *cache;     // this layer's [blocks][block size * 2 * kv heads * head dim]
  float scale;
  int64_t window;  // tokens that a row attends to, itself included; 0: all
};

struct llm_model {
  // Either the weights of all linear layers are quantized, or none.
  int64_t dtype, num_layers, hidden, intermediate, heads, kv_heads, head_dim, vocabulary, block_size;
  float eps;
  const void *embedding;   // [vocabulary, hidden], not packed
  const float *cos, *sin;  // [positions, head dim]; sin includes the sign of rotate_half
  const struct llm_layer *layers;
  const float *norm;
  struct llm_linear head;
};

// One row per token, at least one. The rows of a sequence are adjacent and in order; the last one is the end of its context.
struct llm_batch {
  int64_t rows, sequences, outputs;
  const int64_t *token_ids, *positions, *slots;  // [rows]
  const int64_t *row_starts;                     // [sequences + 1]
  const int64_t *block_tables, *table_starts;    // all block tables concatenated; [sequences + 1]
  const int64_t *logits_rows;                    // [outputs], ascending
  float *logits;                                 // [outputs, vocabulary]
};

struct llm_kernels {
  const char *name;  // the instruction set
  int64_t (*packed_bytes)(int64_t dtype, int64_t out, int64_t in);
  // `weight` is [out, in], row by row.
  void (*pack)(int64_t dtype, const void *weight, int64_t out, int64_t in, void *packed);
  // Quantized weights in groups of 32 along `in`; the last group may be shorter. `codes` is [out, in], one byte per code;
  // `scales` and `minima` are [out, groups], float16; weight = scale * code + minimum.
  int64_t (*packed_groups_bytes)(int64_t format, int64_t out, int64_t in);
  void (*pack_groups)(int64_t format, const uint8_t *codes, const uint16_t *scales, const uint16_t *minima, int64_t out, int64_t in,
                      void *packed);
  // A single matmul, for tests: x is [rows, in] in dtype, y is [rows, out].
  void (*matmul)(int64_t dtype, const struct llm_linear *, const void *x, int64_t rows, float *y);
  int64_t (*workspace_bytes)(const struct llm_model *, int64_t rows, int64_t threads);
  void (*step)(const struct llm_model *, const struct llm_batch *, void *workspace, int64_t threads);
};

// The kernels for an instruction set: avx512_bf16, avx512_vnni, avx512, avx2 or plain. NULL selects the best one of this CPU.
// Returns NULL if the CPU does not support it.
const struct llm_kernels *llm_kernels_for(const char *name);

#ifdef __cplusplus
}
#endif
