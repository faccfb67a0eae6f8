// The `model` field: which experts may answer, and knobs for clients that can set nothing else.
//
//   model  := "skillyard/" pool knob*      the router chooses among the pool; `auto`: among all
//           | expert                       a concrete expert, taken literally: the router is
//           bypassed
//   pool   := "auto" | a pool's name       without "@"
//   knob   := "@k" 1..8                    experts to ask
//           | "@q" 0..1                    quality: 0 cheapest, 1 best
//           | "@max" usd                   most that the answer may cost, in dollars
//           | "@ms" milliseconds           most that the answer may take
//           | "@explain"                   the reply carries the `skillyard` object
//
// Each knob at most once, in any order: `skillyard/auto@k3@q0.7@max0.002`.
#pragma once

#include <optional>
#include <string_view>

#include "http/problem.h"
#include "router/query.h"

namespace http {

inline constexpr std::string_view kOwnPrefix = "skillyard/";

/// Fills `query.model`, `.pool` or `.expert`, and `.knobs` from the suffixes. Says nothing about
/// whether such an expert or pool exists.
std::optional<Problem> read_model_name(std::string_view model, router::Query& query);

/// The ranges of knobs, shared by the suffixes and the `skillyard` object.
inline constexpr int kExpertsAskedMax = 8;
inline constexpr double kCostUsdMax = 1'000'000;
inline constexpr std::int64_t kLatencyMsMax = 86'400'000;

}  // namespace http
