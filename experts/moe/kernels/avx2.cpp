// The lanes as pairs of 256-bit registers.
#include "experts/moe/kernels/kernels.h"
#include "experts/moe/tensor_type.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace moe {
namespace {

constexpr int kMicroRows = 2;
constexpr int kMicroCols = 2;

struct Floats {
  __m256 a, b;
};

using Half = __m256;

struct Ints {
  __m256i a, b;
};

struct Words {
  __m256i a, b;
};

// Words 0 to 7, and 8 to 15, each twice.
struct Scales {
  __m256i a, b;
};

inline float to_f32(unsigned short half) {
  return _cvtsh_ss(half);
}

inline Floats set(float x) {
  return {_mm256_set1_ps(x), _mm256_set1_ps(x)};
}

inline Floats load(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}

inline void store(float* p, Floats x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}

inline Floats fma(Floats x, Floats y, Floats z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}

inline Floats add(Floats x, Floats y) {
  return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
}

inline Floats mul(Floats x, Floats y) {
  return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
}

inline Floats div(Floats x, Floats y) {
  return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
}

inline Floats max(Floats x, Floats y) {
  return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
}

inline Floats min(Floats x, Floats y) {
  return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)};
}

inline Floats abs(Floats x) {
  const __m256 mask = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  return {_mm256_and_ps(x.a, mask), _mm256_and_ps(x.b, mask)};
}

inline Floats round(Floats x) {
  return {_mm256_round_ps(x.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
          _mm256_round_ps(x.b, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}

inline __m256 half_power_of_two(__m256 n) {
  const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}

inline Floats power_of_two(Floats n) {
  return {half_power_of_two(n.a), half_power_of_two(n.b)};
}

inline Floats to_floats(Ints x) {
  return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)};
}

inline Floats widen_f16(const unsigned char* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16)))};
}

inline __m256 half_widen_bf16(const unsigned char* p) {
  const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}

inline Floats widen_bf16(const unsigned char* p) {
  return {half_widen_bf16(p), half_widen_bf16(p + 16)};
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
  return half_sum(_mm256_add_ps(x.a, x.b));
}

inline float largest(Floats x) {
  const __m256 m = _mm256_max_ps(x.a, x.b);
  __m128 r = _mm_max_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
  r = _mm_max_ps(r, _mm_movehl_ps(r, r));
  return _mm_cvtss_f32(_mm_max_ss(r, _mm_movehdup_ps(r)));
}

inline Ints ints_zero() {
  return {_mm256_setzero_si256(), _mm256_setzero_si256()};
}

inline Ints dot(Ints acc, Words x, Words y) {
  return {_mm256_add_epi32(acc.a, _mm256_madd_epi16(x.a, y.a)),
          _mm256_add_epi32(acc.b, _mm256_madd_epi16(x.b, y.b))};
}

inline __m256i load256(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

inline __m128i load128(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}

inline Words load_words(const std::int16_t* p) {
  return {load256(p), load256(p + 16)};
}

inline void store_words(std::int16_t* p, Words x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x.a);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 16), x.b);
}

inline void store_rounded(std::int16_t* p, Floats x) {
  const __m256i packed = _mm256_packs_epi32(_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xd8));
}

inline Words widen_u8(const unsigned char* p) {
  return {_mm256_cvtepu8_epi16(load128(p)), _mm256_cvtepu8_epi16(load128(p + 16))};
}

inline Words widen_i8(const unsigned char* p) {
  return {_mm256_cvtepi8_epi16(load128(p)), _mm256_cvtepi8_epi16(load128(p + 16))};
}

inline Words widen_nibbles(const unsigned char* p) {
  const __m256i bytes = _mm256_cvtepu8_epi16(load128(p));
  return {_mm256_and_si256(bytes, _mm256_set1_epi16(15)), _mm256_srli_epi16(bytes, 4)};
}

inline __m256i half_mask_words(unsigned bits, int value) {
  const __m256i bit = _mm256_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096,
                                        8192, 16384, static_cast<short>(0x8000));
  const __m256i set = _mm256_and_si256(_mm256_set1_epi16(static_cast<short>(bits)), bit);
  return _mm256_and_si256(_mm256_cmpeq_epi16(set, bit),
                          _mm256_set1_epi16(static_cast<short>(value)));
}

inline Words mask_words(std::uint32_t bits, int value) {
  return {half_mask_words(bits & 0xffff, value), half_mask_words(bits >> 16, value)};
}

inline Words both(int low, int high) {
  return {_mm256_set1_epi16(static_cast<short>(low)), _mm256_set1_epi16(static_cast<short>(high))};
}

inline Words and_with(Words x, int y) {
  const __m256i mask = _mm256_set1_epi16(static_cast<short>(y));
  return {_mm256_and_si256(x.a, mask), _mm256_and_si256(x.b, mask)};
}

template <int kBits>
inline Words shift_right(Words x) {
  return {_mm256_srli_epi16(x.a, kBits), _mm256_srli_epi16(x.b, kBits)};
}

template <int kBits>
inline Words shift_left(Words x) {
  return {_mm256_slli_epi16(x.a, kBits), _mm256_slli_epi16(x.b, kBits)};
}

inline Words or_with(Words x, Words y) {
  return {_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)};
}

inline Words add_words(Words x, Words y) {
  return {_mm256_add_epi16(x.a, y.a), _mm256_add_epi16(x.b, y.b)};
}

inline Words mul_words(Words x, Words y) {
  return {_mm256_mullo_epi16(x.a, y.a), _mm256_mullo_epi16(x.b, y.b)};
}

inline Scales scales_u8(std::uint64_t bytes) {
  const __m128i words = _mm_cvtepu8_epi16(_mm_cvtsi64_si128(static_cast<long long>(bytes)));
  const __m256i twice = _mm256_broadcastsi128_si256(words);
  return {twice, twice};
}

inline Scales scales_i8(const unsigned char* p) {
  const __m256i words = _mm256_cvtepi8_epi16(load128(p));
  return {_mm256_permute4x64_epi64(words, 0x44), _mm256_permute4x64_epi64(words, 0xee)};
}

template <int kWord>
inline __m256i pick_one(Scales s) {
  const __m256i index =
      _mm256_set1_epi16(static_cast<short>((2 * kWord % 16 + 1) << 8 | 2 * kWord % 16));
  return _mm256_shuffle_epi8(kWord < 8 ? s.a : s.b, index);
}

template <int kLow, int kHigh>
inline Words pick(Scales s) {
  return {pick_one<kLow>(s), pick_one<kHigh>(s)};
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

const Kernels kAvx2 = make_table("avx2");

}  // namespace moe
#else
namespace moe {
const Kernels kAvx2 = {};
}
#endif
