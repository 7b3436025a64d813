// The C interface of the native decoder: plain pointers and 64-bit integers, so that it needs no torch headers to build and no
// torch release can break it. engine/models/native/bindings.py mirrors these structs field by field.
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum llm_dtype { LLM_BFLOAT16 = 0, LLM_FLOAT32 = 1 };
enum llm_format { LLM_DENSE = 0, LLM_INT8 = 1, LLM_INT4 = 2 };  // of weights: in the model's dtype or quantized

enum llm_activation { LLM_SILU = 0, LLM_GELU = 1, LLM_GELU_TANH = 2, LLM_CLAMPED_SWIGLU = 3 };

// y = x W^T + b, with W packed by `pack` or `pack_groups`.
struct llm_linear {
  const void *weight;
  const float *bias;  // [out rounded up to 32] or NULL
  int64_t in, out, format;
  int64_t bytes;  // of `weight`
};

// RMSNorm, or LayerNorm if it has a bias. `weight` is NULL if there is no norm.
struct llm_norm {
  const float *weight, *bias;  // [size]
  int64_t size;
};

struct llm_mlp {
  struct llm_linear up;  // gated: panels of gate and up alternate
  struct llm_linear down;
};

struct llm_layer {
  struct llm_norm attention_norm, attention_output_norm;
  struct llm_linear qkv;
  struct llm_norm query_norm, key_norm;  // of a head, or of all heads together: RMSNorms
  struct llm_linear output;
  const float *cos, *sin;  // [positions, head dim]; sin includes the sign of rotate_half; NULL: positions change nothing
  const float *sinks;      // [heads], scores that take weight from the keys; NULL: none
  struct llm_norm mlp_norm, mlp_output_norm;
  const struct llm_mlp *mlps;  // [experts], or the only one
  struct llm_linear router;    // its weight is NULL if there are no experts; never quantized
  int64_t experts, top_k;
  void *cache;  // this layer's [blocks][block size * 2 * kv heads * head dim]
  float scale;
  int64_t window;  // tokens that a row attends to, itself included; 0: all
};

struct llm_model {
  // Either the weights of all linear layers except routers are quantized, or none.
  int64_t dtype, num_layers, hidden, heads, kv_heads, head_dim, vocabulary, positions, blocks, block_size;
  int64_t activation;          // llm_activation
  int64_t is_gated;            // whether an MLP multiplies with an activated gate
  int64_t normalizes_experts;  // whether the weights of a row's experts are the softmax of their scores alone
  float eps, embedding_scale, residual_scale;
  float attention_softcap, logits_softcap;  // 0: none
  float swiglu_alpha, swiglu_limit;         // of LLM_CLAMPED_SWIGLU
  const void *embedding;                    // [vocabulary, hidden], not packed
  const struct llm_layer *layers;
  struct llm_norm norm;
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
  // Why a model cannot be computed without reading other memory, or NULL. To be called once, before the first step.
  const char *(*check)(const struct llm_model *);
  int64_t (*workspace_bytes)(const struct llm_model *, int64_t rows, int64_t threads);
  // Returns NULL, or why it computed nothing: a batch that would read or write other memory.
  const char *(*step)(const struct llm_model *, const struct llm_batch *, void *workspace, int64_t threads);
};

// The kernels for an instruction set: avx512_bf16, avx512_vnni, avx512, avx2 or plain. NULL selects the best one of this CPU.
// Returns NULL if the CPU does not support it.
const struct llm_kernels *llm_kernels_for(const char *name);

#ifdef __cplusplus
}
#endif
