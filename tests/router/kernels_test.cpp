// Both roads of the hot loop against arithmetic.
#include "router/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace router::kernel {
namespace {

TEST(Kernels, SumRowsIsExactBeyondSixteenBits) {
  std::mt19937 chance(7);
  std::uniform_int_distribution<int> byte(-128, 127);
  for (const std::uint32_t dim : {16u, 128u, 176u}) {
    std::vector<std::int8_t> bag(300 * dim);
    for (auto& b : bag) b = static_cast<std::int8_t>(byte(chance));
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
        for (const auto sum : {sum_rows, sum_rows_plain}) {
          sum(bag.data(), dim, buckets.data(), count, got.data());
          EXPECT_EQ(got, want) << dim << ' ' << count;
        }
      }
    }
  }
}

}  // namespace
}  // namespace router::kernel
