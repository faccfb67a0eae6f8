#include "router/kernels.h"

#include <algorithm>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace router::kernel {

void sum_rows_plain(const std::int8_t* bag, std::uint32_t dim, const std::uint32_t* buckets,
                    std::size_t count, std::int32_t* sum) {
  std::fill_n(sum, dim, 0);
  for (std::size_t i = 0; i < count; ++i) {
    const std::int8_t* row = bag + std::size_t{buckets[i]} * dim;
    for (std::uint32_t d = 0; d < dim; ++d) sum[d] += row[d];
  }
}

#if defined(__x86_64__)
namespace {

#define AVX2 __attribute__((target("avx2")))

constexpr std::size_t kNarrowRows = 256;  // rows of int8 that a 16-bit sum can hold

AVX2 inline __m256i load(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

/// 16 * kParts columns in one pass over the rows, the sums held in registers.
template <int kParts>
AVX2 void sum_columns_avx2(const std::int8_t* bag, std::uint32_t dim, const std::uint32_t* buckets,
                           std::size_t count, std::int32_t* sum) {
  std::fill_n(sum, 16 * kParts, 0);
  for (std::size_t from = 0; from < count; from += kNarrowRows) {
    const std::size_t to = std::min(count, from + kNarrowRows);
    __m256i narrow[kParts] = {};
    for (std::size_t i = from; i < to; ++i) {
      const std::int8_t* row = bag + std::size_t{buckets[i]} * dim;
#pragma GCC unroll 8
      for (int p = 0; p < kParts; ++p) {
        const __m128i part = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + 16 * p));
        narrow[p] = _mm256_add_epi16(_mm256_cvtepi8_epi16(part), narrow[p]);
      }
    }
#pragma GCC unroll 8
    for (int p = 0; p < kParts; ++p) {
      auto* wide = reinterpret_cast<__m256i*>(sum + 16 * p);
      const __m256i low = _mm256_cvtepi16_epi32(_mm256_castsi256_si128(narrow[p]));
      const __m256i high = _mm256_cvtepi16_epi32(_mm256_extracti128_si256(narrow[p], 1));
      _mm256_storeu_si256(wide, _mm256_add_epi32(load(wide), low));
      _mm256_storeu_si256(wide + 1, _mm256_add_epi32(load(wide + 1), high));
    }
  }
}

AVX2 void sum_rows_avx2(const std::int8_t* bag, std::uint32_t dim, const std::uint32_t* buckets,
                        std::size_t count, std::int32_t* sum) {
  std::uint32_t d = 0;
  for (; d + 128 <= dim; d += 128) sum_columns_avx2<8>(bag + d, dim, buckets, count, sum + d);
  for (; d < dim; d += 16) sum_columns_avx2<1>(bag + d, dim, buckets, count, sum + d);
}

#undef AVX2

}  // namespace

void sum_rows(const std::int8_t* bag, std::uint32_t dim, const std::uint32_t* buckets,
              std::size_t count, std::int32_t* sum) {
  static const bool avx2 = __builtin_cpu_supports("avx2");
  (avx2 ? sum_rows_avx2 : sum_rows_plain)(bag, dim, buckets, count, sum);
}

#else

void sum_rows(const std::int8_t* bag, std::uint32_t dim, const std::uint32_t* buckets,
              std::size_t count, std::int32_t* sum) {
  sum_rows_plain(bag, dim, buckets, count, sum);
}

#endif

}  // namespace router::kernel
