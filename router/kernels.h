// The few inner loops of a decision, with one result on every CPU: integer sums are exact, and the
// float sums keep their lanes in a fixed order whatever they run on (no fused multiply-add).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace router::kernel {

/// One implementation of the loops.
struct Loops {
  const char* name;

  /// sum[d] = sum over the buckets of bag[bucket * dim + d].  dim % 16 == 0.
  void (*sum_rows)(const std::int8_t* bag, std::uint32_t dim, const std::uint32_t* buckets,
                   std::size_t count, std::int32_t* sum);

  /// out[r] = a . rows[r]  for `count` consecutive rows of `dim` int8.  dim % 16 == 0; no -128, and
  /// |a| * |row| < 2^15 for every row, as for unit vectors times 127: then, by Cauchy and Schwarz,
  /// each sum over a part of the columns fits 16 bits, too.
  void (*dot_rows)(const std::int8_t* a, const std::int8_t* rows, std::size_t count,
                   std::uint32_t dim, std::int32_t* out);

  /// How many of the values are at least `floor`.
  std::size_t (*count_from)(const std::int32_t* values, std::size_t count, std::int32_t floor);

  /// Writes the i with values[i] >= floor to `found`, in order, and returns how many there are.
  /// `found` has room for count + 8.
  std::size_t (*find_from)(const std::int32_t* values, std::size_t count, std::int32_t floor,
                           std::uint32_t* found);

  /// For i in order, r = rows[i], w = weights[i], e < n, those bytes that are not `unknown`:
  /// sum[e] += w * score[r * n + e], weight[e] += w.
  void (*add_known)(const std::uint8_t* score, std::uint8_t unknown, const std::uint32_t* rows,
                    const float* weights, std::size_t count, std::size_t n, float* sum,
                    float* weight);

  /// a . b over n floats.
  float (*dot)(const float* a, const float* b, std::size_t n);
};

/// Those that this CPU can run, the fastest last.
std::span<const Loops> loops_here();

/// The fastest one.
const Loops& loops();

}  // namespace router::kernel
