// The lanes as one 512-bit register.
#include "experts/moe/kernels/kernels.h"
#include "experts/moe/tensor_type.h"

#if defined(__x86_64__)
// g++ 12 takes the undefined operand inside its own intrinsics for an uninitialised variable.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
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

struct Scales {
  __m512i v;  // words 0 to 15
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

inline Half half_zero() {
  return _mm256_setzero_ps();
}

inline Half half_load(const float* p) {
  return _mm256_loadu_ps(p);
}

inline Half half_fma(Half x, Half y, Half z) {
  return _mm256_fmadd_ps(x, y, z);
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

inline Ints ints_zero() {
  return {_mm512_setzero_si512()};
}

inline Ints dot(Ints acc, Words x, Words y) {
  return {_mm512_dpwssd_epi32(acc.v, x.v, y.v)};
}

inline Words load_words(const std::int16_t* p) {
  return {_mm512_loadu_si512(p)};
}

inline void store_words(std::int16_t* p, Words x) {
  _mm512_storeu_si512(p, x.v);
}

inline void store_rounded(std::int16_t* p, Floats x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(x)));
}

inline Words widen_u8(const unsigned char* p) {
  return {_mm512_cvtepu8_epi16(load256(p))};
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

inline Words and_with(Words x, int y) {
  return {_mm512_and_si512(x.v, _mm512_set1_epi16(static_cast<short>(y)))};
}

template <int kBits>
inline Words shift_right(Words x) {
  return {_mm512_srli_epi16(x.v, kBits)};
}

template <int kBits>
inline Words shift_left(Words x) {
  return {_mm512_slli_epi16(x.v, kBits)};
}

inline Words or_with(Words x, Words y) {
  return {_mm512_or_si512(x.v, y.v)};
}

inline Words add_words(Words x, Words y) {
  return {_mm512_add_epi16(x.v, y.v)};
}

inline Words mul_words(Words x, Words y) {
  return {_mm512_mullo_epi16(x.v, y.v)};
}

inline Scales scales_u8(std::uint64_t bytes) {
  const __m128i words = _mm_cvtepu8_epi16(_mm_cvtsi64_si128(static_cast<long long>(bytes)));
  return {_mm512_castsi128_si512(words)};
}

inline Scales scales_i8(const unsigned char* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm512_castsi256_si512(_mm256_cvtepi8_epi16(bytes))};
}

template <int kLow, int kHigh>
inline Words pick(Scales s) {
  const __m512i index = pair_up(_mm256_set1_epi16(kLow), _mm256_set1_epi16(kHigh)).v;
  return {_mm512_permutexvar_epi16(index, s.v)};
}

inline Half half_u8(std::uint64_t bytes, float factor) {
  const __m256i wide = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(bytes)));
  return _mm256_mul_ps(_mm256_cvtepi32_ps(wide), _mm256_set1_ps(factor));
}

inline void half_store(float* p, Half x) {
  _mm256_storeu_ps(p, x);
}

inline Half half_add(Half x, Half y) {
  return _mm256_add_ps(x, y);
}

#include "experts/moe/kernels/body.inl"

}  // namespace

const Kernels kAvx512 = make_table("avx512");

}  // namespace moe
#else
namespace moe {
const Kernels kAvx512 = {};
}
#endif
