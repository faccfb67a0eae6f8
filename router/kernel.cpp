#include "router/kernel.h"

#include <algorithm>
#include <cstring>

namespace router::kernel {
namespace {

#define ALWAYS_INLINE inline __attribute__((always_inline))

using Lanes = float __attribute__((vector_size(32)));

bool has_avx2() {
#if defined(__x86_64__)
  static const bool has = __builtin_cpu_supports("avx2");
  return has;
#else
  return false;
#endif
}

/// Sixteen columns at a time in 16-bit sums, widened before 256 rows could overflow them.
template <std::uint32_t kBlock>
ALWAYS_INLINE void sum_block(const std::int8_t* bag, std::uint32_t dim, const std::uint32_t* buckets,
                             std::size_t count, std::int32_t* sum) {
  std::int32_t wide[kBlock] = {};
  for (std::size_t from = 0; from < count; from += 256) {
    const std::size_t to = std::min(count, from + 256);
    std::int16_t narrow[kBlock] = {};
    for (std::size_t i = from; i < to; ++i) {
      const std::int8_t* row = bag + std::size_t{buckets[i]} * dim;
      for (std::uint32_t d = 0; d < kBlock; ++d) narrow[d] = static_cast<std::int16_t>(narrow[d] + row[d]);
    }
    for (std::uint32_t d = 0; d < kBlock; ++d) wide[d] += narrow[d];
  }
  std::memcpy(sum, wide, sizeof wide);
}

ALWAYS_INLINE void sum_rows_body(const std::int8_t* bag, std::uint32_t dim, const std::uint32_t* buckets,
                                 std::size_t count, std::int32_t* sum) {
  std::uint32_t d = 0;
  for (; d + 64 <= dim; d += 64) sum_block<64>(bag + d, dim, buckets, count, sum + d);
  for (; d < dim; d += 16) sum_block<16>(bag + d, dim, buckets, count, sum + d);
}

ALWAYS_INLINE void dot_rows_body(const std::int8_t* a, const std::int8_t* rows, std::size_t count,
                                 std::uint32_t dim, std::int32_t* out) {
  for (std::size_t r = 0; r < count; ++r) {
    const std::int8_t* row = rows + r * dim;
    std::int32_t sum = 0;
    for (std::uint32_t d = 0; d < dim; ++d) sum += std::int32_t{a[d]} * std::int32_t{row[d]};
    out[r] = sum;
  }
}

ALWAYS_INLINE float dot_body(const float* a, const float* b, std::size_t n) {
  Lanes sum = {};
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    Lanes x, y;
    std::memcpy(&x, a + i, sizeof x);
    std::memcpy(&y, b + i, sizeof y);
    sum += x * y;
  }
  float total = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
  for (; i < n; ++i) total += a[i] * b[i];
  return total;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) void sum_rows_avx2(const std::int8_t* bag, std::uint32_t dim,
                                                   const std::uint32_t* buckets, std::size_t count,
                                                   std::int32_t* sum) {
  sum_rows_body(bag, dim, buckets, count, sum);
}

__attribute__((target("avx2"))) void dot_rows_avx2(const std::int8_t* a, const std::int8_t* rows,
                                                   std::size_t count, std::uint32_t dim, std::int32_t* out) {
  dot_rows_body(a, rows, count, dim, out);
}

__attribute__((target("avx2"))) float dot_avx2(const float* a, const float* b, std::size_t n) {
  return dot_body(a, b, n);
}
#endif

}  // namespace

void sum_rows(const std::int8_t* bag, std::uint32_t dim, const std::uint32_t* buckets, std::size_t count,
              std::int32_t* sum) {
#if defined(__x86_64__)
  if (has_avx2()) return sum_rows_avx2(bag, dim, buckets, count, sum);
#endif
  sum_rows_body(bag, dim, buckets, count, sum);
}

void dot_rows(const std::int8_t* a, const std::int8_t* rows, std::size_t count, std::uint32_t dim,
              std::int32_t* out) {
#if defined(__x86_64__)
  if (has_avx2()) return dot_rows_avx2(a, rows, count, dim, out);
#endif
  dot_rows_body(a, rows, count, dim, out);
}

float dot(const float* a, const float* b, std::size_t n) {
#if defined(__x86_64__)
  if (has_avx2()) return dot_avx2(a, b, n);
#endif
  return dot_body(a, b, n);
}

void add_scaled(const std::uint8_t* score, float w, std::size_t n, float* sum) {
  for (std::size_t e = 0; e < n; ++e) sum[e] += w * static_cast<float>(score[e]);
}

}  // namespace router::kernel
