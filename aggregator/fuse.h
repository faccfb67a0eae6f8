// Replies that are combined part by part instead of voted on whole: numbers by weighted median,
// JSON field by field. Pure; weights are any non-negative numbers, all zero counts as all equal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "aggregator/options.h"

namespace aggregator {

struct WeightedNumber {
  double value = 0;
  double weight = 0;
};

struct FusedNumber {
  double value = 0;          // weighted median: one of the given values
  double low = 0, high = 0;  // given values that hold FuseRules::interval_share of the weight
  std::uint32_t chosen = 0;  // index of the heaviest given value that equals `value`
};

/// Half of the weight lies at or below the median. `numbers` is not empty, values are finite.
FusedNumber fuse_numbers(const std::vector<WeightedNumber>& numbers, const FuseRules& rules = {});

struct WeightedJson {
  std::string_view text;
  double weight = 0;
};

struct FusedJson {
  bool fused = false;    // false: no document could be read, or the result broke the schema
  std::string text;      // keys sorted, no spaces
  double agreement = 0;  // mean over the leaves: share of the weight behind the value that was kept
  std::vector<std::string> contested;  // JSON pointers of the leaves with half of the weight or
                                       // less, at most 32
};

/// A field is kept when enough weight has it; objects are fused field by field, arrays of one
/// length element by element, numbers by median where no value has the majority, the rest by vote.
/// Text that differs in case, space or punctuation only is the same. Documents that do not fit the
/// schema (empty: any) do not take part.
FusedJson fuse_json(const std::vector<WeightedJson>& documents, std::string_view schema,
                    const FuseRules& rules = {}, const ReadLimits& limits = {});

}  // namespace aggregator
