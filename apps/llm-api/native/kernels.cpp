// Compiled once per instruction set: LLM_KERNELS names the table, LLM_NAME the set.
#include "step.h"

namespace {

int64_t packed_bytes(int64_t dtype, int64_t out, int64_t in) {
  return dtype == LLM_FLOAT32 ? packed_size<Float32>(out, in) : packed_size<BFloat16>(out, in);
}

void pack_any(int64_t dtype, const void *weight, int64_t out, int64_t in, void *packed) {
  if (dtype == LLM_FLOAT32)
    pack<Float32>((const float *)weight, out, in, (float *)packed);
  else
    pack<BFloat16>((const uint16_t *)weight, out, in, (uint16_t *)packed);
}

int64_t workspace_bytes(const llm_model *model, int64_t rows, int64_t outputs, int64_t threads) {
  return model->dtype == LLM_FLOAT32 ? Step<Float32>::workspace_bytes(*model, rows, outputs, threads)
                                     : Step<BFloat16>::workspace_bytes(*model, rows, outputs, threads);
}

void step(const llm_model *model, const llm_batch *batch, void *workspace, int64_t threads) {
  if (model->dtype == LLM_FLOAT32)
    Step<Float32>(*model, *batch, threads).run(workspace);
  else
    Step<BFloat16>(*model, *batch, threads).run(workspace);
}

}  // namespace

extern "C" {
extern const llm_kernels LLM_KERNELS;
const llm_kernels LLM_KERNELS = {LLM_NAME, packed_bytes, pack_any, workspace_bytes, step};
}
