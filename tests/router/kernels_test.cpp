// Every implementation of the loops against the plain one, and the plain one against arithmetic.
#include "router/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <vector>

namespace router::kernel {
namespace {

std::mt19937 chance(7);

std::vector<std::int8_t> draw_bytes(std::size_t count) {
  std::uniform_int_distribution<int> byte(-128, 127);
  std::vector<std::int8_t> bytes(count);
  for (auto& b : bytes) b = static_cast<std::int8_t>(byte(chance));
  return bytes;
}

/// A unit vector times 127: spread over all columns, or all of it in the first two.
void draw_unit(std::int8_t* row, std::size_t dim, bool spread) {
  std::normal_distribution<double> normal;
  std::vector<double> x(dim, 0.0);
  double square = 0;
  for (std::size_t d = 0; d < (spread ? dim : 2); ++d) x[d] = normal(chance), square += x[d] * x[d];
  for (std::size_t d = 0; d < dim; ++d) {
    row[d] = static_cast<std::int8_t>(std::lrint(127 * x[d] / std::sqrt(square)));
  }
}

TEST(Kernels, SumRowsIsExactBeyondSixteenBits) {
  for (const std::uint32_t dim : {16u, 128u, 176u}) {
    auto bag = draw_bytes(300 * dim);
    std::fill_n(bag.begin(), dim, std::int8_t{-128});
    std::fill_n(bag.begin() + dim, dim, std::int8_t{127});
    for (const std::size_t count : {0u, 1u, 255u, 256u, 257u, 1000u}) {
      std::vector<std::uint32_t> buckets(count);
      for (const int row : {0, 1, -1}) {  // -1: any
        for (auto& b : buckets) b = row < 0 ? chance() % 300 : static_cast<std::uint32_t>(row);
        std::vector<std::int32_t> want(dim, 0), got(dim);
        for (const std::uint32_t b : buckets) {
          for (std::uint32_t d = 0; d < dim; ++d) want[d] += bag[b * dim + d];
        }
        for (const Loops& loops : loops_here()) {
          loops.sum_rows(bag.data(), dim, buckets.data(), count, got.data());
          EXPECT_EQ(got, want) << loops.name << ' ' << dim << ' ' << count;
        }
      }
    }
  }
}

TEST(Kernels, DotRowsIsExactForUnitVectors) {
  for (const std::uint32_t dim : {16u, 128u, 144u, 256u}) {
    for (std::size_t count = 0; count < 70; count += count < 10 ? 1 : 7) {
      std::vector<std::int8_t> query(dim), rows(count * dim);
      draw_unit(query.data(), dim, count % 2 == 0);
      for (std::size_t r = 0; r < count; ++r) draw_unit(&rows[r * dim], dim, r % 3 != 0);
      if (count > 2) std::copy(query.begin(), query.end(), rows.begin());
      if (count > 2)
        std::transform(query.begin(), query.end(), rows.begin() + dim, std::negate<>());
      std::vector<std::int32_t> want(count, 0), got(count);
      for (std::size_t i = 0; i < count * dim; ++i) want[i / dim] += query[i % dim] * rows[i];
      for (const Loops& loops : loops_here()) {
        loops.dot_rows(query.data(), rows.data(), count, dim, got.data());
        EXPECT_EQ(got, want) << loops.name << ' ' << dim << ' ' << count;
      }
    }
  }
}

TEST(Kernels, FindsAndCountsWhatReachesTheFloor) {
  for (std::size_t count = 0; count < 100; ++count) {
    std::vector<std::int32_t> values(count);
    for (auto& v : values) v = static_cast<std::int32_t>(chance() % 21) - 10;
    for (const std::int32_t floor : {-11, 0, 1, 9, 11}) {
      std::vector<std::uint32_t> want;
      for (std::uint32_t i = 0; i < count; ++i) {
        if (values[i] >= floor) want.push_back(i);
      }
      for (const Loops& loops : loops_here()) {
        std::vector<std::uint32_t> got(count + 8);
        got.resize(loops.find_from(values.data(), count, floor, got.data()));
        EXPECT_EQ(got, want) << loops.name;
        EXPECT_EQ(loops.count_from(values.data(), count, floor), want.size()) << loops.name;
      }
    }
  }
}

TEST(Kernels, FloatsAreTheSameBitsEverywhere) {
  std::uniform_real_distribution<float> real(-1, 1);
  for (const std::size_t n : {1u, 7u, 8u, 9u, 16u, 28u, 161u}) {
    std::vector<std::uint8_t> score(50 * n);
    for (auto& s : score) s = chance() % 4 == 0 ? 255 : static_cast<std::uint8_t>(chance() % 201);
    std::vector<std::uint32_t> rows(40);
    std::vector<float> weights(40), a(n), b(n);
    for (auto& r : rows) r = chance() % 50;
    for (auto* floats : {&weights, &a, &b}) {
      for (auto& x : *floats) x = real(chance);
    }
    const Loops& plain = loops_here().front();
    std::vector<float> want(n, 0.25f), want_weight(n, 0.5f);
    plain.add_known(score.data(), 255, rows.data(), weights.data(), 40, n, want.data(),
                    want_weight.data());
    float by_hand = 0.25f;
    for (std::size_t i = 0; i < 40; ++i) {
      const std::uint8_t s = score[rows[i] * n + n - 1];
      if (s != 255) by_hand += weights[i] * s;
    }
    EXPECT_FLOAT_EQ(want[n - 1], by_hand);
    for (const Loops& loops : loops_here()) {
      std::vector<float> got(n, 0.25f), got_weight(n, 0.5f);
      loops.add_known(score.data(), 255, rows.data(), weights.data(), 40, n, got.data(),
                      got_weight.data());
      EXPECT_EQ(got, want) << loops.name << ' ' << n;
      EXPECT_EQ(got_weight, want_weight) << loops.name << ' ' << n;
      EXPECT_EQ(loops.dot(a.data(), b.data(), n), plain.dot(a.data(), b.data(), n)) << loops.name;
    }
  }
}

}  // namespace
}  // namespace router::kernel
