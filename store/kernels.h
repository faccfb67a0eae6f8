// The one hot loop of a dense search. Integer sums: the same result on every CPU.
#pragma once

#include <cstddef>
#include <cstdint>

namespace store::kernel {

/// Rows of int8 are padded with zeros to a multiple of so many.
inline constexpr std::size_t kStride = 32;

/// dots[i] = sum over d of rows[i * stride + d] * query[d].  stride % kStride == 0 and at most
/// 65,536; no number is -128. With AVX2 where the CPU has it.
void dot_rows(const std::int8_t* rows, std::size_t stride, std::size_t count,
              const std::int8_t* query, std::int32_t* dots);

/// The same without AVX2.
void dot_rows_plain(const std::int8_t* rows, std::size_t stride, std::size_t count,
                    const std::int8_t* query, std::int32_t* dots);

}  // namespace store::kernel
