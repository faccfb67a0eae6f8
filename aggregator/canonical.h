// What a reply's answer is, in a form that two replies share when they mean the same.
//
// Strict: an answer is read where the reply says that it is the answer (a box, a tag, "the answer
// is", "Answer:", a concluding last line) or where the reply is nothing but the answer. Otherwise
// the outcome is "not found", which is a vote of nobody, never a guess. Parsers that guess turn
// their own faults into policy: a reply that opens with "A hypothesis" is not a vote for option A.
//
// Pure functions over bytes of any kind; work and memory are bounded by ReadLimits. No exceptions
// for what a reply can contain.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aggregator/options.h"

namespace aggregator {

enum class AnswerType : std::uint8_t {
  choice,  // one of the options of the question
  number,
  yes_no,  // also true or false
  date,
  list,
  json,
  code,
  short_text,  // a name, a term: at most a line
  free_text    // prose: never the same twice, cannot be voted on
};
inline constexpr std::size_t kAnswerTypes = 9;

std::string_view name_of(AnswerType type);
std::optional<AnswerType> answer_type_of(std::string_view name);

struct Option {
  std::string label;  // "A".."Z", or "1".."99"
  std::string text;   // folded, one line
  std::string key;    // of the text, as short texts are compared
};

/// What a question expects of its answers; made once per query and read-only afterwards.
struct Question {
  AnswerType type = AnswerType::free_text;
  bool declared = false;        // the client said so; refine() leaves it alone
  bool ordered = false;         // lists: the order matters
  bool percent = false;         // numbers: asked in percent, so "12" and "12%" are the same
  std::string unit;             // numbers: asked in this unit, when it is a known one
  std::vector<Option> options;  // choice
  std::string text;             // folded, lower case, cut to the limit
  std::string schema;           // json: a JSON Schema, empty: any
};

/// Reads type, options and unit out of the text. `declared` wins over what the text looks like; a
/// declared choice without options in the text expects single letters.
Question read_question(std::string_view text, std::optional<AnswerType> declared = {},
                       std::string_view schema = {}, const ReadLimits& limits = {});

/// How the answer was marked, strongest first.
enum class Cue : std::uint8_t { none, marked /* box, tag, #### */, stated, whole, concluded };

struct Canonical {
  bool found = false;
  std::string key;    // equal keys: the same answer; a choice's label, a number's digits, ...
  std::string shown;  // the answer as the reply writes it, at most a line (json, code: whole)
  double number = 0;  // where the type is number and the answer is one
  bool numeric = false;
  Cue cue = Cue::none;
};

Canonical canonical(const Question& question, std::string_view reply,
                    const ReadLimits& limits = {});

/// A type for a question whose text did not tell (free_text, not declared), from all its replies:
/// all JSON, all boxed, or all a line at most. Otherwise the question as it is.
Question refine(Question question, const std::vector<std::string_view>& replies,
                const ReadLimits& limits = {});

}  // namespace aggregator
