// The one hot loop of a decision. Integer sums: the same result on every CPU.
#pragma once

#include <cstddef>
#include <cstdint>

namespace router::kernel {

/// sum[d] = sum over the buckets of bag[bucket * dim + d].  dim % 16 == 0. With AVX2 where the CPU
/// has it.
void sum_rows(const std::int8_t* bag, std::uint32_t dim, const std::uint32_t* buckets,
              std::size_t count, std::int32_t* sum);

/// The same without AVX2.
void sum_rows_plain(const std::int8_t* bag, std::uint32_t dim, const std::uint32_t* buckets,
                    std::size_t count, std::int32_t* sum);

}  // namespace router::kernel
