#include "router/choices.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace router {
namespace {

constexpr std::size_t kWordsMax = 64;         // of an option
constexpr std::size_t kStemBytesMax = 8'192;  // of the question before its options
constexpr std::size_t kAboutWord = 4;         // bytes of a word that says what a question is about

using Words = std::vector<std::uint32_t>;  // hashes, sorted, each once

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_word(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80) != 0;
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return lower(c); });
  return out;
}

/// Words of at least `bytes_min` bytes; a decimal number is one.
Words words_of(std::string_view text, std::size_t bytes_min, std::size_t words_max) {
  Words words;
  std::uint32_t hash = 2'166'136'261U;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i <= text.size() && words.size() < words_max; ++i) {
    const bool point = i < text.size() && text[i] == '.' && bytes > 0 && is_digit(text[i - 1]);
    if (i < text.size() && (is_word(text[i]) || point)) {
      hash = (hash ^ static_cast<unsigned char>(lower(text[i]))) * 16'777'619U;
      ++bytes;
      continue;
    }
    if (bytes > 0 && bytes >= bytes_min) words.push_back(hash);
    hash = 2'166'136'261U, bytes = 0;
  }
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return words;
}

std::size_t count_common(const Words& a, const Words& b) {
  std::size_t common = 0;
  for (auto i = a.begin(), j = b.begin(); i != a.end() && j != b.end();) {
    if (*i == *j) ++common;
    const bool left = *i <= *j, right = *j <= *i;
    i += left, j += right;
  }
  return common;
}

/// The question before the line of its first option.
std::string_view stem_of(const aggregator::Question& question) {
  const std::string_view text = question.text;
  const std::string label = lower(question.options.front().label);
  for (std::size_t at = text.find('\n'); at != std::string_view::npos;
       at = text.find('\n', at + 1)) {
    std::size_t begin = at + 1;
    while (begin < text.size() && (text[begin] == ' ' || text[begin] == '(')) ++begin;
    const std::size_t end = begin + label.size();
    if (end < text.size() && text.substr(begin, label.size()) == label && !is_word(text[end]))
      return text.substr(0, std::min(at, kStemBytesMax));
  }
  return text.substr(0, kStemBytesMax);
}

/// The first number of the text, thousands separated or not.
std::optional<double> number_of(std::string_view text) {
  std::string digits;
  for (const char c : text) {
    if (is_digit(c) || c == '.' || (c == '-' && digits.empty())) {
      digits += c;
    } else if (c != ',' && c != '$' && c != ' ' && !digits.empty()) {
      break;
    }
  }
  double value = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (read.ec != std::errc() || !std::isfinite(value)) return {};
  return value;
}

float has_any(std::string_view text, std::initializer_list<std::string_view> phrases) {
  return std::any_of(phrases.begin(), phrases.end(), [&](std::string_view phrase) {
    return text.find(phrase) != std::string_view::npos;
  });
}

/// Writes traits one after the other.
class Pen {
 public:
  explicit Pen(ChoiceTraits& traits) : traits_(traits) {}

  void put(double value) { traits_.at(at_++) = static_cast<float>(value); }

  void skip(std::size_t count) { at_ += count; }

 private:
  ChoiceTraits& traits_;
  std::size_t at_ = 0;
};

struct Options {
  std::vector<Words> words;
  std::vector<double> length;  // log of bytes
  std::vector<std::optional<double>> number;
  std::vector<double> numbers;              // those that are one
  std::map<std::uint32_t, int> options_of;  // by word
  Words stem;
  double length_mean = 0;
};

Options read_options(const aggregator::Question& question) {
  Options all;
  for (const aggregator::Option& option : question.options) {
    all.words.push_back(words_of(option.text, 1, kWordsMax));
    for (const std::uint32_t word : all.words.back()) ++all.options_of[word];
    all.length.push_back(std::log(2 + static_cast<double>(option.text.size())));
    all.length_mean += all.length.back() / static_cast<double>(question.options.size());
    all.number.push_back(number_of(option.text));
    if (all.number.back()) all.numbers.push_back(*all.number.back());
  }
  all.stem = words_of(stem_of(question), kAboutWord, kStemBytesMax);
  return all;
}

/// Length, and the words that it shares with the others and with the question.
void put_words(const Options& all, const aggregator::Option& option, std::size_t at, Pen& pen) {
  const double others = static_cast<double>(all.words.size()) - 1;
  const auto [shortest, longest] = std::minmax_element(all.length.begin(), all.length.end());
  pen.put(all.length[at] - all.length_mean);
  pen.put(all.length[at] == *longest);
  pen.put(all.length[at] == *shortest);
  double shared = 0;
  for (const std::uint32_t word : all.words[at]) shared += (all.options_of.at(word) - 1) / others;
  pen.put(shared / std::max<double>(1, static_cast<double>(all.words[at].size())));
  pen.put(shared);
  const Words about = words_of(option.text, kAboutWord, kWordsMax);
  const auto in_stem = static_cast<double>(count_common(about, all.stem));
  pen.put(in_stem / std::max<double>(1, static_cast<double>(about.size())));
  pen.put(std::log(1 + in_stem));
}

/// Turns of phrase.
void put_phrases(std::string_view text, Pen& pen) {
  pen.put(has_any(text, {"all of the above", "all of these", "all the above"}));
  pen.put(has_any(text, {"none of"}));
  pen.put(has_any(text, {" not ", "n't", "cannot"}));
  pen.put(has_any(text, {"always", "never", " only", " all ", "must"}));
  pen.put(has_any(text, {" may ", "usually", "often", " can ", "some"}));
}

/// How like another option it is: the nearest one, and all of them.
void put_likeness(const Options& all, std::size_t at, Pen& pen) {
  double nearest = 0, sum = 0;
  for (std::size_t other = 0; other < all.words.size(); ++other) {
    if (other == at) continue;
    const auto common = static_cast<double>(count_common(all.words[at], all.words[other]));
    const auto either =
        static_cast<double>(all.words[at].size() + all.words[other].size()) - common;
    const double likeness = either > 0 ? common / either : 0;
    nearest = std::max(nearest, likeness);
    sum += likeness;
  }
  pen.put(nearest);
  pen.put(sum / (static_cast<double>(all.words.size()) - 1));
}

/// Where a number stands among the others.
void put_number(const Options& all, std::string_view text, std::size_t at, Pen& pen) {
  constexpr std::size_t kTraits = 8, kNumbersMin = 3;
  constexpr double kNear = 0.15;  // of the ratio's logarithm
  if (!all.number[at] || all.numbers.size() < kNumbersMin) return pen.skip(kTraits);
  const double value = *all.number[at], count = static_cast<double>(all.numbers.size());
  double below = 0, up_to = 0, near = 0;
  for (const double number : all.numbers) {
    below += number < value;
    up_to += number <= value;
    near += number != value && number * value > 0 && std::abs(std::log(number / value)) < kNear;
  }
  const double rank = (below + up_to) / 2 / count - 0.5;
  pen.put(1);
  pen.put(std::abs(rank));
  pen.put(rank);
  pen.put(below == 0);
  pen.put(up_to == count);
  pen.put(near / count);
  pen.put(static_cast<double>(std::count_if(text.begin(), text.end(), is_digit)) / 5);
  pen.put(static_cast<double>(std::count(text.begin(), text.end(), '0')) / 3);
}

void put_place(std::size_t at, std::size_t count, Pen& pen) {
  pen.put(at == 0);
  pen.put(at + 1 == count);
  pen.put(static_cast<double>(at) / 10);
}

}  // namespace

std::vector<ChoiceTraits> describe_choices(const aggregator::Question& question) {
  std::vector<ChoiceTraits> traits;
  if (question.options.size() < 2) return traits;
  const Options all = read_options(question);
  traits.resize(question.options.size());
  for (std::size_t at = 0; at < traits.size(); ++at) {
    const aggregator::Option& option = question.options[at];
    Pen pen(traits[at]);
    put_words(all, option, at, pen);
    put_phrases(lower(option.text), pen);
    put_likeness(all, at, pen);
    put_number(all, option.text, at, pen);
    put_place(at, traits.size(), pen);
    pen.put(option.text.size() < 2);
  }
  return traits;
}

}  // namespace router
