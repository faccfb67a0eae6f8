#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include "aggregator/forms.h"

namespace aggregator::forms {
namespace {

constexpr std::string_view kMonths[] = {"january",   "february", "march",    "april",
                                        "may",       "june",     "july",     "august",
                                        "september", "october",  "november", "december"};

/// 1 to 12, or 0.
int month_of(std::string_view word) {
  if (word.size() < 3) return 0;
  for (int m = 0; m < 12; ++m) {
    const std::string_view name = kMonths[m];
    if (name == word || (name.substr(0, 3) == word) || (m == 8 && word == "sept")) return m + 1;
  }
  return 0;
}

int days_in(int month, int year) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return kDays[month - 1] + (month == 2 && leap);
}

struct Parts {
  std::vector<int> numbers;
  std::vector<std::size_t> digits;  // of each number
  int month = 0;
  std::size_t month_at = 0;  // numbers seen before the month's name
  std::string separators;    // between the numbers
  bool foreign = false;      // a word that is no part of a date
  bool before_christ = false;
};

bool filler(std::string_view word) {
  for (const std::string_view one :
       {"the",      "of",     "on",   "in",     "th",      "st",        "nd",       "rd",
        "ad",       "ce",     "year", "monday", "tuesday", "wednesday", "thursday", "friday",
        "saturday", "sunday", "it",   "was",    "is",      "around",    "about",    "circa"}) {
    if (one == word) return true;
  }
  return false;
}

Parts split(std::string_view text) {
  Parts parts;
  for (std::size_t i = 0; i < text.size() && parts.numbers.size() < 4;) {
    std::size_t end = i;
    if (is_digit(text[i])) {
      while (end < text.size() && is_digit(text[end])) ++end;
      if (end - i > 4) parts.foreign = true;
      parts.numbers.push_back(
          std::atoi(std::string(text.substr(i, std::min<std::size_t>(end - i, 6))).c_str()));
      parts.digits.push_back(end - i);
    } else if (is_letter(text[i])) {
      while (end < text.size() && is_letter(text[end])) ++end;
      const std::string word = lower(text.substr(i, end - i));
      if (const int month = month_of(word); month > 0 && parts.month == 0) {
        parts.month = month;
        parts.month_at = parts.numbers.size();
      } else if (word == "bc" || word == "bce") {
        parts.before_christ = true;
      } else if (!filler(word)) {
        parts.foreign = true;
      }
    } else {
      if (!parts.numbers.empty() &&
          std::string_view("/-.").find(text[i]) != std::string_view::npos) {
        parts.separators += text[i];
      }
      end = i + 1;
    }
    i = end;
  }
  return parts;
}

std::string written(int year, int month, int day) {
  char text[32];
  if (day > 0) {
    std::snprintf(text, sizeof text, "%04d-%02d-%02d", year, month, day);
  } else if (month > 0) {
    std::snprintf(text, sizeof text, "%04d-%02d", year, month);
  } else {
    std::snprintf(text, sizeof text, "%d", year);
  }
  return text;
}

/// Empty when the parts are no date, or one that reads differently in two countries.
std::string date_of(const Parts& parts) {
  if (parts.foreign) return "";
  const auto& n = parts.numbers;
  const auto plausible = [](int year, int month, int day) {
    return month >= 1 && month <= 12 && day >= 1 && day <= days_in(month, year);
  };
  if (parts.month > 0) {
    if (n.size() == 1) {
      if (parts.digits[0] >= 3) return written(n[0], parts.month, 0);
      return n[0] >= 1 && n[0] <= days_in(parts.month, 2000)
                 ? "--" + written(0, parts.month, n[0]).substr(5)
                 : "";
    }
    if (n.size() != 2) return "";
    const bool year_first = parts.digits[0] >= 3;
    const int year = year_first ? n[0] : n[1], day = year_first ? n[1] : n[0];
    return plausible(year, parts.month, day) ? written(year, parts.month, day) : "";
  }
  if (n.size() == 1) {
    if (parts.digits[0] < 3 && !parts.before_christ) return "";
    return (parts.before_christ ? "-" : "") + written(n[0], 0, 0);
  }
  if (n.size() == 3 && parts.separators.size() >= 2) {
    if (parts.digits[0] == 4) return plausible(n[0], n[1], n[2]) ? written(n[0], n[1], n[2]) : "";
    if (parts.digits[2] != 4) return "";
    const bool day_first = parts.separators[0] == '.';
    if (day_first || n[0] > 12) return plausible(n[2], n[1], n[0]) ? written(n[2], n[1], n[0]) : "";
    if (n[1] > 12 || n[0] == n[1])
      return plausible(n[2], n[0], n[1]) ? written(n[2], n[0], n[1]) : "";
    return "";  // 03/05/1999: March or May
  }
  if (n.size() == 2 && parts.digits[0] == 4 && parts.separators == "-" && n[1] >= 1 && n[1] <= 12) {
    return written(n[0], n[1], 0);
  }
  return "";
}

}  // namespace

Value read_date(std::string_view clause) {
  Value value;
  std::string_view text = clause.substr(0, clause.find('\n'));
  // A date ends where a sentence goes on; its own comma stands before a year.
  text = trim_quotes(text.substr(0, 80));
  for (const std::string_view end : {" (", ", when ", ", which ", " when ", " because ", " by "}) {
    text = text.substr(0, text.find(end));
  }
  const std::size_t stop = text.find(". ");
  if (stop != std::string_view::npos && stop >= 3 &&
      month_of(lower(text.substr(stop - 3, 3))) == 0) {
    text = text.substr(0, stop);
  }
  // "The treaty was signed on March 5, 1999": the date is what stands behind the preposition.
  if (split(text).foreign) {
    std::size_t from = std::string_view::npos;
    for (const std::string_view word : {" on ", " in ", " was ", " is "}) {
      const std::size_t at = text.rfind(word);
      if (at != std::string_view::npos && !split(text.substr(at)).foreign)
        from = std::min(from, at);
    }
    if (from != std::string_view::npos) text = trim(text.substr(from));
  }
  const Parts parts = split(text);
  value.key = date_of(parts);
  if (value.key.empty()) return value;
  value.kind = Value::Kind::read;
  value.shown = text;
  return value;
}

}  // namespace aggregator::forms
