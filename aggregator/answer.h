// Many replies become one answer. Plain data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "experts/call.h"

namespace aggregator {

enum class Mode : std::uint8_t {
  none /* nobody answered */,
  single,
  plurality,
  weighted,
  fused,
  synthesised,
  best_of,
  corrected,
  notice /* the pool's own words: nobody was asked */
};

std::string_view name_of(Mode mode);

/// The mode of that name; nothing for `none` and for what is no mode.
std::optional<Mode> mode_named(std::string_view name);

struct Answer {
  Mode mode = Mode::none;
  std::uint32_t chosen = 0;             // index into replies: whose words the client gets
  std::vector<experts::Reply> replies;  // every call that was made, fallbacks included, in order
  experts::Usage usage;                 // sum over the replies
  std::int64_t cost_microusd = 0;       // sum over the replies, and of what was asked to look up
  float confidence = 0;  // posterior probability that the answer is right; 0: not estimated
  std::string decision_id;
  std::string retrieval;  // what the gate said and which sources were shown: a JSON object; empty:
                          // nothing was considered

  // Of panels; empty or zero when a single expert was asked.
  std::string text;  // fused: the words that replace the chosen reply's; empty: its own
  std::vector<std::string> votes;  // by reply: the answer that was read out of it, empty: none
  float agreement = 0;   // share of the readable votes (fused JSON: of the leaves) behind it
  bool changed = false;  // another answer than the first expert's alone

  bool ok() const { return mode != Mode::none; }

  const experts::Reply& reply() const { return replies[chosen]; }
};

}  // namespace aggregator
