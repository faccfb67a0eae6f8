// SplitMix64 (Steele, Lea and Flood 2014): seeded draws that are the same on every platform.
#pragma once

#include <cstddef>
#include <cstdint>

namespace router {

/// The next number of the stream whose state is `state`.
inline std::uint64_t splitmix(std::uint64_t& state) {
  std::uint64_t x = state += 0x9E3779B97F4A7C15ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

/// In [0, 1), 53 bits.
inline double draw_unit(std::uint64_t& state) {
  return static_cast<double>(splitmix(state) >> 11) * 0x1p-53;
}

/// In [0, n).
inline std::size_t draw_below(std::uint64_t& state, std::size_t n) {
  return static_cast<std::size_t>((static_cast<unsigned __int128>(splitmix(state)) * n) >> 64);
}

}  // namespace router
