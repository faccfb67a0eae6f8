// Every instruction set computes the same bits, whatever the tile; and the portable one is checked
// against plain double arithmetic on values taken from the blocks bit by bit.
#include "experts/moe/kernels/kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "experts/moe/tensor_type.h"

namespace moe {
namespace {

constexpr TensorType kTypes[] = {TensorType::f32,  TensorType::f16,  TensorType::bf16,
                                 TensorType::q4_0, TensorType::q4_1, TensorType::q5_0,
                                 TensorType::q5_1, TensorType::q8_0, TensorType::q4_k,
                                 TensorType::q5_k, TensorType::q6_k};

std::vector<const Kernels*> runnable(bool coarse = false) {
  std::vector<const Kernels*> list;
  for (const Kernels* kernels : {&kPortable, &kAvx2, &kAvx512}) {
    if (can_run(*kernels)) list.push_back(coarse ? kernels->coarse : kernels);
  }
  return list;
}

double half_of(const unsigned char* p) {
  const int bits = p[0] | p[1] << 8;
  const int exponent = bits >> 10 & 31;
  const double value = exponent == 0 ? std::ldexp(bits & 1023, -24)
                                     : std::ldexp(1024 + (bits & 1023), exponent - 25);
  return bits >> 15 ? -value : value;
}

/// Random bytes with the scales (halves at the given offsets) set to sane values.
struct RandomMatrix {
  std::uint32_t type;
  std::size_t rows, n, row_bytes;
  std::vector<unsigned char> data;

  RandomMatrix(TensorType t, std::size_t row_count, std::size_t cols, std::mt19937& random)
      : type(static_cast<std::uint32_t>(t)), rows(row_count), n(cols) {
    const TypeTraits& traits = traits_of(t);
    row_bytes = n / traits.elements * traits.bytes;
    data.resize(rows * row_bytes);
    if (t == TensorType::f32) {
      std::normal_distribution<float> normal;
      for (std::size_t i = 0; i < data.size(); i += 4) {
        const float x = normal(random);
        std::memcpy(&data[i], &x, 4);
      }
      return;
    }
    for (auto& byte : data) byte = static_cast<unsigned char>(random());
    std::vector<std::size_t> halves = {0};
    if (t == TensorType::q4_1 || t == TensorType::q5_1 || t == TensorType::q4_k ||
        t == TensorType::q5_k) {
      halves = {0, 2};
    }
    if (t == TensorType::q6_k) halves = {208};
    for (std::size_t block = 0; block < data.size(); block += traits.bytes) {
      for (const std::size_t at : halves) {
        data[block + at + 1] =
            static_cast<unsigned char>((random() & 0x80) | (0x20 + random() % 8));
        if (t == TensorType::bf16) data[block + at + 1] = static_cast<unsigned char>(0x3f);
      }
    }
  }
};

/// The value of one weight, straight from the format's definition.
double weight_at(const RandomMatrix& m, std::size_t row, std::size_t column) {
  const auto type = static_cast<TensorType>(m.type);
  const TypeTraits& traits = traits_of(type);
  const unsigned char* p = &m.data[row * m.row_bytes + column / traits.elements * traits.bytes];
  const std::size_t i = column % traits.elements;
  const auto nibble = [&](const unsigned char* q) { return i < 16 ? q[i] & 15 : q[i - 16] >> 4; };
  const auto bit = [&](const unsigned char* q) { return q[i / 8] >> (i % 8) & 1; };
  const auto scale_min = [&](std::size_t j, int& scale, int& minimum) {
    const unsigned char* s = p + 4;
    scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
    minimum = j < 4 ? s[j + 4] & 63 : (s[j + 4] >> 4) | (s[j] >> 6) << 4;
  };
  int scale = 0, minimum = 0;
  switch (type) {
    case TensorType::f32: {
      float x;
      std::memcpy(&x, p, 4);
      return x;
    }
    case TensorType::f16:
      return half_of(p);
    case TensorType::bf16: {
      const std::uint32_t bits = static_cast<std::uint32_t>(p[0] | p[1] << 8) << 16;
      float x;
      std::memcpy(&x, &bits, 4);
      return x;
    }
    case TensorType::q8_0:
      return half_of(p) * static_cast<signed char>(p[2 + i]);
    case TensorType::q4_0:
      return half_of(p) * (nibble(p + 2) - 8);
    case TensorType::q4_1:
      return half_of(p) * nibble(p + 4) + half_of(p + 2);
    case TensorType::q5_0:
      return half_of(p) * ((nibble(p + 6) | bit(p + 2) << 4) - 16);
    case TensorType::q5_1:
      return half_of(p) * (nibble(p + 8) | bit(p + 4) << 4) + half_of(p + 2);
    case TensorType::q4_k: {
      const std::size_t j = i / 32;
      scale_min(j, scale, minimum);
      const int q = p[16 + j / 2 * 32 + i % 32] >> (j % 2 * 4) & 15;
      return half_of(p) * scale * q - half_of(p + 2) * minimum;
    }
    case TensorType::q5_k: {
      const std::size_t j = i / 32;
      scale_min(j, scale, minimum);
      const int q = (p[48 + j / 2 * 32 + i % 32] >> (j % 2 * 4) & 15) | (p[16 + i % 32] >> j & 1)
                                                                            << 4;
      return half_of(p) * scale * q - half_of(p + 2) * minimum;
    }
    case TensorType::q6_k: {
      const std::size_t half = i / 128, quarter = i % 128 / 32, l = i % 32;
      const int low = p[64 * half + 32 * (quarter % 2) + l] >> (quarter / 2 * 4) & 15;
      const int high = p[128 + 32 * half + l] >> (2 * quarter) & 3;
      return half_of(p + 208) * static_cast<signed char>(p[192 + i / 16]) *
             ((low | high << 4) - 32);
    }
  }
  return 0;
}

struct RandomRows {
  std::vector<float> f32;
  std::vector<std::int16_t> q;
  std::vector<float> sums;
  std::vector<ActBlock> blocks;
  std::vector<ActRow> rows;

  RandomRows(std::size_t count, std::size_t n, const Kernels& kernels, std::mt19937& random)
      : f32(count * n), q(count * n), sums(count * (n / 32 + 1)), blocks(sums.size()), rows(count) {
    std::normal_distribution<float> normal;
    for (float& x : f32) x = normal(random);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t at = i * (n / 32 + 1);
      rows[i] = {&f32[i * n], &q[i * n], &sums[at], 0, &blocks[at]};
      if (n % 32 != 0) continue;
      rows[i].scale = kernels.quantize_row(&f32[i * n], n, &q[i * n], &sums[at]);
      kernels.quantize_blocks(&f32[i * n], n, &blocks[at]);
    }
  }
};

TEST(Kernels, AgreeWithTheFormatsDefinition) {
  std::mt19937 random(3);
  for (const TensorType type : kTypes) {
    const RandomMatrix w(type, 3, 512, random);
    const RandomRows x(2, 512, kPortable, random);
    float out[6];
    kPortable.matmul(w.type, w.data.data(), w.row_bytes, w.n, w.rows, x.rows.data(), 2, out, 3,
                     nullptr);
    std::vector<float> row(512);
    for (std::size_t r = 0; r < 3; ++r) {
      dequantize(w.type, &w.data[r * w.row_bytes], w.n, row.data());
      for (std::size_t c = 0; c < 2; ++c) {
        double sum = 0, size = 0;
        for (std::size_t i = 0; i < 512; ++i) {
          const double weight = weight_at(w, r, i);
          ASSERT_NEAR(row[i], weight, 1e-5 * std::abs(weight) + 1e-5)
              << traits_of(type).name << " " << i;
          sum += weight * static_cast<double>(x.f32[c * 512 + i]);
          size += std::abs(weight * static_cast<double>(x.f32[c * 512 + i]));
        }
        EXPECT_NEAR(out[c * 3 + r], sum, 1e-4 * size) << traits_of(type).name;
      }
    }
  }
}

void expect_the_same_bits(bool coarse) {
  std::mt19937 random(5);
  const Kernels& portable = *runnable(coarse)[0];
  for (const TensorType type : kTypes) {
    const std::size_t block = traits_of(type).elements;
    for (const std::size_t n :
         {std::size_t{block}, std::size_t{768}, block == 1 ? std::size_t{43} : 3 * block}) {
      const std::size_t rows = 27, columns = 37;
      const RandomMatrix w(type, rows, n, random);
      const RandomRows x(columns, n, portable, random);
      std::vector<float> expected(rows * columns);
      for (std::size_t c = 0; c < columns; ++c) {
        for (std::size_t r = 0; r < rows; ++r) {
          portable.matmul(w.type, &w.data[r * w.row_bytes], w.row_bytes, n, 1, &x.rows[c], 1,
                          &expected[c * rows + r], rows, nullptr);
        }
      }
      for (const Kernels* kernels : runnable(coarse)) {
        for (const std::size_t count : {1, 2, 3, 5, 14, 37}) {
          std::vector<float> out(rows * count);
          kernels->matmul(w.type, w.data.data(), w.row_bytes, n, rows, x.rows.data(), count,
                          out.data(), rows, nullptr);
          ASSERT_EQ(0, std::memcmp(out.data(), expected.data(), out.size() * 4))
              << kernels->name << " " << traits_of(type).name << " n " << n << " columns " << count;
        }
      }
    }
  }
}

TEST(Kernels, EveryInstructionSetAndTileGivesTheSameBits) {
  expect_the_same_bits(false);
}

TEST(Kernels, TheCoarseTablesGiveTheSameBitsAsEachOther) {
  expect_the_same_bits(true);
}

TEST(Kernels, CoarseRowsAreEightBitsInBlocksOf32) {
  std::mt19937 random(6);
  const RandomRows fine(1, 512, kPortable, random);
  double worst = 0;
  for (const Kernels* kernels : runnable(true)) {
    std::vector<ActBlock> blocks(16);
    kernels->quantize_blocks(fine.f32.data(), 512, blocks.data());
    for (std::size_t i = 0; i < 512; ++i) {
      const ActBlock& block = blocks[i / 32];
      EXPECT_EQ(block.low[i % 32], 0);
      const double steps =
          (fine.f32[i] - 256.0 * block.scale * block.high[i % 32]) / (256.0 * block.scale);
      worst = std::max(worst, std::abs(steps));
    }
  }
  EXPECT_LE(worst, 0.501);
  EXPECT_GE(worst, 0.4);  // it is rounded, and to these steps
}

TEST(Kernels, RowOperationsGiveTheSameBits) {
  std::mt19937 random(9);
  std::normal_distribution<float> normal;
  for (const std::size_t n : {8, 32, 43, 160, 512}) {
    std::vector<float> x(n), y(n);
    for (float& v : x) v = 5 * normal(random);
    for (float& v : y) v = normal(random);
    std::vector<std::vector<float>> results;
    for (const Kernels* kernels : runnable()) {
      std::vector<float> all;
      const auto keep = [&](const std::vector<float>& v) {
        all.insert(all.end(), v.begin(), v.end());
      };
      std::vector<float> a(n);
      kernels->rms_norm(x.data(), y.data(), n, 1e-5f, a.data());
      keep(a);
      a = x;
      kernels->silu_mul(a.data(), y.data(), n);
      keep(a);
      a = x;
      kernels->softmax(a.data(), n);
      keep(a);
      a = x;
      kernels->add_scaled(a.data(), y.data(), 0.3f, n);
      kernels->add(a.data(), y.data(), n);
      keep(a);
      kernels->score(x.data(), x.data(), 1, 1, n, 0.5f, a.data());
      kernels->mix(a.data(), y.data(), n, 1, n, a.data());
      keep(a);
      if (n % 32 == 0) {
        std::vector<std::int16_t> q(n);
        std::vector<float> sums(n / 32);
        all.push_back(kernels->quantize_row(x.data(), n, q.data(), sums.data()));
        keep(sums);
        all.insert(all.end(), q.begin(), q.end());
        std::vector<ActBlock> blocks(n / 32);
        kernels->quantize_blocks(x.data(), n, blocks.data());
        for (const ActBlock& block : blocks) {
          all.insert(all.end(), {block.scale, block.sum});
          all.insert(all.end(), block.offsets, block.offsets + 2);
          all.insert(all.end(), block.high, block.high + 32);
          all.insert(all.end(), block.low, block.low + 32);
        }
      }
      results.push_back(std::move(all));
    }
    for (const auto& result : results) {
      ASSERT_EQ(0, std::memcmp(result.data(), results[0].data(), result.size() * 4)) << n;
    }
    double total = 0;
    std::vector<float> p = x;
    kPortable.softmax(p.data(), n);
    for (std::size_t i = 0; i < n; ++i) total += std::exp(static_cast<double>(x[i]));
    for (std::size_t i = 0; i < n; ++i) {
      EXPECT_NEAR(p[i], std::exp(static_cast<double>(x[i])) / total, 1e-6);
    }
  }
}

}  // namespace
}  // namespace moe
