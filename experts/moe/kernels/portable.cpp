// The lanes as plain arrays: the meaning of every operation, and the fallback of other processors.
#include <cmath>
#include <cstring>

#include "experts/moe/kernels/kernels.h"
#include "experts/moe/tensor_type.h"

namespace moe {
namespace {

constexpr int kMicroRows = 2;
constexpr int kMicroCols = 2;

struct Floats {
  float lane[16];
};

struct Half {
  float lane[8];
};

struct Ints {
  std::int32_t lane[16];
};

struct Words {
  std::int16_t lane[32];
};

struct Scales {
  std::int16_t lane[16];
};

float to_f32(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000) << 16;
  const std::uint32_t exponent = (half >> 10) & 31;
  const std::uint32_t mantissa = half & 1023;
  std::uint32_t bits = 0;
  if (exponent == 0) {
    const float value = std::ldexp(static_cast<float>(mantissa), -24);
    std::memcpy(&bits, &value, 4);
    bits |= sign;
  } else {
    bits = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | (mantissa << 13);
  }
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

template <class F>
Floats each(F f) {
  Floats r;
  for (int i = 0; i < 16; ++i) r.lane[i] = f(i);
  return r;
}

template <class F>
Words each_word(F f) {
  Words r;
  for (int i = 0; i < 32; ++i) r.lane[i] = static_cast<std::int16_t>(f(i));
  return r;
}

Floats set(float x) {
  return each([&](int) { return x; });
}

Floats load(const float* p) {
  return each([&](int i) { return p[i]; });
}

void store(float* p, Floats x) {
  std::memcpy(p, x.lane, sizeof x.lane);
}

Floats fma(Floats a, Floats b, Floats c) {
  return each([&](int i) { return std::fma(a.lane[i], b.lane[i], c.lane[i]); });
}

Floats add(Floats a, Floats b) {
  return each([&](int i) { return a.lane[i] + b.lane[i]; });
}

Floats mul(Floats a, Floats b) {
  return each([&](int i) { return a.lane[i] * b.lane[i]; });
}

Floats div(Floats a, Floats b) {
  return each([&](int i) { return a.lane[i] / b.lane[i]; });
}

Floats max(Floats a, Floats b) {
  return each([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}

Floats min(Floats a, Floats b) {
  return each([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}

Floats abs(Floats a) {
  return each([&](int i) { return std::fabs(a.lane[i]); });
}

Floats round(Floats a) {
  return each([&](int i) { return std::nearbyint(a.lane[i]); });
}

Floats power_of_two(Floats n) {
  return each([&](int i) { return std::ldexp(1.0f, static_cast<int>(n.lane[i])); });
}

Floats to_floats(Ints a) {
  return each([&](int i) { return static_cast<float>(a.lane[i]); });
}

Floats widen_f16(const unsigned char* p) {
  return each([&](int i) {
    std::uint16_t half;
    std::memcpy(&half, p + 2 * i, 2);
    return to_f32(half);
  });
}

Floats widen_bf16(const unsigned char* p) {
  return each([&](int i) {
    std::uint32_t bits = static_cast<std::uint32_t>(p[2 * i] | p[2 * i + 1] << 8) << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
  });
}

float sum(Floats a) {
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) a.lane[i] += a.lane[i + width];
  }
  return a.lane[0];
}

float largest(Floats a) {
  float best = a.lane[0];
  for (float x : a.lane) best = x > best ? x : best;
  return best;
}

Half half_zero() {
  return {};
}

Half half_load(const float* p) {
  Half r;
  std::memcpy(r.lane, p, sizeof r.lane);
  return r;
}

Half half_fma(Half a, Half b, Half c) {
  for (int i = 0; i < 8; ++i) c.lane[i] = std::fma(a.lane[i], b.lane[i], c.lane[i]);
  return c;
}

float half_sum(Half a) {
  for (int width = 4; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) a.lane[i] += a.lane[i + width];
  }
  return a.lane[0];
}

Ints ints_zero() {
  return {};
}

Ints dot(Ints acc, Words a, Words b) {
  for (int i = 0; i < 16; ++i) {
    acc.lane[i] += a.lane[2 * i] * b.lane[2 * i] + a.lane[2 * i + 1] * b.lane[2 * i + 1];
  }
  return acc;
}

Words load_words(const std::int16_t* p) {
  Words r;
  std::memcpy(r.lane, p, sizeof r.lane);
  return r;
}

void store_words(std::int16_t* p, Words x) {
  std::memcpy(p, x.lane, sizeof x.lane);
}

void store_rounded(std::int16_t* p, Floats x) {
  for (int i = 0; i < 16; ++i) p[i] = static_cast<std::int16_t>(std::nearbyint(x.lane[i]));
}

Words widen_u8(const unsigned char* p) {
  return each_word([&](int i) { return p[i]; });
}

Words widen_i8(const unsigned char* p) {
  return each_word([&](int i) { return static_cast<signed char>(p[i]); });
}

Words widen_nibbles(const unsigned char* p) {
  return each_word([&](int i) { return i < 16 ? p[i] & 15 : p[i - 16] >> 4; });
}

Words mask_words(std::uint32_t bits, int value) {
  return each_word([&](int i) { return (bits >> i & 1) != 0 ? value : 0; });
}

Words both(int low, int high) {
  return each_word([&](int i) { return i < 16 ? low : high; });
}

Words and_with(Words a, int b) {
  return each_word([&](int i) { return a.lane[i] & b; });
}

template <int kBits>
Words shift_right(Words a) {
  return each_word([&](int i) { return static_cast<std::uint16_t>(a.lane[i]) >> kBits; });
}

template <int kBits>
Words shift_left(Words a) {
  return each_word([&](int i) { return static_cast<std::uint16_t>(a.lane[i]) << kBits; });
}

Words or_with(Words a, Words b) {
  return each_word([&](int i) { return a.lane[i] | b.lane[i]; });
}

Words add_words(Words a, Words b) {
  return each_word([&](int i) { return a.lane[i] + b.lane[i]; });
}

Words mul_words(Words a, Words b) {
  return each_word([&](int i) { return a.lane[i] * b.lane[i]; });
}

Scales scales_u8(std::uint64_t bytes) {
  Scales r = {};
  for (int i = 0; i < 8; ++i) r.lane[i] = static_cast<std::int16_t>(bytes >> (8 * i) & 255);
  return r;
}

Scales scales_i8(const unsigned char* p) {
  Scales r;
  for (int i = 0; i < 16; ++i) r.lane[i] = static_cast<signed char>(p[i]);
  return r;
}

template <int kLow, int kHigh>
Words pick(Scales s) {
  return both(s.lane[kLow], s.lane[kHigh]);
}

Half half_u8(std::uint64_t bytes, float factor) {
  Half r;
  for (int i = 0; i < 8; ++i) r.lane[i] = static_cast<float>(bytes >> (8 * i) & 255) * factor;
  return r;
}

void half_store(float* p, Half x) {
  std::memcpy(p, x.lane, sizeof x.lane);
}

Half half_add(Half a, Half b) {
  for (int i = 0; i < 8; ++i) a.lane[i] += b.lane[i];
  return a;
}

#include "experts/moe/kernels/body.inl"

}  // namespace

const Kernels kPortable = make_table("portable");

}  // namespace moe
