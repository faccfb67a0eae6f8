#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "aggregator/forms.h"

namespace aggregator::forms {
namespace {

struct Unit {
  std::string_view word;  // lower case
  std::string_view short_form;
  std::string_view dimension;
  double factor;  // to the dimension's first unit
};

/// Only units that a question may ask in while a reply answers in another of the same dimension.
constexpr Unit kUnits[] = {{"m", "m", "length", 1},
                           {"meter", "m", "length", 1},
                           {"metre", "m", "length", 1},
                           {"km", "km", "length", 1e3},
                           {"kilometer", "km", "length", 1e3},
                           {"kilometre", "km", "length", 1e3},
                           {"cm", "cm", "length", 1e-2},
                           {"centimeter", "cm", "length", 1e-2},
                           {"centimetre", "cm", "length", 1e-2},
                           {"mm", "mm", "length", 1e-3},
                           {"millimeter", "mm", "length", 1e-3},
                           {"g", "g", "mass", 1},
                           {"gram", "g", "mass", 1},
                           {"kg", "kg", "mass", 1e3},
                           {"kilogram", "kg", "mass", 1e3},
                           {"mg", "mg", "mass", 1e-3},
                           {"milligram", "mg", "mass", 1e-3},
                           {"s", "s", "time", 1},
                           {"sec", "s", "time", 1},
                           {"second", "s", "time", 1},
                           {"min", "min", "time", 60},
                           {"minute", "min", "time", 60},
                           {"h", "h", "time", 3600},
                           {"hr", "h", "time", 3600},
                           {"hour", "h", "time", 3600},
                           {"day", "d", "time", 86400},
                           {"l", "L", "volume", 1},
                           {"liter", "L", "volume", 1},
                           {"litre", "L", "volume", 1},
                           {"ml", "mL", "volume", 1e-3},
                           {"milliliter", "mL", "volume", 1e-3},
                           {"millilitre", "mL", "volume", 1e-3},
                           {"dollar", "$", "dollars", 1},
                           {"usd", "$", "dollars", 1},
                           {"cent", "c", "dollars", 0.01}};

const Unit* unit_of(std::string_view word) {
  std::string name = lower(word);
  const auto find = [&] {
    return std::find_if(std::begin(kUnits), std::end(kUnits),
                        [&](const Unit& unit) { return unit.word == name; });
  };
  auto found = find();
  if (found == std::end(kUnits) && name.size() > 3 && name.back() == 's') {
    name.pop_back();
    found = find();
  }
  return found == std::end(kUnits) ? nullptr : &*found;
}

const Unit* unit_by_short(std::string_view short_form) {
  const auto found = std::find_if(std::begin(kUnits), std::end(kUnits),
                                  [&](const Unit& unit) { return unit.short_form == short_form; });
  return found == std::end(kUnits) ? nullptr : &*found;
}

struct NamedNumber {
  std::string_view word;
  double value;
};

constexpr NamedNumber kSmall[] = {
    {"zero", 0},     {"one", 1},      {"two", 2},        {"three", 3},     {"four", 4},
    {"five", 5},     {"six", 6},      {"seven", 7},      {"eight", 8},     {"nine", 9},
    {"ten", 10},     {"eleven", 11},  {"twelve", 12},    {"thirteen", 13}, {"fourteen", 14},
    {"fifteen", 15}, {"sixteen", 16}, {"seventeen", 17}, {"eighteen", 18}, {"nineteen", 19},
    {"twenty", 20},  {"thirty", 30},  {"forty", 40},     {"fifty", 50},    {"sixty", 60},
    {"seventy", 70}, {"eighty", 80},  {"ninety", 90}};
constexpr NamedNumber kScales[] = {
    {"hundred", 1e2}, {"thousand", 1e3}, {"million", 1e6}, {"billion", 1e9}, {"trillion", 1e12}};

template <std::size_t N>
const NamedNumber* named(const NamedNumber (&table)[N], std::string_view word) {
  const auto found = std::find_if(std::begin(table), std::end(table),
                                  [&](const NamedNumber& one) { return one.word == word; });
  return found == std::end(table) ? nullptr : &*found;
}

/// A cursor over the clause; each step consumes what it understands.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::string_view rest() const { return text_.substr(at_); }

  bool done() const { return at_ >= text_.size(); }

  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }

  void spaces() {
    while (peek() == ' ') ++at_;
  }

  void skip(std::size_t bytes) { at_ = std::min(text_.size(), at_ + bytes); }

  bool take(std::string_view token) {
    if (!rest().starts_with(token)) return false;
    at_ += token.size();
    return true;
  }

  std::string_view word() const {
    std::size_t end = at_;
    while (end < text_.size() && is_letter(text_[end])) ++end;
    return text_.substr(at_, end - at_);
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

/// Digits with thousands and decimal marks of either custom, as text that strtod reads.
std::optional<double> plain_decimal(Scanner& scan) {
  std::string_view rest = scan.rest();
  std::size_t end = 0;
  while (end < rest.size()) {
    const char c = rest[end];
    const bool inner =
        (c == ',' || c == '.' || c == '\'') && end + 1 < rest.size() && is_digit(rest[end + 1]);
    const bool gap =
        c == ' ' && end >= 1 && end <= 40 && rest.size() >= end + 4 && is_digit(rest[end + 1]) &&
        is_digit(rest[end + 2]) && is_digit(rest[end + 3]) &&
        (rest.size() == end + 4 || !is_digit(rest[end + 4])) && is_digit(rest[end - 1]) &&
        rest.substr(0, end).find_first_of(".,/") == std::string_view::npos &&
        (end <= 3 || (end >= 4 && rest[end - 4] == ' '));
    if (!is_digit(c) && !inner && !gap) break;
    ++end;
  }
  if (end == 0 || end > 60) return {};
  std::string_view token = rest.substr(0, end);
  const std::size_t last_comma = token.rfind(','), last_dot = token.rfind('.');
  const auto commas = std::count(token.begin(), token.end(), ',');
  const auto dots = std::count(token.begin(), token.end(), '.');
  char decimal = '.';
  if (commas > 0 && dots > 0) {
    decimal = last_comma > last_dot ? ',' : '.';
  } else if (commas == 1 && token.size() - last_comma - 1 != 3) {
    decimal = ',';  // "3,5"; "1,234" is thousands
  } else if (dots > 1) {
    decimal = ',';  // "1.234.567"
  }
  if (std::count(token.begin(), token.end(), decimal) > 1) return {};
  std::string digits;
  std::size_t group = 0;
  bool grouped = false, fraction = false;
  for (const char c : token) {
    if (is_digit(c)) {
      digits += c;
      ++group;
    } else if (c == decimal) {
      if (grouped && group != 3) return {};
      digits += '.';
      fraction = true;
    } else {
      if (fraction || (grouped ? group != 3 : group > 3 || group == 0)) return {};  // "12,34,5"
      grouped = true;
      group = 0;
    }
  }
  if (grouped && !fraction && group != 3) return {};
  scan.skip(end);
  return std::strtod(digits.c_str(), nullptr);
}

/// "x 10^5", "e5", "x 10^{-3}", "*10**4"
void exponent(Scanner& scan, double& value) {
  Scanner ahead = scan;
  if ((ahead.peek() == 'e' || ahead.peek() == 'E') &&
      (is_digit(ahead.peek(1)) ||
       ((ahead.peek(1) == '-' || ahead.peek(1) == '+') && is_digit(ahead.peek(2))))) {
    ahead.skip(1);
  } else {
    ahead.spaces();
    if (!ahead.take("x") && !ahead.take("X") && !ahead.take("*")) return;
    ahead.spaces();
    if (!ahead.take("10^") && !ahead.take("10 ^")) return;
    ahead.spaces();
  }
  const bool braced = ahead.take("{") || ahead.take("(");
  const bool negative = ahead.take("-");
  if (!negative) ahead.take("+");
  int power = 0, digits = 0;
  while (is_digit(ahead.peek()) && digits < 4) {
    power = power * 10 + (ahead.peek() - '0');
    ahead.skip(1);
    ++digits;
  }
  if (digits == 0) return;
  if (braced && !ahead.take("}") && !ahead.take(")")) return;
  value *= std::pow(10.0, negative ? -power : power);
  scan = ahead;
}

/// "\frac{3}{4}", "\frac34"
std::optional<double> latex_fraction(Scanner& scan) {
  Scanner ahead = scan;
  if (!ahead.take("\\frac")) return {};
  double parts[2];
  for (double& part : parts) {
    ahead.spaces();
    if (ahead.take("{")) {
      ahead.spaces();
      const bool negative = ahead.take("-");
      const auto value = plain_decimal(ahead);
      ahead.spaces();
      if (!value || !ahead.take("}")) return {};
      part = negative ? -*value : *value;
    } else if (is_digit(ahead.peek())) {
      part = ahead.peek() - '0';
      ahead.skip(1);
    } else {
      return {};
    }
  }
  if (parts[1] == 0) return {};
  scan = ahead;
  return parts[0] / parts[1];
}

/// "twenty-five", "three hundred"
std::optional<double> number_words(Scanner& scan) {
  double total = 0;
  bool any = false;
  for (int i = 0; i < 6; ++i) {
    Scanner ahead = scan;
    ahead.spaces();
    if (any && ahead.peek() == '-') ahead.skip(1);
    const std::string word = lower(ahead.word());
    if (const auto* small = named(kSmall, word)) {
      if (any && std::fmod(total, 100) != 0 && (std::fmod(total, 10) != 0 || small->value >= 10))
        return {};
      total += small->value;
    } else if (const auto* scale = named(kScales, word); scale && any) {
      total *= scale->value;
    } else {
      break;
    }
    any = true;
    ahead.skip(word.size());
    scan = ahead;
  }
  if (!any) return {};
  return total;
}

std::optional<double> magnitude(Scanner& scan) {
  if (auto fraction = latex_fraction(scan)) return fraction;
  if (!is_digit(scan.peek()) && !(scan.peek() == '.' && is_digit(scan.peek(1))))
    return number_words(scan);
  std::optional<double> value;
  if (scan.peek() == '.') {
    std::size_t end = 1;
    while (is_digit(scan.peek(end)) && end < 40) ++end;
    value = std::strtod(("0" + std::string(scan.rest().substr(0, end))).c_str(), nullptr);
    scan.skip(end);
  } else {
    value = plain_decimal(scan);
  }
  if (!value) return {};
  exponent(scan, *value);
  Scanner ahead = scan;
  ahead.spaces();
  if (auto part = latex_fraction(ahead)) {  // "1\frac{1}{2}"
    scan = ahead;
    return *value + *part;
  }
  // "3/4", "1 1/2"
  const bool mixed = is_digit(ahead.peek()) && scan.peek() == ' ';
  if (mixed || ahead.peek() == '/') {
    const double whole = mixed ? *value : 0;
    std::optional<double> top = value;
    if (mixed) top = plain_decimal(ahead);
    ahead.spaces();
    if (top && ahead.take("/")) {
      ahead.spaces();
      const auto bottom = is_digit(ahead.peek()) ? plain_decimal(ahead) : std::nullopt;
      if (!bottom) return mixed ? std::nullopt : value;
      if (*bottom == 0) return {};
      scan = ahead;
      return whole + *top / *bottom;
    }
    if (mixed) return {};  // two numbers in a row
  }
  return value;
}

/// What may stand between a number and the end: percent, a scale, a unit of up to four words.
bool suffix(Scanner& scan, Number& number) {
  scan.spaces();
  if (scan.take("%") || scan.take("\\%")) number.percent = true;
  const std::string first = lower(scan.word());
  if (const auto* scale = named(kScales, first); scale && first != "hundred") {
    number.value *= scale->value;
    scan.skip(first.size());
    scan.spaces();
  } else if (first == "percent" || first == "pct") {
    number.percent = true;
    scan.skip(first.size());
    scan.spaces();
  } else if ((first == "k" || first == "m" || first == "b") && number.unit == "$") {
    number.value *= first == "k" ? 1e3 : first == "m" ? 1e6 : 1e9;
    scan.skip(1);
  }
  for (int words = 0; words < 4 && !scan.done(); ++words) {
    scan.spaces();
    const std::string_view word = scan.word();
    if (word.empty()) break;
    const std::string name = lower(word);
    for (const std::string_view stop :
         {"or", "and", "to", "but", "because", "since", "x", "if", "times"}) {
      if (name == stop) return false;
    }
    if (words == 0) {
      if (const Unit* unit = unit_of(word)) number.unit = unit->short_form;
    } else {
      number.unit.clear();  // "m per second", "square km": nothing to convert
    }
    scan.skip(word.size());
    while (scan.peek() == '^' || scan.peek() == '/' || scan.peek() == '*' || scan.peek() == '{' ||
           scan.peek() == '}' || (is_digit(scan.peek()) && !name.empty())) {
      number.unit.clear();  // m^2, km/h
      const char c = scan.peek();
      scan.skip(1);
      if (c == '^' && scan.peek() == '-') scan.skip(1);
      scan.skip(scan.word().size());
    }
  }
  scan.spaces();
  return scan.done() || scan.rest() == ".";
}

}  // namespace

std::string digits_of(double value) {
  if (value == 0) return "0";
  char text[64];
  std::snprintf(text, sizeof text, "%.10g", value);
  return text;
}

std::optional<Number> number_of(std::string_view text) {
  Number number;
  Scanner scan(trim(text));
  bool negative = false;
  for (int i = 0; i < 4; ++i) {
    scan.spaces();
    const std::string word = lower(scan.word());
    if (scan.take("US$") || scan.take("$")) {
      number.unit = "$";
    } else if (word == "usd" || word == "eur" || word == "gbp" || word == "jpy" || word == "rs") {
      scan.skip(word.size());
    } else if (word == "approximately" || word == "about" || word == "around" ||
               word == "roughly" || word == "exactly" || word == "nearly" || word == "almost" ||
               word == "approx") {
      scan.skip(word.size());
      scan.take(".");
    } else if (scan.take("~") || scan.take("+")) {
    } else if (!negative && scan.peek() == '-') {
      scan.skip(1);
      negative = true;
    } else if (!negative && (word == "minus" || word == "negative")) {
      scan.skip(word.size());
      negative = true;
    } else {
      break;
    }
  }
  const bool bracket = scan.take("(") || scan.take("{");
  const auto value = magnitude(scan);
  if (!value || !std::isfinite(*value)) return {};
  if (bracket && !scan.take(")") && !scan.take("}")) return {};
  number.value = negative ? -*value : *value;
  scan.take("$");
  if (!suffix(scan, number) || !std::isfinite(number.value)) return {};
  return number;
}

std::string asked_unit(std::string_view question) {
  for (const std::string_view phrase : {"how many ", "how much time in ", "in ", "(in "}) {
    for (std::size_t at = question.rfind(phrase); at != std::string_view::npos;
         at = at == 0 ? std::string_view::npos : question.rfind(phrase, at - 1)) {
      if (at > 0 && is_word(question[at - 1])) continue;
      Scanner scan(question.substr(at + phrase.size(), 24));
      const std::string_view word = scan.word();
      const Unit* unit = word.size() >= 2 ? unit_of(word) : nullptr;
      scan.skip(word.size());
      if (unit && scan.peek() != '/' && scan.peek() != '^') return std::string(unit->short_form);
      if (phrase != "in " && phrase != "(in ") break;
    }
  }
  return "";
}

Value read_number(const Question& question, std::string_view clause) {
  Value value;
  std::string_view text = trim(clause);
  // The right side of an equation, the part before an explanation.
  const std::size_t equals = text.find_last_of("=~");
  if (equals != std::string_view::npos && equals + 1 < text.size()) {
    if (const auto right = number_of(trim_quotes(text.substr(equals + 1))))
      text = text.substr(equals + 1);
  }
  std::size_t cut = std::string_view::npos;
  for (const std::string_view end : {", ", "; ", " (", " because ", " since ", " as ", " - "}) {
    cut = std::min(cut, text.find(end, 1));
  }
  std::string_view sentence = trim_quotes(first_sentence(text.substr(0, cut)));
  if (!sentence.empty() && text.front() == '-' && sentence.front() != '-') {
    const std::size_t sign = text.find('-');
    sentence = text.substr(
        sign, static_cast<std::size_t>(sentence.data() + sentence.size() - text.data()) - sign);
  }
  const auto number = number_of(sentence);
  if (!number) {
    const std::string key = lower(sentence.substr(0, 8));
    if (starts_with_word(key, "not") || starts_with_word(key, "either") ||
        starts_with_word(key, "between")) {
      value.kind = Value::Kind::denied;
    }
    return value;
  }
  double amount = number->value;
  const Unit* from = number->unit.empty() ? nullptr : unit_by_short(number->unit);
  const Unit* to = question.unit.empty() ? nullptr : unit_by_short(question.unit);
  if (from && to && from != to && from->dimension == to->dimension)
    amount *= from->factor / to->factor;
  if (number->percent && !question.percent) amount /= 100;
  value.kind = Value::Kind::read;
  value.key = digits_of(amount);
  value.shown = sentence;
  value.number = amount;
  value.numeric = true;
  return value;
}

}  // namespace aggregator::forms
