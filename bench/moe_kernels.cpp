// rooms: moe
// How fast one thread multiplies weights that lie in its cache, per type, number of activation rows
// and instruction set. The baseline of the same run is F32 weights.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "experts/moe/aligned.h"
#include "experts/moe/kernels/kernels.h"
#include "experts/moe/tensor_type.h"

namespace {

constexpr std::size_t kSize = 2048;
constexpr std::size_t kRows = 64;

/// Best seconds of `rounds` products of [kRows, kSize] weights and `columns` activation rows.
double measure(const moe::Kernels& kernels, moe::TensorType type, std::size_t columns, int rounds) {
  const moe::TypeTraits& traits = moe::traits_of(type);
  const std::size_t row_bytes = kSize / traits.elements * traits.bytes;
  std::mt19937 random(1);
  std::vector<unsigned char> weights(kRows * row_bytes);
  for (auto& byte : weights) byte = static_cast<unsigned char>(random() & 0x3f);
  moe::AlignedVector<float> x(columns * kSize), sums(columns * kSize / 32), out(columns * kRows);
  moe::AlignedVector<std::int16_t> q(columns * kSize);
  moe::AlignedVector<moe::ActBlock> blocks(columns * (kSize / 32 + 1));
  for (float& value : x) value = static_cast<float>(random() % 2001) - 1000;
  std::vector<moe::ActRow> rows(columns);
  for (std::size_t c = 0; c < columns; ++c) {
    moe::ActBlock* own = &blocks[c * (kSize / 32 + 1)];
    rows[c] = {&x[c * kSize], &q[c * kSize], &sums[c * kSize / 32], 0, own};
    rows[c].scale =
        kernels.quantize_row(&x[c * kSize], kSize, &q[c * kSize], &sums[c * kSize / 32]);
    kernels.quantize_blocks(&x[c * kSize], kSize, own);
  }
  double best = 1e9;
  for (int round = 0; round < rounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    kernels.matmul(static_cast<std::uint32_t>(type), weights.data(), row_bytes, kSize, kRows,
                   rows.data(), columns, out.data(), kRows, nullptr);
    best = std::min(
        best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 && std::strcmp(argv[1], "--smoke") == 0 ? 2 : 400;
  std::printf("billion operations a second, one thread, weights in cache\n");
  for (const moe::Kernels* kernels :
       {&moe::kAvx2, moe::kAvx2.coarse, &moe::kAvx512, moe::kAvx512.coarse}) {
    if (!moe::can_run(*kernels)) continue;
    for (const auto type : {moe::TensorType::f32, moe::TensorType::q8_0, moe::TensorType::q4_0,
                            moe::TensorType::q4_k, moe::TensorType::q6_k}) {
      const bool k_quant = type == moe::TensorType::q4_k || type == moe::TensorType::q6_k;
      if (kernels->coarse == nullptr && !k_quant) continue;  // the same kernels
      std::printf("%-14s %-5s", kernels->name, moe::traits_of(type).name);
      for (const std::size_t columns : {1, 2, 4, 8, 32}) {
        const double seconds = measure(*kernels, type, columns, rounds);
        std::printf("  %2zu rows %6.1f", columns,
                    2e-9 * static_cast<double>(kRows * kSize * columns) / seconds);
      }
      std::printf("\n");
    }
  }
}
