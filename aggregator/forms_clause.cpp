// Where a reply says that it answers: the cues and the clauses behind them.
#include <algorithm>
#include <array>

#include "aggregator/forms.h"

namespace aggregator::forms {
namespace {

/// Nouns that announce an answer. Those with `needs_praise` do so only behind "correct", "my", ...
struct Noun {
  std::string_view word;
  bool needs_praise;
};

constexpr Noun kNouns[] = {{"answer", false},   {"ans", false},      {"respuesta", false},
                           {"antwort", false},  {"risposta", false}, {"resposta", false},
                           {"réponse", false},  {"reponse", false},  {"ответ", false},
                           {"Ответ", false},    {"答案", false},     {"solution", true},
                           {"result", true},    {"option", true},    {"choice", true},
                           {"statement", true}, {"value", true},     {"conclusion", true}};
constexpr std::string_view kPraise[] = {"correct", "right", "best",  "final",
                                        "my",      "only",  "chosen"};
constexpr std::string_view kLinkers[] = {"is", "be", "are", "was", "es", "est", "ist", "equals"};
/// Openings that announce one by themselves.
constexpr std::string_view kPhrases[] = {
    "i choose ",        "i would choose ", "i'd choose ",     "i pick ",     "i would pick ",
    "i'd pick ",        "i select ",       "i would select ", "i'd select ", "i'd go with ",
    "i would go with ", "i'll go with ",   "i will go with ", "going with ", "we choose "};
/// Behind the subject of "Option C is correct".
constexpr std::string_view kPredicates[] = {
    "is correct",    "is the correct",      "is the right", "is the best",       "is right",
    "is the answer", "is the final answer", "is my answer", "is my final answer"};
constexpr std::size_t kMarkMax = 2'000;  // bytes in a box or tag
constexpr std::size_t kFillerMax = 60;   // bytes between "answer" and "is"

bool word_at(std::string_view text, std::size_t at, std::string_view word) {
  if (word.size() > 2 && at + 2 < text.size() && text[at + 2] != word[2]) return false;  // cheap
  if (text.substr(at, word.size()) != word) return false;
  const bool ascii = is_letter(word.front());
  if (ascii && at > 0 && is_word(text[at - 1])) return false;
  const std::size_t end = at + word.size();
  return !ascii || end == text.size() || !is_word(text[end]);
}

bool praised(std::string_view lower_text, std::size_t at) {
  const std::size_t begin = at > 24 ? at - 24 : 0;
  std::string_view before = trim(lower_text.substr(begin, at - begin));
  return std::any_of(std::begin(kPraise), std::end(kPraise),
                     [&](std::string_view word) { return before.ends_with(word); });
}

/// Position behind the linker that follows a noun at `at`, npos when the noun announces nothing.
std::size_t after_linker(std::string_view text, std::size_t at) {
  const std::size_t limit = std::min(text.size(), at + kFillerMax);
  for (std::size_t i = at; i < limit; ++i) {
    const char c = text[i];
    if (c == ':' || c == '=') return i + 1;
    if (c == '(' || c == '[' || c == '{') {  // "Answer (C)", but "answer (rounded) is"
      const std::size_t close = text.find_first_of(")]}", i);
      if (close == std::string_view::npos || close > i + 30) return std::string_view::npos;
      if (close <= i + 4 && trim(text.substr(at, i - at)).empty()) return i;
      i = close;
      continue;
    }
    if (c == '.' || c == '!' || c == '?' || c == ';' || c == '\n') {
      // "### Final answer", and the answer on a line of its own.
      const bool heading = c == '\n' && trim(text.substr(at, i - at)).empty();
      return heading ? i + 1 : std::string_view::npos;
    }
    for (const std::string_view hedge : {"could", "might", "may", "cannot", "not"}) {
      if (word_at(text, i, hedge)) return std::string_view::npos;  // announces no answer
    }
    for (const std::string_view linker : kLinkers) {
      if (word_at(text, i, linker)) return i + linker.size();
    }
    for (const std::string_view linker : {"是", "为", "為", "选", "選"}) {
      if (text.substr(i).starts_with(linker)) return i + linker.size();
    }
  }
  return std::string_view::npos;
}

/// Where a line break does not end the clause: right behind the linker.
std::size_t skip_space(std::string_view text, std::size_t at) {
  while (at < text.size() && (text[at] == ' ' || text[at] == '\n' || text[at] == ':')) ++at;
  return at;
}

std::string_view clause_at(std::string_view text, std::size_t at) {
  at = skip_space(text, at);
  const std::size_t end = text.find('\n', at);
  return trim(text.substr(at, end == std::string_view::npos ? end : end - at));
}

void noun_at(std::string_view text, std::string_view lower_text, std::size_t at,
             std::vector<Clause>& found) {
  for (const Noun& noun : kNouns) {
    if (!word_at(lower_text, at, noun.word)) continue;
    if (noun.needs_praise && !praised(lower_text, at)) continue;
    const std::size_t next = after_linker(lower_text, at + noun.word.size());
    if (next != std::string_view::npos) found.push_back({clause_at(text, next), Cue::stated, at});
  }
}

void phrase_at(std::string_view text, std::string_view lower_text, std::size_t at,
               std::vector<Clause>& found) {
  for (const std::string_view phrase : kPhrases) {
    if (at + 2 >= text.size() || lower_text[at + 2] != phrase[2]) continue;
    if (lower_text.substr(at, phrase.size()) != phrase) continue;
    found.push_back({clause_at(text, at + phrase.size()), Cue::stated, at});
  }
}

/// "Option C is correct.", "(C) is the right answer": the subject of that sentence, when it is
/// short.
void predicate_at(std::string_view text, std::string_view lower_text, std::size_t at,
                  std::vector<Clause>& found) {
  constexpr std::size_t kSubjectMax = 80;
  for (const std::string_view words : kPredicates) {
    if (!word_at(lower_text, at, words)) continue;
    std::size_t begin = at;
    while (begin > 0 && at - begin < kSubjectMax) {
      const char c = text[begin - 1];
      const bool stop = c == '\n' || c == ',' || c == ';' || c == '!' || c == '?' ||
                        (c == '.' && begin < text.size() && text[begin] == ' ');
      if (stop) break;
      --begin;
    }
    // "Only one option is correct" and the like are unreadable as a value and do no harm.
    const std::string_view subject = trim(text.substr(begin, at - begin));
    if (subject.empty() || subject.size() >= kSubjectMax) continue;
    found.push_back({subject, Cue::concluded, at});
  }
}

/// The second bytes that may follow each first byte of a cue.
struct Openings {
  std::array<std::string, 256> seconds;

  Openings() {
    const auto add = [&](std::string_view word) {
      seconds[static_cast<unsigned char>(word[0])] += word[1];
    };
    for (const Noun& noun : kNouns) add(noun.word);
    for (const std::string_view phrase : kPhrases) add(phrase);
    for (const std::string_view words : kPredicates) add(words);
  }
};

/// One pass over the starts of words: replies are long and cues are rare.
void find_words(std::string_view text, std::string_view lower_text, std::vector<Clause>& found) {
  static const Openings openings;
  for (std::size_t at = 0; at + 1 < lower_text.size(); ++at) {
    const char c = lower_text[at];
    const std::string& seconds = openings.seconds[static_cast<unsigned char>(c)];
    if (seconds.empty() || seconds.find(lower_text[at + 1]) == std::string::npos) continue;
    if ((c & 0x80) == 0 && at > 0 && is_word(lower_text[at - 1])) continue;
    noun_at(text, lower_text, at, found);
    phrase_at(text, lower_text, at, found);
    predicate_at(text, lower_text, at, found);
  }
}

void find_marks(std::string_view text, std::string_view lower_text, std::vector<Clause>& found) {
  for (std::size_t at = text.find("####"); at != std::string_view::npos;
       at = text.find("####", at + 4)) {
    const std::string_view clause = clause_at(text, at + 4);
    const bool deeper_heading = at + 4 < text.size() && text[at + 4] == '#';
    if (!deeper_heading && !clause.empty() &&
        (is_digit(clause.front()) || clause.front() == '-' || clause.front() == '$' ||
         clause.size() <= 4)) {
      found.push_back({clause, Cue::marked, at});
    }
  }
  const bool tagged = lower_text.find("</") != std::string_view::npos;
  for (const std::string_view tag : {"answer>", "final_answer>", "final>"}) {
    if (!tagged) break;
    const std::string open = "<" + std::string(tag), close = "</" + std::string(tag);
    for (std::size_t at = lower_text.find(open); at != std::string_view::npos;
         at = lower_text.find(open, at + 1)) {
      const std::size_t begin = at + open.size();
      const std::size_t length = lower_text.substr(begin, kMarkMax).find(close);
      if (length == std::string_view::npos) continue;
      found.push_back({trim(text.substr(begin, length)), Cue::marked, begin + length});
    }
  }
  for (std::size_t at = text.find("boxed{"); at != std::string_view::npos;
       at = text.find("boxed{", at + 6)) {
    std::size_t depth = 1, end = at + 6;
    const std::size_t limit = std::min(text.size(), end + kMarkMax);
    while (end < limit && depth > 0) {
      depth += text[end] == '{';
      depth -= text[end] == '}';
      ++end;
    }
    if (depth == 0)
      found.push_back({trim(text.substr(at + 6, end - 1 - (at + 6))), Cue::marked, end});
  }
}

}  // namespace

std::vector<Clause> clauses_of(std::string_view plain_text) {
  const std::string lower_text = lower(plain_text);
  std::vector<Clause> found;
  find_words(plain_text, lower_text, found);
  find_marks(plain_text, lower_text, found);
  std::stable_sort(found.begin(), found.end(),
                   [](const Clause& a, const Clause& b) { return a.at < b.at; });
  return found;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = trim(text.substr(0, end));
    if (!line.empty()) lines.push_back(line);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

std::string_view first_sentence(std::string_view clause) {
  for (std::size_t i = 0; i < clause.size(); ++i) {
    const char c = clause[i];
    if (c == '\n') return clause.substr(0, i);
    if (c != '.' && c != '!' && c != '?' && c != ';') continue;
    if (i + 1 < clause.size() && clause[i + 1] != ' ' && clause[i + 1] != '\n' && c != ';')
      continue;
    if (c == '.') {  // "Dr. No", "J. K. Rowling", "St. Louis"
      std::size_t begin = i;
      while (begin > 0 && is_letter(clause[begin - 1])) --begin;
      const std::string word = lower(clause.substr(begin, i - begin));
      const bool last = trim(clause.substr(i + 1)).empty();
      const bool initial =
          word.size() == 1 && !last && clause[begin] >= 'A' && clause[begin] <= 'Z';
      if (!last && (initial || word == "dr" || word == "mr" || word == "mrs" || word == "ms" ||
                    word == "st" || word == "jr" || word == "vs" || word == "no")) {
        continue;
      }
    }
    return clause.substr(0, i);
  }
  return clause;
}

std::string_view after_conclusion_word(std::string_view text) {
  const std::string start = lower(text.substr(0, 24));
  for (const std::string_view word :
       {"therefore", "thus", "hence", "so", "finally", "in conclusion", "in total", "consequently",
        "overall", "altogether"}) {
    if (!starts_with_word(start, word)) continue;
    std::string_view rest = trim(text.substr(word.size()));
    if (!rest.empty() && (rest.front() == ',' || rest.front() == ':')) rest = trim(rest.substr(1));
    return rest;
  }
  return text;
}

}  // namespace aggregator::forms
