// What a pool larger than memory would pay for a sequence of choices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace router {

inline constexpr std::size_t kQueriesTogether = 100;  // of a collated figure

/// Loads per 1,000 queries when `resident` experts fit in memory at once and the least recently
/// used one leaves. `together` queries are answered in one go, grouped by expert, those in memory
/// first; 1: in the order in which they come. 0 for no queries; `resident` is at least 1.
double loads_per_thousand(const std::vector<std::uint32_t>& chosen, std::size_t resident,
                          std::size_t together);

}  // namespace router
