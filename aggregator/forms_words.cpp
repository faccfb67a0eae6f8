// Yes or no, lists, short texts, code: answers made of words.
#include <algorithm>
#include <cstdio>

#include "aggregator/forms.h"

namespace aggregator::forms {
namespace {

struct Verdict {
  std::string_view word;
  bool yes;
};

constexpr Verdict kVerdicts[] = {{"yes", true},       {"no", false},     {"true", true},
                                 {"false", false},    {"correct", true}, {"incorrect", false},
                                 {"right", true},     {"wrong", false},  {"yeah", true},
                                 {"nope", false},     {"yep", true},     {"affirmative", true},
                                 {"negative", false}, {"是", true},      {"不是", false},
                                 {"否", false},       {"对", true},      {"不对", false}};

std::string_view after_article(std::string_view text) {
  for (const std::string_view word :
       {"it is ", "it's ", "it was ", "that is ", "that's ", "this is ", "that would be ",
        "it would be ", "they are ", "he is ", "she is "}) {
    if (lower(text.substr(0, word.size())) == word) return trim(text.substr(word.size()));
  }
  return text;
}

std::size_t word_count(std::string_view text) {
  std::size_t count = 0;
  bool inside = false;
  for (const char c : text) {
    count += c != ' ' && !inside;
    inside = c != ' ';
  }
  return count;
}

}  // namespace

std::string_view predicate(const Question& question, std::string_view sentence) {
  const std::string folded = lower(sentence);
  const std::string asked = " " + text_key(question.text) + " ";
  for (const std::string_view verb : {" is ", " was ", " are ", " were "}) {
    const std::size_t at = folded.find(verb);
    if (at == std::string::npos) continue;
    std::string_view subject = std::string_view(folded).substr(0, at);
    bool known = true;
    while (!subject.empty() && known) {
      const std::size_t end = subject.find(' ');
      const std::string word = text_key(subject.substr(0, end));
      known = word.empty() || word == "the" || word == "a" ||
              asked.find(" " + word + " ") != std::string::npos;
      subject.remove_prefix(end == std::string_view::npos ? subject.size() : end + 1);
    }
    if (known) return trim(sentence.substr(at + verb.size()));
  }
  return sentence;
}

namespace {

/// "1. ", "- ", "* ", "a) " at the start of a list's line.
std::string_view without_bullet(std::string_view line) {
  std::size_t end = 0;
  while (end < line.size() && end < 3 && is_digit(line[end])) ++end;
  if (end == 0 && line.size() > 1 && is_letter(line[0]) && line[1] == ')') end = 1;
  if (end > 0 && end < line.size() && (line[end] == '.' || line[end] == ')'))
    return trim(line.substr(end + 1));
  if (line.size() > 1 && (line[0] == '-' || line[0] == '+') && line[1] == ' ')
    return trim(line.substr(2));
  return line;
}

bool has_bullet(std::string_view line) {
  return without_bullet(line).size() != line.size();
}

std::vector<std::string_view> split_list(std::string_view text) {
  std::vector<std::string_view> items;
  const char mark = text.find(';') != std::string_view::npos ? ';' : ',';
  std::size_t begin = 0, depth = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    const char c = i < text.size() ? text[i] : mark;
    depth += c == '(' || c == '[' || c == '{';
    depth -= (c == ')' || c == ']' || c == '}') && depth > 0;
    if (c != mark || (depth > 0 && i < text.size())) continue;
    items.push_back(trim(text.substr(begin, i - begin)));
    begin = i + 1;
  }
  // "A, B and C": the last item holds two, unless a comma stands before the word.
  std::string_view last = items.back();
  const std::string folded = lower(last);
  for (const std::string_view word : {"and ", "or ", "& "}) {
    if (!folded.starts_with(word)) continue;
    items.back() = trim(last.substr(word.size()));
    return items;
  }
  for (const std::string_view word : {" and ", " & "}) {
    const std::size_t at = folded.find(word);
    if (at == std::string::npos || mark == ';') continue;
    items.back() = trim(last.substr(0, at));
    items.push_back(trim(last.substr(at + word.size())));
    return items;
  }
  return items;
}

/// A list's item as its key: numbers by value, the rest by words.
std::string item_key(std::string_view item) {
  if (const auto number = number_of(trim_quotes(item))) return digits_of(number->value);
  return text_key(item);
}

}  // namespace

Value read_yes_no(std::string_view clause) {
  Value value;
  std::string_view text = after_article(trim(clause));
  while (!text.empty() && std::string_view("\"'$(:").find(text.front()) != std::string_view::npos)
    text.remove_prefix(1);
  const std::string folded = lower(text.substr(0, 32));
  for (const Verdict& verdict : kVerdicts) {
    const bool ascii = is_letter(verdict.word.front());
    if (ascii ? !starts_with_word(folded, verdict.word) : !folded.starts_with(verdict.word))
      continue;
    const std::string_view rest = std::string_view(folded).substr(verdict.word.size());
    const std::string_view behind = trim(rest);
    // "No doubt that", "no one": a verdict stands alone or before punctuation or a reason.
    const bool closed = behind.empty() ||
                        !is_word(rest.front() == ' ' ? behind.front() : rest.front()) ||
                        starts_with_word(behind, "because") || starts_with_word(behind, "since") ||
                        starts_with_word(behind, "it") || starts_with_word(behind, "the");
    if (!closed) return value;
    if (starts_with_word(behind, "and") || starts_with_word(behind, "or") ||
        behind.starts_with("/")) {
      value.kind = Value::Kind::denied;
      return value;
    }
    value.kind = Value::Kind::read;
    value.key = verdict.yes ? "yes" : "no";
    value.shown = text.substr(0, verdict.word.size());
    return value;
  }
  if (starts_with_word(folded, "not") || starts_with_word(folded, "yes and") ||
      starts_with_word(folded, "unclear")) {
    value.kind = Value::Kind::denied;
  }
  return value;
}

Value read_list(const Question& question, std::string_view clause, const ReadLimits& limits) {
  Value value;
  std::vector<std::string_view> items;
  const auto lines = lines_of(clause);
  const auto bullets =
      static_cast<std::size_t>(std::count_if(lines.begin(), lines.end(), has_bullet));
  if (bullets >= 2) {
    for (const std::string_view line : lines) {
      if (has_bullet(line)) items.push_back(without_bullet(line));
    }
  } else if (!lines.empty()) {
    std::string_view text = trim_quotes(after_article(lines.front()));
    if (!text.empty() && (text.front() == '[' || text.front() == '{' || text.front() == '(') &&
        text.size() > 1 && (text.back() == ']' || text.back() == '}' || text.back() == ')')) {
      text = text.substr(1, text.size() - 2);
    } else {
      text = text.substr(0, text.find(". "));
    }
    items = split_list(text);
  }
  std::vector<std::string> keys;
  for (const std::string_view item : items) {
    // "Paris: the capital", "Paris (France)": an explanation is not the item.
    std::string_view head =
        item.substr(0, std::min({item.find(": "), item.find(" - "), item.find(" (")}));
    std::string key = item_key(head);
    if (key.empty()) continue;
    if (word_count(key) > 12) return value;  // sentences, not items
    keys.push_back(std::move(key));
  }
  if (keys.size() < 2 || keys.size() > limits.list_items_max) return value;
  if (!question.ordered) {
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  }
  for (const std::string& key : keys) (value.key += value.key.empty() ? "" : " | ") += key;
  if (value.key.size() > limits.key_bytes_max) return {};
  value.kind = Value::Kind::read;
  value.shown = clause;
  return value;
}

Value read_short_text(const Question& question, std::string_view clause, const ReadLimits& limits) {
  constexpr std::size_t kWordsMax = 12;
  Value value;
  std::string_view text = trim_quotes(first_sentence(trim(clause)));
  text = trim_quotes(predicate(question, after_article(text)));
  for (const std::string_view end :
       {" because ", ", because ", ", which ", ", who ", " since ", " ("}) {
    text = text.substr(0, text.find(end, 1));
  }
  text = trim_quotes(text);
  const std::string folded = lower(text.substr(0, 24));
  for (const std::string_view word :
       {"not", "unknown", "unclear", "i don't", "i do not", "i'm not", "i am not", "n/a", "cannot",
        "i cannot", "i can't", "as follows", "none of"}) {
    if (!starts_with_word(folded, word)) continue;
    value.kind = Value::Kind::denied;
    return value;
  }
  if (text.empty() || word_count(text) > kWordsMax || text.size() > limits.key_bytes_max)
    return value;
  const auto number = number_of(text);
  value.key = number ? digits_of(number->value) : text_key(text);
  if (value.key.empty()) return value;
  value.kind = Value::Kind::read;
  value.shown = text;
  return value;
}

std::string read_code(std::string_view reply) {
  std::string_view code;
  const std::size_t close = reply.rfind("```");
  const std::size_t open =
      close == std::string_view::npos || close == 0 ? close : reply.rfind("```", close - 1);
  if (open != std::string_view::npos && open < close) {
    code = reply.substr(open + 3, close - open - 3);
    const std::size_t first = code.find('\n');  // the language's name
    code = first == std::string_view::npos ? std::string_view() : code.substr(first + 1);
  } else if (close == std::string_view::npos) {
    for (const std::string_view start :
         {"def ", "class ", "#include", "import ", "from ", "function ", "public ", "int ", "void ",
          "SELECT ", "fn ", "func ", "package ", "const ", "let "}) {
      if (trim(reply).starts_with(start)) code = reply;
    }
  }
  std::string normal;
  while (!code.empty()) {
    const std::size_t end = code.find('\n');
    std::string_view line = code.substr(0, end);
    while (!line.empty() && (line.back() == ' ' || line.back() == '\t' || line.back() == '\r'))
      line.remove_suffix(1);
    const std::string_view start = trim(line);
    const bool comment = (start.starts_with("#") && !start.starts_with("#include") &&
                          !start.starts_with("#define")) ||
                         start.starts_with("//");
    if (!start.empty() && !comment) (normal += line) += '\n';
    if (end == std::string_view::npos) break;
    code.remove_prefix(end + 1);
  }
  return normal;
}

}  // namespace aggregator::forms
