// The readers behind canonical(): each takes a clause, that is the part of a reply which claims to
// be the answer, and says what it means. Not a door.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aggregator/canonical.h"

namespace aggregator::forms {

// --- text ---------------------------------------------------------------------------------------

/// ASCII for the punctuation, digits and signs that models write in Unicode (full width forms,
/// quotes, dashes, special spaces, fractions, superscripts); invalid UTF-8 becomes '?'. Letters
/// stay.
std::string fold(std::string_view utf8);

/// The part after the last closed reasoning block (`</think>` and its kin); empty when one is open.
std::string_view without_reasoning(std::string_view reply);

/// Without Markdown emphasis and LaTeX dressing: `**C**`, `$\boxed{..}$`, `\text{..}`.
std::string plain(std::string_view folded);

std::string lower(std::string_view text);  // ASCII only, same length
std::string_view trim(std::string_view text);
std::string_view trim_quotes(std::string_view text);                  // also a final full stop
bool starts_with_word(std::string_view text, std::string_view word);  // both lower case
bool is_letter(char c);
bool is_digit(char c);

inline bool is_word(char c) {
  return is_letter(c) || is_digit(c) || (c & 0x80) != 0;
}

/// NFKC, case folded, without marks, articles and punctuation, single spaces.
std::string text_key(std::string_view text);

// --- clauses ------------------------------------------------------------------------------------

struct Clause {
  std::string_view text;  // into the reply's plain text
  Cue cue = Cue::none;
  std::size_t at = 0;
};

/// Every place where the reply says that it answers, in order of appearance.
std::vector<Clause> clauses_of(std::string_view plain_text);

std::vector<std::string_view> lines_of(std::string_view text);  // not empty ones, trimmed
std::string_view first_sentence(std::string_view clause);       // knows "3.5" and "Dr. No"

/// "The capital of France is Paris" where all before the verb is in the question: "Paris".
/// Otherwise the sentence.
std::string_view predicate(const Question& question, std::string_view sentence);

/// "therefore", "so", "thus" and the like with their comma; the same text when there is none.
std::string_view after_conclusion_word(std::string_view text);

// --- values -------------------------------------------------------------------------------------

/// What a clause amounts to. `denied`: it says what the answer is not, or names several: whoever
/// reads must not look for a weaker clause elsewhere.
struct Value {
  enum class Kind : std::uint8_t { unreadable, denied, read } kind = Kind::unreadable;
  std::string key;
  std::string_view shown;
  double number = 0;
  bool numeric = false;
};

/// `contains`: a sentence that holds exactly one option's text counts too.
Value read_choice(const Question& question, std::string_view clause, bool contains);

/// The option whose label, bracketed or closed by a mark, opens the line.
std::optional<std::size_t> label_of_line(const Question& question, std::string_view line);

Value read_number(const Question& question, std::string_view clause);
Value read_yes_no(std::string_view clause);
Value read_date(std::string_view clause);
Value read_list(const Question& question, std::string_view clause, const ReadLimits& limits);
Value read_short_text(const Question& question, std::string_view clause, const ReadLimits& limits);

/// A number that is the whole text, with an optional unit after it.
struct Number {
  double value = 0;
  bool percent = false;
  std::string unit;  // known units only, in their short form
};

std::optional<Number> number_of(std::string_view text);
std::string digits_of(double value);  // ten significant digits, no exponent where it can be avoided

/// The unit a question asks for ("in km", "how many minutes"), in its short form; empty: none
/// known.
std::string asked_unit(std::string_view question_lower);

/// Canonical dump of the JSON value in a reply (fenced, or the whole, or the last balanced one).
struct JsonText {
  bool found = false;
  std::string key;
};

JsonText read_json(std::string_view reply, std::string_view schema, const ReadLimits& limits);

/// The last fenced block, or the whole reply when it has none and looks like code.
std::string read_code(std::string_view reply);

}  // namespace aggregator::forms
