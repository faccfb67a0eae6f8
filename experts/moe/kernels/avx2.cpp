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

inline Half half_load(const float* p) {
  return _mm256_loadu_ps(p);
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

inline Ints dot(Words x, Words y) {
  return {_mm256_madd_epi16(x.a, y.a), _mm256_madd_epi16(x.b, y.b)};
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

inline void store_rounded(std::int16_t* p, Floats x) {
  const __m256i packed = _mm256_packs_epi32(_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xd8));
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

inline Words or_with(Words x, Words y) {
  return {_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)};
}

inline Words add_words(Words x, Words y) {
  return {_mm256_add_epi16(x.a, y.a), _mm256_add_epi16(x.b, y.b)};
}

// A panel of 8 weight rows, 32 bits of each: an integer or four bytes.
constexpr std::size_t kPanel = 8;

struct Rows {
  __m256i v;
};

using RowFloats = __m256;

inline RowFloats row_set(float x) {
  return _mm256_set1_ps(x);
}

inline void row_store(float* p, RowFloats x) {
  _mm256_storeu_ps(p, x);
}

inline float first_lane(RowFloats x) {
  return _mm256_cvtss_f32(x);
}

inline RowFloats mul(RowFloats x, RowFloats y) {
  return _mm256_mul_ps(x, y);
}

inline RowFloats fma(RowFloats x, RowFloats y, RowFloats z) {
  return _mm256_fmadd_ps(x, y, z);
}

inline RowFloats to_floats(Rows x) {
  return _mm256_cvtepi32_ps(x.v);
}

inline RowFloats low_halves(Rows x) {
  const __m256i low = _mm256_and_si256(x.v, _mm256_set1_epi32(0xffff));
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, low), 0xd8);
  return _mm256_cvtph_ps(_mm256_castsi256_si128(packed));
}

inline Rows and_with(Rows x, unsigned mask) {
  return {_mm256_and_si256(x.v, _mm256_set1_epi32(static_cast<int>(mask)))};
}

inline Rows or_with(Rows x, Rows y) {
  return {_mm256_or_si256(x.v, y.v)};
}

template <int kBits>
inline Rows shift_right(Rows x) {
  return {_mm256_srli_epi32(x.v, kBits)};
}

template <int kBits>
inline Rows shift_left(Rows x) {
  return {_mm256_slli_epi32(x.v, kBits)};
}

template <int kBits>
inline Rows shift_sign(Rows x) {
  return {_mm256_srai_epi32(x.v, kBits)};
}

// 16 bytes of the rows 0 and 4 behind p.
inline __m256i load_half(const unsigned char* p, std::size_t stride) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(load128(p)), load128(p + 4 * stride), 1);
}

// 16 bytes of each row, turned: out[i] holds each row's bytes 4 i to 4 i + 3.
[[gnu::always_inline]] inline void load_rows(const unsigned char* p, std::size_t stride,
                                             Rows* out) {
  const __m256i a = load_half(p, stride), b = load_half(p + stride, stride);
  const __m256i c = load_half(p + 2 * stride, stride), d = load_half(p + 3 * stride, stride);
  const __m256i ab = _mm256_unpacklo_epi32(a, b), cd = _mm256_unpacklo_epi32(c, d);
  const __m256i ab_high = _mm256_unpackhi_epi32(a, b), cd_high = _mm256_unpackhi_epi32(c, d);
  out[0].v = _mm256_unpacklo_epi64(ab, cd);
  out[1].v = _mm256_unpackhi_epi64(ab, cd);
  out[2].v = _mm256_unpacklo_epi64(ab_high, cd_high);
  out[3].v = _mm256_unpackhi_epi64(ab_high, cd_high);
}

inline __m256i repeat_quad(const std::int8_t* p) {
  int quad;
  __builtin_memcpy(&quad, p, sizeof quad);
  return _mm256_set1_epi32(quad);
}

inline Rows repeat(std::int32_t x) {
  return {_mm256_set1_epi32(x)};
}

/// Keeps GCC from adding in another order, which it takes for shorter and which does not fit into
/// the registers.
inline void keep_order(__m256i& x) {
  asm("" : "+x"(x));
}

/// total[c] += factor times the sum of products of 4 kQuads weights in [0, kTop] and the
/// activations from `x`, which are in [-128, 127]. Pairs are summed in 16 bits for as long as those
/// suffice.
template <int kQuads, int kTop, int kCols>
inline void add_plane(const Rows* w, const std::int8_t* const (&x)[kCols], short factor,
                      Rows (&total)[kCols]) {
  constexpr int kFit = 32767 / (2 * kTop * 128);
  constexpr int kRun = kFit < kQuads ? kFit : kQuads;
  static_assert(kQuads % kRun == 0);
  for (int run = 0; run < kQuads; run += kRun) {
    __m256i pairs[kCols];
    for (int c = 0; c < kCols; ++c) {
      pairs[c] = _mm256_maddubs_epi16(w[run].v, repeat_quad(x[c] + 4 * run));
    }
    for (int i = run + 1; i < run + kRun; ++i) {
      for (int c = 0; c < kCols; ++c) {
        pairs[c] =
            _mm256_add_epi16(pairs[c], _mm256_maddubs_epi16(w[i].v, repeat_quad(x[c] + 4 * i)));
        if (kCols > 1) keep_order(pairs[c]);
      }
    }
    for (int c = 0; c < kCols; ++c) {
      total[c].v =
          _mm256_add_epi32(total[c].v, _mm256_madd_epi16(pairs[c], _mm256_set1_epi16(factor)));
    }
  }
}

/// total[c] += the sum of products of 4 kQuads weights in [0, kTop] and activations 256 high + low;
/// coarse: low is 0.
template <int kQuads, int kTop, int kCols>
inline void dot_rows(const Rows* w, const std::int8_t* const (&high)[kCols],
                     const std::int8_t* const (&low)[kCols], bool coarse, Rows (&total)[kCols]) {
  add_plane<kQuads, kTop, kCols>(w, high, 256, total);
  if (!coarse) add_plane<kQuads, kTop, kCols>(w, low, 1, total);
}

#include "experts/moe/kernels/body.inl"

constexpr Kernels kAvx2Coarse = make_table<true>("avx2, coarse", nullptr);

}  // namespace

const Kernels kAvx2 = make_table<false>("avx2", &kAvx2Coarse);

}  // namespace moe
#else
namespace moe {
const Kernels kAvx2 = {};
}
#endif
