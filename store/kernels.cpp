#include "store/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace store::kernel {

void dot_rows_plain(const std::int8_t* rows, std::size_t stride, std::size_t count,
                    const std::int8_t* query, std::int32_t* dots) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::int8_t* row = rows + i * stride;
    std::int32_t sum = 0;
    for (std::size_t d = 0; d < stride; ++d) sum += row[d] * query[d];
    dots[i] = sum;
  }
}

#if defined(__x86_64__)
namespace {

#define AVX2 __attribute__((target("avx2")))

AVX2 inline __m256i load(const std::int8_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

AVX2 inline std::int32_t sum_of(__m256i wide) {
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4E));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xB1));
  return _mm_cvtsi128_si32(sum);
}

/// |row| * (query with the signs of row), added in pairs: 2 * 127 * 127 fits 16 bits.
AVX2 inline __m256i products(__m256i row, __m256i query, __m256i ones) {
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(row), _mm256_sign_epi8(query, row));
  return _mm256_madd_epi16(pairs, ones);
}

AVX2 void dot_rows_avx2(const std::int8_t* rows, std::size_t stride, std::size_t count,
                        const std::int8_t* query, std::int32_t* dots) {
  const __m256i ones = _mm256_set1_epi16(1);
  for (std::size_t i = 0; i < count; ++i) {
    const std::int8_t* row = rows + i * stride;
    __m256i sum = _mm256_setzero_si256();
    for (std::size_t d = 0; d < stride; d += kStride)
      sum = _mm256_add_epi32(sum, products(load(row + d), load(query + d), ones));
    dots[i] = sum_of(sum);
  }
}

#undef AVX2

}  // namespace

void dot_rows(const std::int8_t* rows, std::size_t stride, std::size_t count,
              const std::int8_t* query, std::int32_t* dots) {
  static const bool avx2 = __builtin_cpu_supports("avx2");
  (avx2 ? dot_rows_avx2 : dot_rows_plain)(rows, stride, count, query, dots);
}

#else

void dot_rows(const std::int8_t* rows, std::size_t stride, std::size_t count,
              const std::int8_t* query, std::int32_t* dots) {
  dot_rows_plain(rows, stride, count, query, dots);
}

#endif

}  // namespace store::kernel
