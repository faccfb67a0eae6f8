// Skills named by a model: from what it said to the vocabulary that a classifier is trained on.
//
// After Symbolic-MoE (arXiv 2503.05641): an expert names the skills of a question several times,
// and a name counts when it comes back. That paper maps a name to the nearest known one however
// far that is; here it must be near enough, or the row goes without it, and what few rows have is
// no skill of its own.
//
// Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace router {

struct NamingRules {
  int agree_min = 2;                // passes that must give a name
  std::size_t names_max = 5;        // of one row
  std::size_t name_bytes_max = 48;  // a longer one is a sentence
  std::size_t rows_min = 20;        // of a skill
  std::size_t skills_max = 64;      // the most frequent ones
  double similarity_min = 0.45;     // of a rare name to the skill that it is counted for
};

/// What is put to the expert about the question `text`.
std::string naming_prompt(std::string_view text);

/// The names in a reply: parts between commas, semicolons and line ends, lower case, without
/// numbering, quotes and a "Skills:" before them. Sentences are no names.
std::vector<std::string> read_names(std::string_view reply, const NamingRules& rules);

/// The names that `agree_min` of the passes gave, most frequent first.
std::vector<std::string> agree(std::span<const std::vector<std::string>> passes,
                               const NamingRules& rules);

/// Cosine of the counts of their letter trigrams, word ends counted: 1 for the same name.
double name_similarity(std::string_view a, std::string_view b);

/// Reduces the names of all rows to one vocabulary, which is returned, most frequent first.
std::vector<std::string> settle_names(std::vector<std::vector<std::string>>& rows,
                                      const NamingRules& rules);

}  // namespace router
