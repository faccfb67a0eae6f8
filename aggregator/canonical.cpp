#include "aggregator/canonical.h"

#include <algorithm>
#include <cstdio>

#include "aggregator/forms.h"

namespace aggregator {
namespace {

using forms::Clause;
using forms::Value;

Value read_clause(const Question& question, std::string_view clause, bool stated,
                  const ReadLimits& limits) {
  switch (question.type) {
    case AnswerType::choice:
      return forms::read_choice(question, clause, stated);
    case AnswerType::number:
      return forms::read_number(question, clause);
    case AnswerType::yes_no:
      return forms::read_yes_no(clause);
    case AnswerType::date:
      return forms::read_date(clause);
    case AnswerType::list:
      return forms::read_list(question, clause, limits);
    case AnswerType::short_text:
      return forms::read_short_text(question, clause, limits);
    case AnswerType::json:
    case AnswerType::code:
    case AnswerType::free_text:
      break;
  }
  return {};
}

Canonical answer_from(const Value& value, Cue cue) {
  Canonical answer;
  if (value.kind != Value::Kind::read) return answer;
  answer.found = true;
  answer.key = value.key;
  answer.shown = std::string(forms::trim(value.shown));
  answer.number = value.number;
  answer.numeric = value.numeric;
  answer.cue = cue;
  return answer;
}

/// A formula in a box that is no number ("\frac{x+1}{2}"): compared as written, without space.
Canonical formula(std::string_view box) {
  Canonical answer;
  for (const char c : box) {
    if (c != ' ' && c != '$' && c != '\n') answer.key += c;
  }
  if (answer.key.empty() || answer.key.size() > 400) return {};
  answer.key.insert(0, "tex:");
  answer.found = true;
  answer.shown = std::string(box);
  answer.cue = Cue::marked;
  return answer;
}

bool is_formula(std::string_view text) {
  return text.find_first_of("\\^_{}()[]xyz") != std::string_view::npos;
}

struct Reading {
  bool settled = false;  // found, or denied: no weaker clause may speak
  Canonical answer;
};

/// Boxes, tags and "####": the last one speaks, and if it cannot be read nothing weaker does.
Reading from_marks(const Question& question, const std::vector<Clause>& clauses,
                   const ReadLimits& limits) {
  for (auto clause = clauses.rbegin(); clause != clauses.rend(); ++clause) {
    if (clause->cue != Cue::marked || clause->text.empty()) continue;
    const Value value = read_clause(question, clause->text, true, limits);
    if (value.kind == Value::Kind::read) return {true, answer_from(value, Cue::marked)};
    if (question.type == AnswerType::number && value.kind == Value::Kind::unreadable &&
        is_formula(clause->text)) {
      return {true, formula(clause->text)};
    }
    return {true, {}};
  }
  return {};
}

/// "The answer is": the last one that can be read; one that denies ends the search.
Reading from_statements(const Question& question, const std::vector<Clause>& clauses,
                        const ReadLimits& limits) {
  for (auto clause = clauses.rbegin(); clause != clauses.rend(); ++clause) {
    if (clause->cue == Cue::marked || clause->text.empty()) continue;
    const bool stated = clause->cue == Cue::stated;
    // "Which one is correct": the subject of a sentence counts for choices and verdicts only.
    if (!stated && question.type != AnswerType::choice && question.type != AnswerType::short_text)
      continue;
    const Value value = read_clause(question, clause->text, stated, limits);
    if (value.kind == Value::Kind::denied) return {true, {}};
    if (value.kind == Value::Kind::read) return {true, answer_from(value, Cue::stated)};
  }
  return {};
}

/// How many lines begin with different labels: a reply that goes through the options one by one.
std::size_t labelled_lines(const Question& question, const std::vector<std::string_view>& lines) {
  std::vector<std::size_t> seen;
  for (const std::string_view line : lines) {
    const auto option = forms::label_of_line(question, line);
    if (option && std::find(seen.begin(), seen.end(), *option) == seen.end()) {
      seen.push_back(*option);
    }
  }
  return seen.size();
}

bool bare_label(std::string_view line) {
  return line.size() <= 5;
}

Canonical choice_from_lines(const Question& question, std::string_view text) {
  const auto lines = forms::lines_of(text);
  if (lines.empty()) return {};
  const bool enumerates = lines.size() > 1 && labelled_lines(question, lines) > 1;
  const auto read = [&](std::string_view line) {
    if (enumerates && !bare_label(line)) return Value{};
    return forms::read_choice(question, forms::after_conclusion_word(line), false);
  };
  const Value first = read(lines.front());
  if (lines.size() == 1) {
    if (first.kind != Value::Kind::unreadable) return answer_from(first, Cue::whole);
    const std::string_view said = forms::predicate(question, lines.front());
    return said.size() == lines.front().size() ? Canonical{} : answer_from(read(said), Cue::whole);
  }
  const Value last = read(lines.back());
  const bool both = first.kind == Value::Kind::read && last.kind == Value::Kind::read;
  if (both && first.key != last.key) return {};  // says two things
  if (last.kind == Value::Kind::read) return answer_from(last, Cue::concluded);
  return answer_from(first, Cue::whole);
}

/// A last line that concludes with one number: "Therefore, she lost $11." or "= 42".
Canonical number_from_lines(const Question& question, std::string_view text) {
  const auto lines = forms::lines_of(text);
  if (lines.empty()) return {};
  if (lines.size() == 1) {
    const std::string_view said = forms::predicate(question, lines.front());
    const Canonical whole = answer_from(forms::read_number(question, said), Cue::whole);
    if (whole.found) return whole;
  }
  std::string_view line = lines.back();
  const std::size_t colon = line.find(": ");
  if (colon < 20) line = forms::trim(line.substr(colon + 1));  // "Total: 11"
  const bool short_line = line.size() <= 40;
  if (const auto last = forms::read_number(question, line);
      short_line && last.kind == Value::Kind::read) {
    return answer_from(last, Cue::concluded);
  }
  // The last sentence, when a conclusion word opens it and one number stands in it.
  std::size_t begin = line.size() > 1 ? line.rfind(". ", line.size() - 2) : std::string_view::npos;
  if (begin != std::string_view::npos) line = forms::trim(line.substr(begin + 2));
  std::string_view rest = forms::after_conclusion_word(line);
  if (rest.size() == line.size()) return {};
  std::size_t numbers = 0, start = 0, end = 0;
  for (std::size_t i = 0; i < rest.size();) {
    if (!forms::is_digit(rest[i])) {
      ++i;
      continue;
    }
    start = i;
    while (i < rest.size() &&
           (forms::is_digit(rest[i]) || ((rest[i] == ',' || rest[i] == '.' || rest[i] == '/') &&
                                         i + 1 < rest.size() && forms::is_digit(rest[i + 1])))) {
      ++i;
    }
    end = i;
    ++numbers;
  }
  if (numbers != 1) {
    const std::size_t equals = rest.rfind('=');
    if (equals == std::string_view::npos) return {};
    return answer_from(forms::read_number(question, rest.substr(equals + 1)), Cue::concluded);
  }
  while (start > 0 && (rest[start - 1] == '$' || rest[start - 1] == '-')) --start;
  if (end < rest.size() && rest[end] == '%') ++end;
  const std::string_view behind = rest.substr(end);
  const bool scaled = behind.find("million") != std::string_view::npos ||
                      behind.find("thousand") != std::string_view::npos ||
                      behind.find("billion") != std::string_view::npos ||
                      behind.starts_with(" percent");
  if (scaled) end = rest.size();
  return answer_from(forms::read_number(question, rest.substr(start, end - start)), Cue::concluded);
}

/// "The statement is false": the part behind "is".
std::string_view after_statement(std::string_view sentence) {
  const std::string start = forms::lower(sentence.substr(0, 32));
  for (const std::string_view words : {"the statement is ", "this statement is ", "the claim is ",
                                       "the given statement is ", "the assertion is "}) {
    if (start.starts_with(words)) return sentence.substr(words.size());
  }
  return sentence;
}

/// The first words of the reply, or of its last sentence; nothing where the two differ.
Canonical verdict_from_lines(const std::vector<std::string_view>& lines) {
  const Canonical first =
      answer_from(forms::read_yes_no(after_statement(lines.front())), Cue::whole);
  std::string_view line = lines.back();
  const std::size_t stop = line.size() > 1 ? line.rfind(". ", line.size() - 2) : line.npos;
  if (stop != line.npos) line = forms::trim(line.substr(stop + 2));
  line = after_statement(forms::after_conclusion_word(line));
  const Canonical last = answer_from(forms::read_yes_no(line), Cue::concluded);
  if (first.found && last.found && first.key != last.key) return {};
  return last.found ? last : first;
}

Canonical from_lines(const Question& question, std::string_view text, const ReadLimits& limits) {
  if (question.type == AnswerType::choice) return choice_from_lines(question, text);
  if (question.type == AnswerType::number) return number_from_lines(question, text);
  const auto lines = forms::lines_of(text);
  if (lines.empty()) return {};
  if (question.type == AnswerType::list) {
    return answer_from(forms::read_list(question, text, limits), Cue::whole);
  }
  if (question.type == AnswerType::yes_no) return verdict_from_lines(lines);
  if (lines.size() == 1) {
    return answer_from(read_clause(question, lines.front(), false, limits), Cue::whole);
  }
  constexpr std::size_t kLoneLineMax = 60;
  if (lines.back().size() <= kLoneLineMax && question.type == AnswerType::date) {
    return answer_from(read_clause(question, lines.back(), false, limits), Cue::concluded);
  }
  return {};
}

std::string hash_of(std::string_view text) {  // FNV-1a, 64 bits
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
  return digits;
}

Canonical structured(const Question& question, std::string_view reply, const ReadLimits& limits) {
  Canonical answer;
  if (question.type == AnswerType::json) {
    forms::JsonText json = forms::read_json(reply, question.schema, limits);
    answer.found = json.found;
    answer.key = std::move(json.key);
    answer.shown = answer.key;
  } else if (question.type == AnswerType::code) {
    answer.shown = forms::read_code(reply);
    answer.found = !answer.shown.empty();
    if (answer.found) answer.key = hash_of(answer.shown);
  }
  if (answer.found) answer.cue = Cue::whole;
  return answer;
}

}  // namespace

Canonical canonical(const Question& question, std::string_view reply, const ReadLimits& limits) {
  if (reply.size() > limits.reply_bytes_max)
    reply.remove_prefix(reply.size() - limits.reply_bytes_max);
  reply = forms::without_reasoning(reply);
  if (question.type == AnswerType::free_text) return {};
  if (question.type == AnswerType::json || question.type == AnswerType::code) {
    return structured(question, reply, limits);
  }
  // Models without a chat template go on with a next question of their own.
  const std::size_t next = reply.find("\nQuestion:");
  if (next != std::string_view::npos && !forms::trim(reply.substr(0, next)).empty()) {
    reply = reply.substr(0, next);
  }
  const std::string text = forms::plain(forms::fold(reply));
  const auto clauses = forms::clauses_of(text);
  const Reading marked = from_marks(question, clauses, limits);
  if (marked.settled) return marked.answer;
  const Reading stated = from_statements(question, clauses, limits);
  if (!stated.settled) return from_lines(question, text, limits);
  if (question.type != AnswerType::choice || !stated.answer.found) return stated.answer;
  // A bare label on the last line that is another one than the stated: the reply says two things.
  const auto lines = forms::lines_of(text);
  if (lines.size() > 1 && bare_label(lines.back())) {
    const Value last = forms::read_choice(question, lines.back(), false);
    if (last.kind == Value::Kind::read && last.key != stated.answer.key) return {};
  }
  return stated.answer;
}

Question refine(Question question, const std::vector<std::string_view>& replies,
                const ReadLimits& limits) {
  if (question.declared || question.type != AnswerType::free_text || replies.size() < 2)
    return question;
  constexpr std::size_t kLineMax = 80;
  const auto all = [&](AnswerType type, auto also) {
    Question probe = question;
    probe.type = type;
    return std::all_of(replies.begin(), replies.end(), [&](std::string_view reply) {
      return canonical(probe, reply, limits).found && also(reply);
    });
  };
  const auto boxed = [](std::string_view reply) {
    return reply.find("boxed{") != std::string_view::npos;
  };
  const auto line = [](std::string_view reply) {
    reply = forms::trim(reply);
    return reply.size() <= kLineMax && reply.find('\n') == std::string_view::npos;
  };
  const auto any = [](std::string_view) { return true; };
  if (all(AnswerType::json, any)) {
    question.type = AnswerType::json;
  } else if (all(AnswerType::number, boxed)) {
    question.type = AnswerType::number;
  } else if (all(AnswerType::short_text, line)) {
    question.type = AnswerType::short_text;
  }
  return question;
}

}  // namespace aggregator
