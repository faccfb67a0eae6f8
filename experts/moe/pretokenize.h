// Splits a text into the pieces inside which byte-level BPE may merge.
//
// A rule is named by the GGUF key `tokenizer.ggml.pre`. The rules are those of the models' own
// tokenizer.json files, as llama.cpp applies them (its src/llama-vocab.cpp and src/unicode.cpp are
// the source of the names and patterns): a list of regular expressions, each of which isolates its
// matches inside the pieces that the one before left. They are written out here as small matchers
// over Unicode categories: linear in the text for any input, no regex engine.
// Pure and thread-safe.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "experts/moe/unicode.h"

namespace moe {

/// A half-open range of code point indices; empty when begin == end.
struct Span {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// Finds the first match in [from, end) of `text`; looks at nothing outside that range.
using Matcher = Span (*)(std::span<const Scalar> text, std::size_t from, std::size_t end);

struct SplitRule {
  std::string_view name;
  std::span<const Matcher> matchers;
  bool whole_words = false;  // a piece that is a token is taken whole, merges or not
  bool adds_bos = false;     // default of tokenizer.ggml.add_bos_token
};

/// The rule of a `pre` name; nothing when it is unknown (refuse the model, do not guess).
std::optional<SplitRule> find_split_rule(std::string_view name);

/// All known names, for the refusal's text.
std::vector<std::string_view> split_rule_names();

/// Ends of the pieces, ascending; the last one is text.size(). Empty for an empty text.
std::vector<std::size_t> split(const SplitRule& rule, std::span<const Scalar> text);

}  // namespace moe
