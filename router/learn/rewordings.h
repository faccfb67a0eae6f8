// The same question put in other words: how often the choice of expert flips, and what that costs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "router/learn/evaluate.h"
#include "router/learn/trial.h"

namespace router {

enum class Rewording : std::uint8_t {
  lower_case,
  upper_case,
  punctuation,  // commas, question marks, quotes, and full stops after small letters go
  typos,        // two neighbouring letters change places in one of ten longer words
  preamble,     // a polite sentence comes first
  no_options    // the options of a multiple-choice question go
};

inline constexpr Rewording kRewordings[] = {Rewording::lower_case,  Rewording::upper_case,
                                            Rewording::punctuation, Rewording::typos,
                                            Rewording::preamble,    Rewording::no_options};

const char* name_of(Rewording rewording);

/// Pure; any bytes are accepted. `seed` draws the typos.
std::string reword(Rewording rewording, std::string_view text, std::uint64_t seed);

/// Decides every row of `trial` again from its reworded text, as run_policy() did from the text as
/// it is; the trial keeps its texts.
std::vector<FlipRow> flip_table(const Policy& policy, std::optional<double> quality,
                                const Trial& trial, std::uint64_t seed);

}  // namespace router
