#include "router/kernels.h"

#include <algorithm>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace router::kernel {
namespace {

#define ALWAYS_INLINE inline __attribute__((always_inline))

using Lanes = float __attribute__((vector_size(32)));

#if defined(__x86_64__)
bool has_avx2() {
  static const bool has = __builtin_cpu_supports("avx2");
  return has;
}
#endif

void sum_rows_plain(const std::int8_t* bag, std::uint32_t dim, const std::uint32_t* buckets,
                    std::size_t count, std::int32_t* sum) {
  std::fill(sum, sum + dim, 0);
  for (std::size_t i = 0; i < count; ++i) {
    const std::int8_t* row = bag + std::size_t{buckets[i]} * dim;
    for (std::uint32_t d = 0; d < dim; ++d) sum[d] += row[d];
  }
}

void dot_rows_plain(const std::int8_t* a, const std::int8_t* rows, std::size_t count,
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
/// Sixteen int8 as int16.
__attribute__((target("avx2"))) inline __m256i widen(const std::int8_t* from) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}

/// 16-bit sums of kParts * 16 columns in registers, widened before 256 rows could overflow them.
template <int kParts>
__attribute__((target("avx2"))) void sum_columns_avx2(const std::int8_t* bag, std::uint32_t dim,
                                                      const std::uint32_t* buckets,
                                                      std::size_t count, std::int32_t* sum) {
  std::fill(sum, sum + kParts * 16, 0);
  for (std::size_t from = 0; from < count; from += 256) {
    const std::size_t to = std::min(count, from + 256);
    __m256i part[kParts];
    for (auto& p : part) p = _mm256_setzero_si256();
    for (std::size_t i = from; i < to; ++i) {
      const std::int8_t* row = bag + std::size_t{buckets[i]} * dim;
      for (int j = 0; j < kParts; ++j) part[j] = _mm256_add_epi16(part[j], widen(row + 16 * j));
    }
    for (int j = 0; j < kParts; ++j) {
      alignas(32) std::int16_t narrow[16];
      _mm256_store_si256(reinterpret_cast<__m256i*>(narrow), part[j]);
      for (int d = 0; d < 16; ++d) sum[16 * j + d] += narrow[d];
    }
  }
}

__attribute__((target("avx2"))) void sum_rows_avx2(const std::int8_t* bag, std::uint32_t dim,
                                                   const std::uint32_t* buckets, std::size_t count,
                                                   std::int32_t* sum) {
  std::uint32_t d = 0;
  for (; d + 128 <= dim; d += 128) sum_columns_avx2<8>(bag + d, dim, buckets, count, sum + d);
  for (; d < dim; d += 16) sum_columns_avx2<1>(bag + d, dim, buckets, count, sum + d);
}

__attribute__((target("avx2"))) void dot_rows_avx2(const std::int8_t* a, const std::int8_t* rows,
                                                   std::size_t count, std::uint32_t dim,
                                                   std::int32_t* out) {
  for (std::size_t r = 0; r < count; ++r) {
    const std::int8_t* row = rows + r * dim;
    __m256i sum = _mm256_setzero_si256();
    for (std::uint32_t d = 0; d < dim; d += 16) {
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(widen(a + d), widen(row + d)));
    }
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4E));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xB1));
    out[r] = _mm_cvtsi128_si32(half);
  }
}

__attribute__((target("avx2"))) float dot_avx2(const float* a, const float* b, std::size_t n) {
  return dot_body(a, b, n);
}
#endif

}  // namespace

void sum_rows(const std::int8_t* bag, std::uint32_t dim, const std::uint32_t* buckets,
              std::size_t count, std::int32_t* sum) {
#if defined(__x86_64__)
  if (has_avx2()) return sum_rows_avx2(bag, dim, buckets, count, sum);
#endif
  sum_rows_plain(bag, dim, buckets, count, sum);
}

void dot_rows(const std::int8_t* a, const std::int8_t* rows, std::size_t count, std::uint32_t dim,
              std::int32_t* out) {
#if defined(__x86_64__)
  if (has_avx2()) return dot_rows_avx2(a, rows, count, dim, out);
#endif
  dot_rows_plain(a, rows, count, dim, out);
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
