// The few inner loops of a decision, with one result on every CPU: integer sums are exact, and the
// float sums keep eight lanes in a fixed order whether they run on SSE2 or AVX2 (no fused
// multiply-add).
#pragma once

#include <cstddef>
#include <cstdint>

namespace router::kernel {

/// sum[d] = sum over the buckets of bag[bucket * dim + d].  dim % 16 == 0.
void sum_rows(const std::int8_t* bag, std::uint32_t dim, const std::uint32_t* buckets,
              std::size_t count, std::int32_t* sum);

/// out[r] = a . rows[r]  for `count` consecutive rows of `dim` int8.  dim % 16 == 0.
void dot_rows(const std::int8_t* a, const std::int8_t* rows, std::size_t count, std::uint32_t dim,
              std::int32_t* out);

/// a . b over n floats.
float dot(const float* a, const float* b, std::size_t n);

/// sum[e] += w * score[e] for n bytes.
void add_scaled(const std::uint8_t* score, float w, std::size_t n, float* sum);

}  // namespace router::kernel
