// The service's log as rows with grades: what is learned from, and what policies are valued on.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>

#include "store/reader.h"

namespace router {

inline constexpr std::size_t kLogDecisionsMax = 500'000;  // the newest; older ones are not read

/// Weighted mean of everything that was said about the answer of a decision: feedback with weight
/// 1, graded outcomes with theirs.
struct Grade {
  double sum = 0, weight = 0;

  double mean() const { return weight > 0 ? sum / weight : 0; }
};

using Grades = std::unordered_map<std::string, Grade>;  // by decision id

/// Throws std::runtime_error as the store's Reader does.
Grades read_grades(store::Reader& reader);

/// Calls `take` for every decision that came in at or after `since_us`, newest first.
void read_decisions(store::Reader& reader, std::int64_t since_us,
                    const std::function<void(const store::Stored&)>& take,
                    const std::function<void(double)>& progress);

}  // namespace router
