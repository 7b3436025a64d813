// Selects the kernels for the CPU's instruction set at run time.
#include <string.h>

#include "llm_step.h"

extern "C" {
extern const llm_kernels llm_kernels_plain;
#ifdef __x86_64__
extern const llm_kernels llm_kernels_avx512_bf16, llm_kernels_avx512_vnni, llm_kernels_avx512, llm_kernels_avx2;
#endif
}

namespace {

struct Candidate {
  const llm_kernels *kernels;
  bool is_supported;
};

}  // namespace

extern "C" __attribute__((visibility("default"))) const llm_kernels *llm_kernels_for(const char *name) {
#ifdef __x86_64__
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512dq");
  const bool vnni = avx512 && __builtin_cpu_supports("avx512vnni");
  const Candidate candidates[] = {
      {&llm_kernels_avx512_bf16, vnni && __builtin_cpu_supports("avx512bf16")},
      {&llm_kernels_avx512_vnni, vnni},
      {&llm_kernels_avx512, avx512},
      {&llm_kernels_avx2, avx2},
      {&llm_kernels_plain, true},
  };
#else
  const Candidate candidates[] = {{&llm_kernels_plain, true}};
#endif
  for (const Candidate &candidate : candidates)
    if (candidate.is_supported && (!name || !strcmp(name, candidate.kernels->name))) return candidate.kernels;
  return nullptr;
}
