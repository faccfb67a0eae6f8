// The lanes as one 512-bit register.
#include "experts/moe/kernels/kernels.h"
#include "experts/moe/tensor_type.h"

#if defined(__x86_64__)
#if !defined(__clang__)
// g++ 12 takes the undefined operand inside its own intrinsics for an uninitialised variable.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

namespace moe {
namespace {

constexpr int kMicroRows = 4;
constexpr int kMicroCols = 4;

using Floats = __m512;
using Half = __m256;

// Distinct types, so that an overload cannot take one for the other.
struct Ints {
  __m512i v;
};

struct Words {
  __m512i v;
};

inline float to_f32(unsigned short half) {
  return _cvtsh_ss(half);
}

inline Floats set(float x) {
  return _mm512_set1_ps(x);
}

inline Floats load(const float* p) {
  return _mm512_loadu_ps(p);
}

inline void store(float* p, Floats x) {
  _mm512_storeu_ps(p, x);
}

inline Floats fma(Floats x, Floats y, Floats z) {
  return _mm512_fmadd_ps(x, y, z);
}

inline Floats add(Floats x, Floats y) {
  return _mm512_add_ps(x, y);
}

inline Floats mul(Floats x, Floats y) {
  return _mm512_mul_ps(x, y);
}

inline Floats div(Floats x, Floats y) {
  return _mm512_div_ps(x, y);
}

inline Floats max(Floats x, Floats y) {
  return _mm512_max_ps(x, y);
}

inline Floats min(Floats x, Floats y) {
  return _mm512_min_ps(x, y);
}

inline Floats abs(Floats x) {
  return _mm512_abs_ps(x);
}

inline Floats round(Floats x) {
  return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

inline Floats power_of_two(Floats n) {
  const __m512i biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_slli_epi32(biased, 23));
}

inline Floats to_floats(Ints x) {
  return _mm512_cvtepi32_ps(x.v);
}

inline __m256i load256(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

inline Floats widen_f16(const unsigned char* p) {
  return _mm512_cvtph_ps(load256(p));
}

inline Floats widen_bf16(const unsigned char* p) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load256(p)), 16));
}

inline Half half_load(const float* p) {
  return _mm256_loadu_ps(p);
}

inline float half_sum(Half x) {
  __m128 r = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  r = _mm_add_ps(r, _mm_movehl_ps(r, r));
  return _mm_cvtss_f32(_mm_add_ss(r, _mm_movehdup_ps(r)));
}

inline float sum(Floats x) {
  return half_sum(_mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1)));
}

inline float largest(Floats x) {
  return _mm512_reduce_max_ps(x);
}

inline Ints dot(Words x, Words y) {
  return {_mm512_madd_epi16(x.v, y.v)};
}

inline Words load_words(const std::int16_t* p) {
  return {_mm512_loadu_si512(p)};
}

inline void store_rounded(std::int16_t* p, Floats x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(x)));
}

inline Words widen_i8(const unsigned char* p) {
  return {_mm512_cvtepi8_epi16(load256(p))};
}

inline Words pair_up(__m256i low, __m256i high) {
  return {_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1)};
}

inline Words widen_nibbles(const unsigned char* p) {
  const __m256i bytes = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return pair_up(_mm256_and_si256(bytes, _mm256_set1_epi16(15)), _mm256_srli_epi16(bytes, 4));
}

inline Words mask_words(std::uint32_t bits, int value) {
  return {_mm512_maskz_set1_epi16(bits, static_cast<short>(value))};
}

inline Words both(int low, int high) {
  return pair_up(_mm256_set1_epi16(static_cast<short>(low)),
                 _mm256_set1_epi16(static_cast<short>(high)));
}

inline Words or_with(Words x, Words y) {
  return {_mm512_or_si512(x.v, y.v)};
}

inline Words add_words(Words x, Words y) {
  return {_mm512_add_epi16(x.v, y.v)};
}

// A panel of 16 weight rows, 32 bits of each: an integer or four bytes.
constexpr std::size_t kPanel = 16;

struct Rows {
  __m512i v;
};

using RowFloats = __m512;

inline RowFloats row_set(float x) {
  return _mm512_set1_ps(x);
}

inline void row_store(float* p, RowFloats x) {
  _mm512_storeu_ps(p, x);
}

inline float first_lane(RowFloats x) {
  return _mm512_cvtss_f32(x);
}

inline RowFloats to_floats(Rows x) {
  return _mm512_cvtepi32_ps(x.v);
}

inline RowFloats low_halves(Rows x) {
  return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(x.v));
}

inline Rows and_with(Rows x, unsigned mask) {
  return {_mm512_and_si512(x.v, _mm512_set1_epi32(static_cast<int>(mask)))};
}

inline Rows or_with(Rows x, Rows y) {
  return {_mm512_or_si512(x.v, y.v)};
}

template <int kBits>
inline Rows shift_right(Rows x) {
  return {_mm512_srli_epi32(x.v, kBits)};
}

template <int kBits>
inline Rows shift_left(Rows x) {
  return {_mm512_slli_epi32(x.v, kBits)};
}

template <int kBits>
inline Rows shift_sign(Rows x) {
  return {_mm512_srai_epi32(x.v, kBits)};
}

// 16 bytes of the rows 0, 4, 8 and 12 behind p.
inline __m512i load_quarter(const unsigned char* p, std::size_t stride) {
  const unsigned char* q = p + 4 * stride;
  const auto piece = [](const unsigned char* at) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  };
  __m512i x = _mm512_castsi128_si512(piece(p));
  x = _mm512_mask_broadcast_i32x4(x, 0x00f0, piece(p + 4 * stride));
  x = _mm512_mask_broadcast_i32x4(x, 0x0f00, piece(p + 8 * stride));
  return _mm512_mask_broadcast_i32x4(x, 0xf000, piece(q + 8 * stride));
}

// 16 bytes of each row, turned: out[i] holds each row's bytes 4 i to 4 i + 3.
inline void load_rows(const unsigned char* p, std::size_t stride, Rows* out) {
  const __m512i a = load_quarter(p, stride), b = load_quarter(p + stride, stride);
  const __m512i c = load_quarter(p + 2 * stride, stride);
  const __m512i d = load_quarter(p + 3 * stride, stride);
  const __m512i ab = _mm512_unpacklo_epi32(a, b), cd = _mm512_unpacklo_epi32(c, d);
  const __m512i ab_high = _mm512_unpackhi_epi32(a, b), cd_high = _mm512_unpackhi_epi32(c, d);
  out[0].v = _mm512_unpacklo_epi64(ab, cd);
  out[1].v = _mm512_unpackhi_epi64(ab, cd);
  out[2].v = _mm512_unpacklo_epi64(ab_high, cd_high);
  out[3].v = _mm512_unpackhi_epi64(ab_high, cd_high);
}

inline __m512i repeat_quad(const std::int8_t* p) {
  int quad;
  __builtin_memcpy(&quad, p, sizeof quad);
  return _mm512_set1_epi32(quad);
}

inline Rows repeat(std::int32_t x) {
  return {_mm512_set1_epi32(x)};
}

/// total[c] += the sum of products of 4 kQuads weights in [0, kTop] and activations 256 high + low;
/// coarse: low is 0.
template <int kQuads, int kTop, int kCols>
inline void dot_rows(const Rows* w, const std::int8_t* const (&high)[kCols],
                     const std::int8_t* const (&low)[kCols], bool coarse, Rows (&total)[kCols]) {
  for (int c = 0; c < kCols; ++c) {
    __m512i sum = _mm512_setzero_si512();
    for (int i = 0; i < kQuads; ++i) {
      sum = _mm512_dpbusd_epi32(sum, w[i].v, repeat_quad(high[c] + 4 * i));
    }
    total[c].v = _mm512_add_epi32(total[c].v, _mm512_slli_epi32(sum, 8));
  }
  if (coarse) return;
  for (int i = 0; i < kQuads; ++i) {
    for (int c = 0; c < kCols; ++c) {
      total[c].v = _mm512_dpbusd_epi32(total[c].v, w[i].v, repeat_quad(low[c] + 4 * i));
    }
  }
}

#include "experts/moe/kernels/body.inl"

constexpr Kernels kAvx512Coarse = make_table<true>("avx512, coarse", nullptr);

}  // namespace

const Kernels kAvx512 = make_table<false>("avx512", &kAvx512Coarse);

}  // namespace moe
#else
namespace moe {
const Kernels kAvx512 = {};
}
#endif
