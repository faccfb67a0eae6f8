#include <algorithm>

#include "aggregator/forms.h"

namespace aggregator::forms {
namespace {

/// Words that may stand between the cue and the label, and say nothing.
constexpr std::string_view kSkipped[] = {"option",  "choice", "letter", "answer",    "statement",
                                         "clearly", "most",   "likely", "probably",  "definitely",
                                         "indeed",  "simply", "either", "therefore", "thus",
                                         "opción",  "opcion", "the",    "option:",   "number"};
constexpr std::string_view kDenials[] = {"not",     "neither",    "none",      "nor",
                                         "cannot",  "unclear",    "incorrect", "wrong",
                                         "unknown", "impossible", "never"};
/// Words that may follow a bare capital label: "C because ...".
constexpr std::string_view kFollowers[] = {
    "because", "since", "as", "due", "which",    "where", "given", "based", "from", "is",  "with",
    "for",     "here",  "in", "by",  "although", "but",   "when",  "so",    "if",   "that"};

struct Label {
  std::size_t option = 0;
  std::size_t length = 0;  // bytes, brackets included
  bool bracketed = false;
  bool upper = false;
};

bool same_label(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return lower({&x, 1}) == lower({&y, 1});
         });
}

/// A label of this question at the start of `text`, with or without brackets.
std::optional<Label> label_at(const Question& question, std::string_view text) {
  Label label;
  std::size_t at = 0;
  const bool open = !text.empty() && (text[0] == '(' || text[0] == '[' || text[0] == '{');
  if (open) at = 1;
  while (at < text.size() && text[at] == ' ') ++at;
  std::size_t end = at;
  while (end < text.size() && (is_letter(text[end]) || is_digit(text[end]))) ++end;
  if (end == at || end - at > 2) return {};
  const std::string_view word = text.substr(at, end - at);
  const auto found =
      std::find_if(question.options.begin(), question.options.end(),
                   [&](const Option& option) { return same_label(option.label, word); });
  if (found == question.options.end()) return {};
  if (end < text.size() && ((text[end] & 0x80) != 0 || text[end] == '\'')) return {};  // "I'm"
  label.option = static_cast<std::size_t>(found - question.options.begin());
  label.upper = !(word[0] >= 'a' && word[0] <= 'z');
  if (open) {
    while (end < text.size() && text[end] == ' ') ++end;
    if (end >= text.size() || (text[end] != ')' && text[end] != ']' && text[end] != '}')) return {};
    ++end;
    label.bracketed = true;
  }
  label.length = end;
  return label;
}

std::string_view skip_words(std::string_view text) {
  for (int i = 0; i < 6; ++i) {
    text = trim(text);
    while (!text.empty() &&
           std::string_view(":\"'$#=-,>").find(text.front()) != std::string_view::npos) {
      text = trim(text.substr(1));
    }
    const std::string start = lower(text.substr(0, 16));
    bool skipped = false;
    for (const std::string_view word : kSkipped) {
      if (!starts_with_word(start, word)) continue;
      const std::string_view rest = trim(text.substr(word.size()));
      if (rest.empty()) continue;
      text = rest;
      skipped = true;
      break;
    }
    if (!skipped) break;
  }
  return text;
}

bool denies(std::string_view text) {
  const std::string start = lower(text.substr(0, 16));
  return std::any_of(std::begin(kDenials), std::end(kDenials),
                     [&](std::string_view word) { return starts_with_word(start, word); });
}

/// "A or B", "A and B", "A, B", "A/B": another label right behind the first.
bool names_another(const Question& question, std::size_t option, std::string_view rest) {
  rest = trim(rest);
  bool joined = false, by_word = false;
  for (int i = 0; i < 3; ++i) {
    const std::string start = lower(rest.substr(0, 8));
    std::size_t skip = 0;
    if (!rest.empty() && std::string_view(",/&+;").find(rest.front()) != std::string_view::npos) {
      skip = 1;
      by_word = by_word || rest.front() == '/' || rest.front() == '&';
    } else if (starts_with_word(start, "and") || starts_with_word(start, "or")) {
      skip = start[0] == 'a' ? 3 : 2;
      by_word = true;
    } else if (starts_with_word(start, "option") || starts_with_word(start, "choice")) {
      if (!joined) return false;
      rest = trim(rest.substr(6));
      continue;
    }
    if (skip == 0) break;
    joined = true;
    rest = trim(rest.substr(skip));
  }
  if (!joined) return false;
  const auto other = label_at(question, rest);
  if (!other || other->option == option) return false;
  if (other->bracketed) return true;
  if (!other->upper) return false;
  // "C, I believe", "C and A is wrong": a word and not a label, where a comma is all that joins
  // them.
  const std::string_view behind = rest.substr(other->length);
  const bool word_follows = behind.size() > 1 && behind[0] == ' ' && is_word(behind[1]);
  const std::string& name = question.options[other->option].label;
  return !word_follows || (by_word && name != "I" && name != "A");
}

/// Option whose text the clause is, or (with `contains`) the only one whose text it holds.
std::optional<std::size_t> option_of_text(const Question& question, std::string_view clause,
                                          bool contains) {
  const std::string key = text_key(clause);
  if (key.empty()) return {};
  std::optional<std::size_t> found;
  const auto& options = question.options;
  for (std::size_t i = 0; i < options.size(); ++i) {
    if (options[i].key.empty() || options[i].key != key) continue;
    if (found) return {};  // two options with the same text
    found = i;
  }
  if (found) return found;
  if (const auto number = number_of(trim_quotes(clause))) {
    for (std::size_t i = 0; i < options.size(); ++i) {
      const auto other = number_of(trim_quotes(options[i].text));
      const bool units_differ =
          other && !number->unit.empty() && !other->unit.empty() && number->unit != other->unit;
      if (!other || units_differ || digits_of(other->value) != digits_of(number->value)) continue;
      if (found) return {};
      found = i;
    }
    return found;
  }
  if (!contains) return {};
  const std::string padded = " " + key + " ";
  for (std::size_t i = 0; i < options.size(); ++i) {
    if (options[i].key.size() < 3 || padded.find(" " + options[i].key + " ") == std::string::npos)
      continue;
    if (!found) {
      found = i;
    } else if (options[i].key.find(options[*found].key) != std::string::npos) {
      found = i;  // the longer of two that hold each other
    } else if (options[*found].key.find(options[i].key) == std::string::npos) {
      return {};
    }
  }
  return found;
}

Value read(const Question& question, std::size_t option, std::string_view shown) {
  Value value;
  value.kind = Value::Kind::read;
  value.key = question.options[option].label;
  value.shown = shown;
  return value;
}

/// What stands behind a label that may be its own text, another option's text, or an explanation.
bool contradicts(const Question& question, std::size_t option, std::string_view rest) {
  const auto said = option_of_text(question, trim_quotes(rest), false);
  return said && *said != option;
}

}  // namespace

std::optional<std::size_t> label_of_line(const Question& question, std::string_view line) {
  const auto label = label_at(question, line);
  if (!label) return {};
  const std::string_view rest = line.substr(label->length);
  const bool closed = rest.empty() || rest[0] == '.' || rest[0] == ')' || rest[0] == ':';
  if (!label->bracketed && !closed) return {};
  return label->option;
}

Value read_choice(const Question& question, std::string_view clause, bool contains) {
  Value value;
  const std::string_view text = skip_words(clause);
  if (text.empty()) return value;
  const auto label = label_at(question, text);
  const std::string_view rest = label ? text.substr(label->length) : text;
  bool labelled = false;
  if (label && label->bracketed) labelled = true;
  if (label && !label->bracketed) {
    const std::string_view behind = trim(rest);
    const std::string start = lower(behind.substr(0, 12));
    const bool ends =
        behind.empty() ||
        std::string_view(".,:;)]}\"'!-$>\\(|").find(behind.front()) != std::string_view::npos;
    const bool follows =
        std::any_of(std::begin(kFollowers), std::end(kFollowers),
                    [&](std::string_view word) { return starts_with_word(start, word); });
    const bool own_text =
        !behind.empty() && option_of_text(question, trim_quotes(behind), false) == label->option;
    const bool wordless =
        rest.empty() || rest.front() != '.' || rest.size() == 1 || !is_letter(rest[1]);
    // A small letter is a label only where nothing but punctuation follows: "a hypothesis".
    const bool closed =
        behind.empty() || behind == "." || behind.front() == ')' || behind.front() == ':';
    labelled = own_text || (wordless && (label->upper ? ends || follows : closed));
    if (label->upper && !own_text && names_another(question, label->option, rest)) {
      value.kind = Value::Kind::denied;
      return value;
    }
  }
  if (labelled) {
    std::string_view behind = trim(rest);
    while (!behind.empty() &&
           std::string_view(".,:;)]}->|").find(behind.front()) != std::string_view::npos)
      behind = trim(behind.substr(1));
    if (names_another(question, label->option, rest) ||
        contradicts(question, label->option, behind)) {
      value.kind = Value::Kind::denied;
      return value;
    }
    return read(question, label->option, text.substr(0, label->length));
  }
  const std::string_view sentence = first_sentence(text);
  if (const auto option = option_of_text(question, sentence, false)) {
    return read(question, *option, sentence);
  }
  if (const auto option = option_of_text(question, trim_quotes(text), contains)) {
    const bool denied = denies(text) || lower(text).find(" not ") != std::string::npos;
    if (!denied || text_key(text) == question.options[*option].key) {
      return read(question, *option, sentence);
    }
  }
  if (denies(text)) value.kind = Value::Kind::denied;
  return value;
}

}  // namespace aggregator::forms
