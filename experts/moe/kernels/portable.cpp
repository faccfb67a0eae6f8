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

Half half_load(const float* p) {
  Half r;
  std::memcpy(r.lane, p, sizeof r.lane);
  return r;
}

float half_sum(Half a) {
  for (int width = 4; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) a.lane[i] += a.lane[i + width];
  }
  return a.lane[0];
}

Ints dot(Words a, Words b) {
  Ints out;
  for (int i = 0; i < 16; ++i) {
    out.lane[i] = a.lane[2 * i] * b.lane[2 * i] + a.lane[2 * i + 1] * b.lane[2 * i + 1];
  }
  return out;
}

Words load_words(const std::int16_t* p) {
  Words r;
  std::memcpy(r.lane, p, sizeof r.lane);
  return r;
}

void store_rounded(std::int16_t* p, Floats x) {
  for (int i = 0; i < 16; ++i) p[i] = static_cast<std::int16_t>(std::nearbyint(x.lane[i]));
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

Words or_with(Words a, Words b) {
  return each_word([&](int i) { return a.lane[i] | b.lane[i]; });
}

Words add_words(Words a, Words b) {
  return each_word([&](int i) { return a.lane[i] + b.lane[i]; });
}

// A panel of 8 weight rows, 32 bits of each: an integer or four bytes.
constexpr std::size_t kPanel = 8;

struct Rows {
  std::uint32_t lane[kPanel];
};

using RowFloats = Half;

template <class F>
Rows each_row(F f) {
  Rows r;
  for (std::size_t i = 0; i < kPanel; ++i) r.lane[i] = f(i);
  return r;
}

RowFloats row_set(float x) {
  RowFloats r;
  for (float& lane : r.lane) lane = x;
  return r;
}

void row_store(float* p, RowFloats x) {
  std::memcpy(p, x.lane, sizeof x.lane);
}

float first_lane(RowFloats x) {
  return x.lane[0];
}

RowFloats mul(RowFloats a, RowFloats b) {
  for (int i = 0; i < 8; ++i) a.lane[i] *= b.lane[i];
  return a;
}

RowFloats fma(RowFloats a, RowFloats b, RowFloats c) {
  for (int i = 0; i < 8; ++i) c.lane[i] = std::fma(a.lane[i], b.lane[i], c.lane[i]);
  return c;
}

RowFloats to_floats(Rows x) {
  RowFloats r;
  for (int i = 0; i < 8; ++i) r.lane[i] = static_cast<float>(static_cast<std::int32_t>(x.lane[i]));
  return r;
}

RowFloats low_halves(Rows x) {
  RowFloats r;
  for (int i = 0; i < 8; ++i) r.lane[i] = to_f32(static_cast<std::uint16_t>(x.lane[i]));
  return r;
}

Rows and_with(Rows a, std::uint32_t mask) {
  return each_row([&](std::size_t i) { return a.lane[i] & mask; });
}

Rows or_with(Rows a, Rows b) {
  return each_row([&](std::size_t i) { return a.lane[i] | b.lane[i]; });
}

template <int kBits>
Rows shift_right(Rows a) {
  return each_row([&](std::size_t i) { return a.lane[i] >> kBits; });
}

template <int kBits>
Rows shift_left(Rows a) {
  return each_row([&](std::size_t i) { return a.lane[i] << kBits; });
}

template <int kBits>
Rows shift_sign(Rows a) {
  return each_row([&](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<std::int32_t>(a.lane[i]) >> kBits);
  });
}

// 16 bytes of each row, turned: out[i] holds each row's bytes 4 i to 4 i + 3.
void load_rows(const unsigned char* p, std::size_t stride, Rows* out) {
  for (std::size_t r = 0; r < kPanel; ++r) {
    for (std::size_t i = 0; i < 4; ++i) {
      std::memcpy(&out[i].lane[r], p + r * stride + 4 * i, 4);
    }
  }
}

Rows repeat(std::int32_t x) {
  return each_row([&](std::size_t) { return static_cast<std::uint32_t>(x); });
}

/// total[c] += the sum of products of 4 kQuads weights in [0, kTop] and activations 256 high + low.
template <int kQuads, int kTop, int kCols>
void dot_rows(const Rows* w, const std::int8_t* const (&high)[kCols],
              const std::int8_t* const (&low)[kCols], bool /*coarse*/, Rows (&total)[kCols]) {
  for (int c = 0; c < kCols; ++c) {
    total[c] = each_row([&](std::size_t r) {
      auto sum = static_cast<std::int32_t>(total[c].lane[r]);
      for (int i = 0; i < 4 * kQuads; ++i) {
        const auto weight = static_cast<std::int32_t>(w[i / 4].lane[r] >> (i % 4 * 8) & 255);
        sum += weight * (256 * high[c][i] + low[c][i]);
      }
      return static_cast<std::uint32_t>(sum);
    });
  }
}

#include "experts/moe/kernels/body.inl"

constexpr Kernels kPortableCoarse = make_table<true>("portable, coarse", nullptr);

}  // namespace

const Kernels kPortable = make_table<false>("portable", &kPortableCoarse);

}  // namespace moe
