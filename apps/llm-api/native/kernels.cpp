// Compiled once per instruction set. LLM_KERNELS is the name of the function table, LLM_NAME that of the instruction set.
#include <vector>

#include "check.h"
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

int64_t packed_groups_bytes(int64_t format, int64_t out, int64_t in) {
  return format == LLM_INT8 ? packed_groups_size<8>(out, in) : packed_groups_size<4>(out, in);
}

void pack_groups_any(
    int64_t format, const uint8_t *codes, const uint16_t *scales, const uint16_t *minima, int64_t out, int64_t in, void *packed
) {
  if (format == LLM_INT8)
    pack_groups<8>(codes, scales, minima, out, in, (Block<8> *)packed);
  else
    pack_groups<4>(codes, scales, minima, out, in, (Block<4> *)packed);
}

template <class T>
void matmul_as(const llm_linear &linear, const void *x, int64_t rows, float *y) {
  const auto *values = (const typename T::Scalar *)x;
  std::vector<Group> groups((size_t)(rows * groups_for(linear.in)));
  for (int64_t row = 0; row < rows; row++) {
    Group *to = groups.data() + row * groups_for(linear.in);
    quantize_row(linear.in, to, [&](int64_t i) { return T::to_float(values[row * linear.in + i]); });
  }
  const Rows<T> from = {(typename T::Scalar *)x, groups.data(), linear.in};
  matmul<T>(linear, from, rows, 0, num_panels(linear), NO_WEIGHTS, [&](int64_t row, int64_t panel, const float *out) {
    memcpy(y + row * linear.out + panel * PANEL, out, sizeof(float) * (size_t)min(PANEL, linear.out - panel * PANEL));
  });
}

void matmul(int64_t dtype, const llm_linear *linear, const void *x, int64_t rows, float *y) {
  if (dtype == LLM_FLOAT32)
    matmul_as<Float32>(*linear, x, rows, y);
  else
    matmul_as<BFloat16>(*linear, x, rows, y);
}

int64_t workspace_bytes(const llm_model *model, int64_t rows, int64_t threads) {
  return model->dtype == LLM_FLOAT32 ? Step<Float32>::workspace_bytes(*model, rows, threads)
                                     : Step<BFloat16>::workspace_bytes(*model, rows, threads);
}

const char *check(const llm_model *model) {
  if (model->dtype != LLM_FLOAT32 && model->dtype != LLM_BFLOAT16) return "the dtype is unknown";
  return model->dtype == LLM_FLOAT32 ? ModelCheck<Float32>(*model).run() : ModelCheck<BFloat16>(*model).run();
}

const char *step(const llm_model *model, const llm_batch *batch, void *workspace, int64_t threads) {
  if (const char *error = batch_error(*model, *batch)) return error;
  if (model->dtype == LLM_FLOAT32)
    Step<Float32>(*model, *batch, threads).run(workspace);
  else
    Step<BFloat16>(*model, *batch, threads).run(workspace);
  return nullptr;
}

}  // namespace

extern "C" {
extern const llm_kernels LLM_KERNELS;
const llm_kernels LLM_KERNELS = {LLM_NAME, packed_bytes, pack_any, packed_groups_bytes, pack_groups_any, matmul, check, workspace_bytes, step};
}
