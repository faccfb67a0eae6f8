#include "experts/moe/kernels/kernels.h"

namespace moe {

bool can_run(const Kernels& kernels) {
  const auto is = [&](const Kernels& table) {
    return &kernels == &table || &kernels == table.coarse;
  };
  if (is(kPortable)) return true;
#if defined(__x86_64__)
  // Every processor with AVX2 converts halves (F16C); clang 14 cannot ask for it.
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (is(kAvx2)) return avx2;
  if (is(kAvx512)) {
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
  }
#endif
  return false;
}

const Kernels& pick_kernels(bool coarse) {
  static const Kernels& best = can_run(kAvx512) ? kAvx512 : can_run(kAvx2) ? kAvx2 : kPortable;
  return coarse ? *best.coarse : best;
}

}  // namespace moe
