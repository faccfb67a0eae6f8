// What a query expects: its options, and its type from the way it asks.
#include <algorithm>

#include "aggregator/canonical.h"
#include "aggregator/forms.h"

namespace aggregator {
namespace {

using namespace forms;

constexpr std::string_view kTypeNames[kAnswerTypes] = {
    "choice", "number", "yes_no", "date", "list", "json", "code", "short_text", "free_text"};

struct Mark {
  std::string label;
  std::size_t at = 0;     // of the label
  std::size_t after = 0;  // where its text starts
};

/// "A.", "(b)", "3)" at `at`; a label is one letter or at most two digits with a closing mark.
std::optional<Mark> mark_at(std::string_view text, std::size_t at, bool inline_form) {
  std::size_t i = at;
  const bool open = i < text.size() && (text[i] == '(' || text[i] == '[');
  if (open) ++i;
  const std::size_t begin = i;
  while (i < text.size() && i - begin < 3 && (is_letter(text[i]) || is_digit(text[i]))) ++i;
  const std::string_view word = text.substr(begin, i - begin);
  const bool digits =
      !word.empty() && word.size() <= 2 && is_digit(word.front()) && is_digit(word.back());
  if (!(word.size() == 1 && is_letter(word[0])) && !digits) return {};
  if (i >= text.size()) return {};
  const char close = text[i];
  const bool closed = open ? close == ')' || close == ']'
                           : close == ')' || (!inline_form && (close == '.' || close == ':'));
  if (!closed) return {};
  if (!open && close != ')' && i + 1 < text.size() && text[i + 1] != ' ') return {};  // "A.D."
  std::string label(word);
  for (char& c : label) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return Mark{label, at, i + 1};
}

std::vector<Mark> marks_of(std::string_view text, bool inline_form) {
  std::vector<Mark> marks;
  bool fresh = true;  // at the start of a line, or in the inline form of a word
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n') {
      fresh = true;
      continue;
    }
    if (c == ' ' || (c == '-' && !inline_form)) {
      fresh = fresh || inline_form;
      continue;
    }
    if (fresh) {
      if (auto mark = mark_at(text, i, inline_form)) {
        i = mark->after - 1;
        marks.push_back(std::move(*mark));
      }
    }
    fresh = false;
  }
  return marks;
}

std::string next_label(const std::string& label) {
  if (is_digit(label[0])) return std::to_string(std::stoi(label) + 1);
  return label == "Z" ? "" : std::string(1, static_cast<char>(label[0] + 1));
}

/// The last run of marks A, B, C, ... (or 1, 2, 3, ...) of at least two.
std::vector<Option> options_in(std::string_view text, const std::vector<Mark>& marks, bool letters,
                               const ReadLimits& limits) {
  std::vector<Option> best;
  for (std::size_t i = 0; i < marks.size(); ++i) {
    if (marks[i].label != (letters ? "A" : "1")) continue;
    std::vector<std::size_t> run{i};
    std::string wanted = next_label(marks[i].label);
    for (std::size_t j = i + 1; j < marks.size() && run.size() < limits.options_max; ++j) {
      if (marks[j].label == (letters ? "A" : "1")) break;
      if (marks[j].label != wanted) continue;
      run.push_back(j);
      wanted = next_label(wanted);
    }
    if (run.size() < 2) continue;
    std::vector<Option> options;
    for (std::size_t k = 0; k < run.size(); ++k) {
      const std::size_t begin = marks[run[k]].after;
      std::size_t end = k + 1 < run.size() ? marks[run[k + 1]].at : text.size();
      if (k + 1 ==
          run.size()) {  // the last one ends with its line, or a blank line where it is long
        const std::size_t line = text.find('\n', begin);
        end = std::min(end, line);
      }
      std::string_view body =
          trim(text.substr(begin, std::min(end - begin, limits.option_bytes_max)));
      while (!body.empty() && (body.back() == ',' || body.back() == ';')) body.remove_suffix(1);
      std::string one_line(body);
      std::replace(one_line.begin(), one_line.end(), '\n', ' ');
      std::string shown = plain(one_line);
      std::string key = text_key(shown);
      options.push_back({marks[run[k]].label, std::move(shown), std::move(key)});
    }
    best = std::move(options);
  }
  return best;
}

bool holds_any(std::string_view text, std::initializer_list<std::string_view> phrases) {
  return std::any_of(phrases.begin(), phrases.end(), [&](std::string_view phrase) {
    return text.find(phrase) != std::string_view::npos;
  });
}

/// The sentence that asks: the last one with a question mark, else the first line.
std::string_view asking_part(std::string_view text) {
  const std::size_t mark = text.rfind('?');
  if (mark == std::string_view::npos) return text.substr(0, text.find('\n'));
  const std::size_t stop = text.substr(0, mark).find_last_of(".?!\n");
  return trim(text.substr(stop == std::string_view::npos ? 0 : stop + 1,
                          mark - (stop == std::string_view::npos ? 0 : stop + 1)));
}

bool starts_with_any(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return starts_with_word(text, word); });
}

AnswerType type_from_wording(const Question& question) {
  const std::string_view text = question.text, asking = asking_part(text);
  if (!question.schema.empty() ||
      holds_any(text, {"as json", "in json", "valid json", "json object", "json array",
                       "return json", "json only", "respond with json"})) {
    return AnswerType::json;
  }
  if (question.options.size() >= 2) return AnswerType::choice;
  if (holds_any(text, {"yes or no", "yes/no", "true or false", "true/false", "answer yes",
                       "(yes, no)"})) {
    return AnswerType::yes_no;
  }
  const bool code =
      holds_any(text, {"write a function", "write a python", "write a program", "write code",
                       "implement a function", "write a script", "write a sql",
                       "complete the function", "write an sql", "implement the function"}) ||
      text.starts_with("def ") || text.find("\ndef ") != std::string_view::npos;
  if (code) return AnswerType::code;
  if (holds_any(asking, {"explain", "describe", "discuss", "essay", "summarize", "summarise",
                         "poem", "story"})) {
    return AnswerType::free_text;
  }
  if (holds_any(text, {"calculate", "compute "})) return AnswerType::number;
  if (holds_any(asking, {"how many",
                         "how much",
                         "how far",
                         "how long",
                         "how old",
                         "how tall",
                         "what percent",
                         "what percentage",
                         "what is the value",
                         "find the value",
                         "what is the probability",
                         "what is the sum",
                         "calculate",
                         "compute",
                         "what is the total",
                         "what fraction",
                         "how fast",
                         "what is the area",
                         "what is the perimeter",
                         "evaluate "})) {
    return AnswerType::number;
  }
  if (holds_any(asking, {"what date", "which year", "what year", "when did", "when was",
                         "which day", "on what day", "when were", "what day"})) {
    return AnswerType::date;
  }
  if (holds_any(asking,
                {"list ", "name three", "name two", "name four", "name all", "name the three",
                 "enumerate", "which of these are", "sort the", "rank the"})) {
    return AnswerType::list;
  }
  if (starts_with_any(asking, {"is", "are", "was", "were", "does", "do", "did", "can", "could",
                               "will", "has", "have"})) {
    return AnswerType::yes_no;
  }
  if (starts_with_any(asking,
                      {"who", "whom", "whose", "where", "what is the name", "what is the capital",
                       "which", "in which", "what city", "what country", "name the", "who's"})) {
    return AnswerType::short_text;
  }
  return AnswerType::free_text;
}

}  // namespace

std::string_view name_of(AnswerType type) {
  return kTypeNames[static_cast<std::size_t>(type)];
}

std::optional<AnswerType> answer_type_of(std::string_view name) {
  for (std::size_t i = 0; i < kAnswerTypes; ++i) {
    if (kTypeNames[i] == name) return static_cast<AnswerType>(i);
  }
  return {};
}

Question read_question(std::string_view text, std::optional<AnswerType> declared,
                       std::string_view schema, const ReadLimits& limits) {
  if (text.size() > limits.query_bytes_max)
    text.remove_prefix(text.size() - limits.query_bytes_max);
  const std::string folded = fold(text);
  Question question;
  question.schema = schema;
  question.text = lower(folded);
  const auto by_line = marks_of(folded, false), in_line = marks_of(folded, true);
  question.options = options_in(folded, by_line, true, limits);
  if (question.options.empty()) question.options = options_in(folded, in_line, true, limits);
  // Numbers are options only where the question says that it wants one of them.
  const bool choosing =
      holds_any(question.text, {"option", "choose", "which of the following", "select", "choices",
                                "pick one", "multiple choice"});
  if (question.options.empty() && (choosing || declared == AnswerType::choice)) {
    question.options = options_in(folded, by_line, false, limits);
    if (question.options.empty()) question.options = options_in(folded, in_line, false, limits);
  }
  question.declared = declared.has_value();
  question.type = declared ? *declared : type_from_wording(question);
  if (question.type == AnswerType::choice && question.options.empty()) {
    for (char c = 'A'; c <= 'Z'; ++c) question.options.push_back({std::string(1, c), "", ""});
  }
  if (question.type != AnswerType::choice) question.options.clear();
  question.percent = holds_any(question.text, {"percent", "%"});
  question.ordered =
      holds_any(question.text, {"in order", "ranked", "rank ", "sort", "sequence", "steps",
                                "ordered", "chronological", "from smallest", "from largest"});
  if (question.type == AnswerType::number) question.unit = asked_unit(asking_part(question.text));
  return question;
}

}  // namespace aggregator
