// One answer written, or chosen, by an expert that reads the others' answers. This file writes what
// that expert is asked and reads back what it says; whom to ask is decided by a test, elsewhere.
//
// The answers are data of unknown origin. They are shown shuffled (by a seed, so that a replay
// shows the same order), without names, without reasoning, cut to a limit, each between marks that
// contain a word which occurs in none of them; the instructions say that nothing between the marks
// is one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aggregator/canonical.h"
#include "aggregator/options.h"
#include "experts/call.h"

namespace aggregator {

struct Synthesis {
  std::vector<experts::Message> messages;
  std::vector<std::uint32_t> order;  // order[i]: index of the answer that is shown as number i + 1
  std::string fence;                 // the word of the marks
};

enum class Task : std::uint8_t {
  write,   // one answer out of all: Mode::synthesised
  choose,  // the number of the best one: Mode::best_of
  correct  // one answer held against passages: Mode::corrected
};

/// `answers`: texts of the replies, empty ones are left out. `names`: pool and model names that
/// must not be read out of the answers; they are replaced wherever they occur. When no answer is
/// left, `order` is empty and nobody should be asked.
Synthesis write_synthesis(Task task, std::string_view question,
                          const std::vector<std::string_view>& answers, AnswerType type,
                          const std::vector<std::string>& names, std::uint64_t seed,
                          const SynthesisRules& rules = {});

/// One answer and the passages that it is to be held against (the idea of fact correction is
/// MTQA's, arXiv 2509.03918): what no passage contradicts must stay as it is. `order` is {0}.
Synthesis write_correction(std::string_view question, std::string_view answer,
                           const std::vector<std::string>& passages, AnswerType type,
                           const std::vector<std::string>& names, std::uint64_t seed,
                           const SynthesisRules& rules = {});

/// The call that asks it: streaming, limits and deadline as the client's own call, its messages
/// replaced. Text is wanted.
experts::Call call_of(const Synthesis& synthesis, const experts::Call& original);

/// The answer that was written: without reasoning and without our marks. Nothing when it is empty.
std::optional<std::string> read_written(const Synthesis& synthesis, std::string_view text);

/// The answer that was written anew; nothing where the old one stands, or nothing was said.
std::optional<std::string> read_correction(const Synthesis& synthesis, std::string_view text);

/// The index (into `answers` above) of the one that was chosen; nothing when the text names none,
/// or a number that was not shown.
std::optional<std::uint32_t> read_chosen(const Synthesis& synthesis, std::string_view text);

}  // namespace aggregator
