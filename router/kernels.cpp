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

constexpr std::size_t kNarrowRows = 256;  // rows of int8 that a 16-bit sum can hold

// ---- any CPU ----------------------------------------------------------------------------------

void sum_rows_plain(const std::int8_t* bag, std::uint32_t dim, const std::uint32_t* buckets,
                    std::size_t count, std::int32_t* sum) {
  std::fill_n(sum, dim, 0);
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

std::size_t count_from_plain(const std::int32_t* values, std::size_t count, std::int32_t floor) {
  std::size_t size = 0;
  for (std::size_t i = 0; i < count; ++i) size += values[i] >= floor;
  return size;
}

std::size_t find_from_plain(const std::int32_t* values, std::size_t count, std::int32_t floor,
                            std::uint32_t* found) {
  std::size_t size = 0;
  for (std::size_t r = 0; r < count; ++r) {
    found[size] = static_cast<std::uint32_t>(r);
    size += values[r] >= floor;
  }
  return size;
}

void add_known_plain(const std::uint8_t* score, std::uint8_t unknown, const std::uint32_t* rows,
                     const float* weights, std::size_t count, std::size_t n, float* sum,
                     float* weight) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint8_t* row = score + std::size_t{rows[i]} * n;
    for (std::size_t e = 0; e < n; ++e) {
      const float known = row[e] == unknown ? 0 : weights[i];
      sum[e] += known * static_cast<float>(row[e]);
      weight[e] += known;
    }
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

float dot_plain(const float* a, const float* b, std::size_t n) {
  return dot_body(a, b, n);
}

#if defined(__x86_64__)

// ---- AVX2 -------------------------------------------------------------------------------------

#define AVX2 __attribute__((target("avx2,bmi,popcnt")))

AVX2 ALWAYS_INLINE __m256i load(const void* from) {
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

/// 128 of the columns, added to `out`. Four rows at a time share the horizontal sums: count % 4 ==
/// 0. |a| goes in as unsigned, its sign goes over to the row.
AVX2 void add_dots_avx2(const std::int8_t* a, const std::int8_t* rows, std::size_t count,
                        std::uint32_t dim, std::int32_t* out) {
  __m256i query[4], size[4];
  for (int p = 0; p < 4; ++p) query[p] = load(a + 32 * p), size[p] = _mm256_abs_epi8(query[p]);
  for (std::size_t r = 0; r < count; r += 4) {
    __m256i sum[4] = {};
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i) {
      const std::int8_t* row = rows + (r + i) * dim;
#pragma GCC unroll 4
      for (int p = 0; p < 4; ++p) {
        const __m256i turned = _mm256_sign_epi8(load(row + 32 * p), query[p]);
        sum[i] = _mm256_add_epi16(sum[i], _mm256_maddubs_epi16(size[p], turned));
      }
    }
    const __m256i pairs =
        _mm256_hadd_epi16(_mm256_hadd_epi16(sum[0], sum[1]), _mm256_hadd_epi16(sum[2], sum[3]));
    const __m256i all = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    const __m128i sums =
        _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
    auto* four = reinterpret_cast<__m128i*>(out + r);
    _mm_storeu_si128(four, _mm_add_epi32(_mm_loadu_si128(four), sums));
  }
}

AVX2 void dot_rows_avx2(const std::int8_t* a, const std::int8_t* rows, std::size_t count,
                        std::uint32_t dim, std::int32_t* out) {
  if (dim % 128 != 0 || count < 4) return dot_rows_plain(a, rows, count, dim, out);
  const std::size_t even = count - count % 4, last = count - 4;
  std::fill_n(out, count, 0);
  std::int32_t last_sums[4] = {};
  for (std::uint32_t d = 0; d < dim; d += 128) {
    add_dots_avx2(a + d, rows + d, even, dim, out);
    if (even < count) add_dots_avx2(a + d, rows + last * dim + d, 4, dim, last_sums);
  }
  if (even < count) std::copy_n(last_sums, 4, out + last);
}

AVX2 std::size_t count_from_avx2(const std::int32_t* values, std::size_t count,
                                 std::int32_t floor) {
  const __m256i least = _mm256_set1_epi32(floor);
  __m256i below[4] = {};
  std::size_t i = 0;
  for (; i + 32 <= count; i += 32) {
#pragma GCC unroll 4
    for (std::size_t j = 0; j < 4; ++j) {
      below[j] = _mm256_sub_epi32(below[j], _mm256_cmpgt_epi32(least, load(values + i + 8 * j)));
    }
  }
  const __m256i all =
      _mm256_add_epi32(_mm256_add_epi32(below[0], below[1]), _mm256_add_epi32(below[2], below[3]));
  __m128i half = _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
  half = _mm_hadd_epi32(half, half);
  half = _mm_hadd_epi32(half, half);
  return i - static_cast<std::size_t>(_mm_cvtsi128_si32(half)) +
         count_from_plain(values + i, count - i, floor);
}

AVX2 std::size_t find_from_avx2(const std::int32_t* values, std::size_t count, std::int32_t floor,
                                std::uint32_t* found) {
  const __m256i below = _mm256_set1_epi32(floor - 1);
  std::size_t size = 0, r = 0;
  for (; r + 8 <= count; r += 8) {
    const __m256i high = _mm256_cmpgt_epi32(load(values + r), below);
    auto mask = static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(high)));
    for (; mask != 0; mask &= mask - 1) {
      found[size++] = static_cast<std::uint32_t>(r) + _tzcnt_u32(mask);
    }
  }
  const std::size_t rest = find_from_plain(values + r, count - r, floor, found + size);
  for (std::size_t i = size; i < size + rest; ++i) found[i] += static_cast<std::uint32_t>(r);
  return size + rest;
}

/// Eight columns over all rows, the sums held in registers; the last eight overlap the ones before
/// and come to the same.
AVX2 void add_known_avx2(const std::uint8_t* score, std::uint8_t unknown, const std::uint32_t* rows,
                         const float* weights, std::size_t count, std::size_t n, float* sum,
                         float* weight) {
  if (n < 8) return add_known_plain(score, unknown, rows, weights, count, n, sum, weight);
  const __m256i none = _mm256_set1_epi32(unknown);
  Lanes sums_before, weights_before;  // of the last eight
  std::memcpy(&sums_before, sum + n - 8, sizeof sums_before);
  std::memcpy(&weights_before, weight + n - 8, sizeof weights_before);
  for (std::size_t next = 0; next < n; next += 8) {
    const std::size_t e = std::min(next, n - 8);
    __m256 sums = _mm256_loadu_ps(sum + e), known = _mm256_loadu_ps(weight + e);
    if (next != e) sums = sums_before, known = weights_before;
    for (std::size_t i = 0; i < count; ++i) {
      const auto* bytes = reinterpret_cast<const __m128i*>(score + std::size_t{rows[i]} * n + e);
      const __m256i value = _mm256_cvtepu8_epi32(_mm_loadl_epi64(bytes));
      const __m256 missing = _mm256_castsi256_ps(_mm256_cmpeq_epi32(value, none));
      const __m256 w = _mm256_andnot_ps(missing, _mm256_set1_ps(weights[i]));
      sums = _mm256_add_ps(sums, _mm256_mul_ps(w, _mm256_cvtepi32_ps(value)));
      known = _mm256_add_ps(known, w);
    }
    _mm256_storeu_ps(sum + e, sums);
    _mm256_storeu_ps(weight + e, known);
  }
}

AVX2 float dot_avx2(const float* a, const float* b, std::size_t n) {
  return dot_body(a, b, n);
}

// ---- AVX-512 with VNNI ------------------------------------------------------------------------

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // false: g++ 12's own intrinsics

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))

/// The four sums of the sixteen lanes of each.
AVX512 ALWAYS_INLINE __m128i add_lanes(__m512i s0, __m512i s1, __m512i s2, __m512i s3) {
  const __m512i s01 =
      _mm512_add_epi32(_mm512_unpacklo_epi32(s0, s1), _mm512_unpackhi_epi32(s0, s1));
  const __m512i s23 =
      _mm512_add_epi32(_mm512_unpacklo_epi32(s2, s3), _mm512_unpackhi_epi32(s2, s3));
  const __m512i all =
      _mm512_add_epi32(_mm512_unpacklo_epi64(s01, s23), _mm512_unpackhi_epi64(s01, s23));
  const __m256i half =
      _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

/// As add_dots_avx2. vpdpbusd takes unsigned times signed: the rows go in as row + 128, and the
/// sums begin at -128 * sum(a).
AVX512 void add_dots_avx512(const std::int8_t* a, const std::int8_t* rows, std::size_t count,
                            std::uint32_t dim, std::int32_t* out) {
  const __m512i flip = _mm512_set1_epi8(static_cast<char>(0x80)), zero = _mm512_setzero_si512();
  const __m512i query0 = _mm512_loadu_si512(a), query1 = _mm512_loadu_si512(a + 64);
  const __m512i surplus =
      _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(zero, flip, query0), flip, query1);
  const __m512i start = _mm512_sub_epi32(zero, surplus);
  for (std::size_t r = 0; r < count; r += 4) {
    __m512i sum[4];
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i) {
      const std::int8_t* row = rows + (r + i) * dim;
      const __m512i row0 = _mm512_xor_si512(_mm512_loadu_si512(row), flip);
      const __m512i row1 = _mm512_xor_si512(_mm512_loadu_si512(row + 64), flip);
      sum[i] = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(start, row0, query0), row1, query1);
    }
    auto* four = reinterpret_cast<__m128i*>(out + r);
    const __m128i sums = add_lanes(sum[0], sum[1], sum[2], sum[3]);
    _mm_storeu_si128(four, _mm_add_epi32(_mm_loadu_si128(four), sums));
  }
}

AVX512 void dot_rows_avx512(const std::int8_t* a, const std::int8_t* rows, std::size_t count,
                            std::uint32_t dim, std::int32_t* out) {
  if (dim % 128 != 0 || count < 4) return dot_rows_plain(a, rows, count, dim, out);
  const std::size_t even = count - count % 4, last = count - 4;
  std::fill_n(out, count, 0);
  std::int32_t last_sums[4] = {};
  for (std::uint32_t d = 0; d < dim; d += 128) {
    add_dots_avx512(a + d, rows + d, even, dim, out);
    if (even < count) add_dots_avx512(a + d, rows + last * dim + d, 4, dim, last_sums);
  }
  if (even < count) std::copy_n(last_sums, 4, out + last);
}

AVX512 std::size_t find_from_avx512(const std::int32_t* values, std::size_t count,
                                    std::int32_t floor, std::uint32_t* found) {
  const __m256i least = _mm256_set1_epi32(floor);
  __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  std::size_t size = 0;
  for (std::size_t r = 0; r < count; r += 8) {
    const auto there = static_cast<__mmask8>(count - r < 8 ? (1u << (count - r)) - 1 : 0xFF);
    const __m256i value = _mm256_maskz_loadu_epi32(there, values + r);
    const __mmask8 high = _mm256_mask_cmpge_epi32_mask(there, value, least);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(found + size),
                        _mm256_maskz_compress_epi32(high, index));
    size += static_cast<std::size_t>(__builtin_popcount(high));
    index = _mm256_add_epi32(index, _mm256_set1_epi32(8));
  }
  return size;
}

#pragma GCC diagnostic pop
#endif

constexpr Loops kLoops[] = {
    {"plain", sum_rows_plain, dot_rows_plain, count_from_plain, find_from_plain, add_known_plain,
     dot_plain},
#if defined(__x86_64__)
    {"avx2", sum_rows_avx2, dot_rows_avx2, count_from_avx2, find_from_avx2, add_known_avx2,
     dot_avx2},
    {"avx512", sum_rows_avx2, dot_rows_avx512, count_from_avx2, find_from_avx512, add_known_avx2,
     dot_avx2},
#endif
};

std::size_t count_here() {
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi");
  if (!avx2) return 1;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
  return avx512 ? 3 : 2;
#else
  return 1;
#endif
}

}  // namespace

std::span<const Loops> loops_here() {
  static const std::size_t count = count_here();
  return {kLoops, count};
}

const Loops& loops() {
  static const Loops& fastest = loops_here().back();
  return fastest;
}

}  // namespace router::kernel
