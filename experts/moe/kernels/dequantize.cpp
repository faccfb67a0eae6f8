// One weight row as floats, straight from the formats' definition. Only embeddings, small vectors
// and tests need it, so it is plain.
#include <cmath>
#include <cstring>

#include "experts/moe/kernels/kernels.h"
#include "experts/moe/tensor_type.h"

namespace moe {

namespace {

using Bytes = const unsigned char*;

std::uint32_t load_bits(Bytes p, std::size_t bytes) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, p, bytes);
  return bits;
}

float to_float(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

float load_half(Bytes p) {
  const std::uint32_t half = load_bits(p, 2);
  const std::uint32_t sign = (half & 0x8000) << 16;
  const std::uint32_t exponent = half >> 10 & 31, mantissa = half & 1023;
  if (exponent == 0) {
    const float value = static_cast<float>(mantissa) * 0x1p-24f;
    return sign != 0 ? -value : value;
  }
  return to_float(sign | (exponent == 31 ? 0x7f800000 : (exponent + 112) << 23) | mantissa << 13);
}

int nibble(Bytes q, std::size_t i) {
  return i < 16 ? q[i] & 15 : q[i - 16] >> 4;
}

int fifth_bit(Bytes q, std::size_t i) {
  return (q[i / 8] >> (i % 8) & 1) << 4;
}

/// The 6-bit scale and minimum of sub-block j of Q4_K and Q5_K.
void load_scales(Bytes s, std::size_t j, float& scale, float& minimum) {
  scale = static_cast<float>(j < 4 ? s[j] & 63 : (s[j + 4] & 15) | (s[j - 4] >> 6) << 4);
  minimum = static_cast<float>(j < 4 ? s[j + 4] & 63 : (s[j + 4] >> 4) | (s[j] >> 6) << 4);
}

/// Value i of the block at p.
float value_of(TensorType type, Bytes p, std::size_t i) {
  const auto product = [](float d, int q) { return d * static_cast<float>(q); };
  float scale = 0, minimum = 0;
  switch (type) {
    case TensorType::f32:
      return to_float(load_bits(p, 4));
    case TensorType::f16:
      return load_half(p);
    case TensorType::bf16:
      return to_float(load_bits(p, 2) << 16);
    case TensorType::q4_0:
      return product(load_half(p), nibble(p + 2, i) - 8);
    case TensorType::q4_1:
      return product(load_half(p), nibble(p + 4, i)) + load_half(p + 2);
    case TensorType::q5_0:
      return product(load_half(p), (nibble(p + 6, i) | fifth_bit(p + 2, i)) - 16);
    case TensorType::q5_1:
      return product(load_half(p), nibble(p + 8, i) | fifth_bit(p + 4, i)) + load_half(p + 2);
    case TensorType::q8_0:
      return product(load_half(p), static_cast<signed char>(p[2 + i]));
    case TensorType::q4_k: {
      load_scales(p + 4, i / 32, scale, minimum);
      const int q = p[16 + i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15;
      return product(load_half(p) * scale, q) - load_half(p + 2) * minimum;
    }
    case TensorType::q5_k: {
      load_scales(p + 4, i / 32, scale, minimum);
      const int high = (p[16 + i % 32] >> (i / 32) & 1) << 4;
      const int q = (p[48 + i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15) | high;
      return product(load_half(p) * scale, q) - load_half(p + 2) * minimum;
    }
    case TensorType::q6_k: {
      const std::size_t half = i / 128, quarter = i % 128 / 32, l = i % 32;
      const int low = p[64 * half + 32 * (quarter % 2) + l] >> (quarter / 2 * 4) & 15;
      const int high = p[128 + 32 * half + l] >> (2 * quarter) & 3;
      scale = static_cast<float>(static_cast<signed char>(p[192 + i / 16]));
      return product(load_half(p + 208) * scale, (low | high << 4) - 32);
    }
  }
  return 0;
}

}  // namespace

void dequantize(std::uint32_t type, const unsigned char* w, std::size_t n, float* out) {
  const TypeTraits& traits = *traits_of(type);
  for (std::size_t i = 0; i < n; ++i) {
    out[i] = value_of(static_cast<TensorType>(type), w + i / traits.elements * traits.bytes,
                      i % traits.elements);
  }
}

}  // namespace moe
