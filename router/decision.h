// The logged form of a Route: compact bytes that need neither the policy nor the pool to be read
// again.
//
// Format, little-endian: u8 version (1), u8 reason, u8 flags (1: abstained, 2: outside, 4: with
// its vector), u8 k, f32 gain_lo, f32 general, f32 propensity, u64 features_hash, u8 skills { u8
// length, name, f32 share
// }, u16 candidates { u8 length, name, u8 bar, 8 x f32 }. Names are cut at 255 bytes. About 1.5 KB
// for 28 candidates.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "router/route.h"

namespace router {

/// A Route with its names, as read back from the log. route.candidates[i].expert indexes `experts`,
/// route.skills[i].skill indexes `skills`.
struct LoggedRoute {
  Route route;
  std::vector<std::string> skills;
  std::vector<std::string> experts;
};

using NameOf = std::function<std::string_view(std::uint32_t)>;

/// Appends the bytes to `out`; never fails.
void encode_route(const Route& route, const NameOf& skill_name, const NameOf& expert_name,
                  std::string& out);

/// nullopt when the bytes are not a whole, known version.
std::optional<LoggedRoute> decode_route(std::string_view bytes);

std::string_view name_of(Bar bar);
std::string_view name_of(Reason reason);

}  // namespace router
