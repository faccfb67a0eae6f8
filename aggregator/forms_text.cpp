#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include "aggregator/forms.h"

namespace aggregator::forms {
namespace {

struct Fold {
  std::uint32_t code;
  const char* ascii;
};

/// Sorted by code point.
constexpr Fold kFolds[] = {
    {0x00a0, " "},    {0x00a2, " cents"}, {0x00a3, "GBP "},       {0x00a5, "JPY "},
    {0x00ab, "\""},   {0x00b0, " deg "},  {0x00b2, "^2"},         {0x00b3, "^3"},
    {0x00b7, "*"},    {0x00b9, "^1"},     {0x00bb, "\""},         {0x00bc, " 1/4"},
    {0x00bd, " 1/2"}, {0x00be, " 3/4"},   {0x00d7, "x"},          {0x200b, ""},
    {0x200c, ""},     {0x200d, ""},       {0x200e, ""},           {0x200f, ""},
    {0x2010, "-"},    {0x2011, "-"},      {0x2012, "-"},          {0x2013, "-"},
    {0x2014, " - "},  {0x2018, "'"},      {0x2019, "'"},          {0x201c, "\""},
    {0x201d, "\""},   {0x2022, "- "},     {0x2026, "..."},        {0x2028, "\n"},
    {0x2029, "\n"},   {0x202f, " "},      {0x2044, "/"},          {0x2070, "^0"},
    {0x2074, "^4"},   {0x2075, "^5"},     {0x2076, "^6"},         {0x2077, "^7"},
    {0x2078, "^8"},   {0x2079, "^9"},     {0x207b, "^-"},         {0x20ac, "EUR "},
    {0x2153, " 1/3"}, {0x2154, " 2/3"},   {0x2190, "<-"},         {0x2192, "->"},
    {0x21d2, "=>"},   {0x2212, "-"},      {0x221e, " infinity "}, {0x2248, "~"},
    {0x2261, "="},    {0x22c5, "*"},      {0x2713, ""},           {0x2714, ""},
    {0x2705, ""},     {0x3000, " "},      {0x3001, ", "},         {0x3002, ". "},
    {0x3008, "<"},    {0x3009, ">"},      {0x300a, "\""},         {0x300b, "\""},
    {0x300c, "\""},   {0x300d, "\""},     {0x3010, "["},          {0x3011, "]"},
    {0xfe0f, ""},     {0xfeff, ""}};

/// The lists above are in reading order, the search wants them in code order.
const std::array<Fold, std::size(kFolds)>& folds() {
  static const auto sorted = [] {
    std::array<Fold, std::size(kFolds)> table;
    std::copy(std::begin(kFolds), std::end(kFolds), table.begin());
    std::sort(table.begin(), table.end(),
              [](const Fold& a, const Fold& b) { return a.code < b.code; });
    return table;
  }();
  return sorted;
}

void append_folded(std::string& out, std::uint32_t code, std::string_view bytes) {
  if (code >= 0xff01 && code <= 0xff5e) {  // full width ASCII
    const char c = static_cast<char>(code - 0xfee0);
    out += c;
    if (c == ':' || c == ',' || c == ';') out += ' ';
    return;
  }
  if (code >= 0x2000 && code <= 0x200a) {  // spaces of every width
    out += ' ';
    return;
  }
  const auto at = std::lower_bound(folds().begin(), folds().end(), code,
                                   [](const Fold& fold, std::uint32_t c) { return fold.code < c; });
  if (at != folds().end() && at->code == code) {
    // "10⁻⁸": one caret for the whole exponent.
    const bool exponent = at->ascii[0] == '^' && out.size() >= 2 && out[out.size() - 2] == '^';
    out += exponent ? at->ascii + 1 : at->ascii;
    return;
  }
  out += bytes;
}

/// Removes `open` and the brace that closes it: `\text{C}` becomes `C`.
void unwrap(std::string& text, std::string_view open) {
  constexpr std::size_t kInsideMax = 1'000;
  std::string out;
  std::size_t done = 0;
  for (std::size_t at = text.find(open); at != std::string::npos; at = text.find(open, done)) {
    out.append(text, done, at - done);
    std::size_t depth = 1, end = at + open.size();
    const std::size_t limit = std::min(text.size(), end + kInsideMax);
    while (end < limit && depth > 0) {
      depth += text[end] == '{';
      depth -= text[end] == '}';
      ++end;
    }
    done = at + open.size();
    if (depth > 0) continue;
    // The inside goes round again: `\text{\text{C}}` is left half dressed, which nobody writes.
    out.append(text, done, end - 1 - done);
    done = end;
  }
  if (done > 0) text = out.append(text, done);
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  std::size_t at = text.find(from);
  if (at == std::string::npos) return;
  std::string out;
  std::size_t done = 0;
  for (; at != std::string::npos; at = text.find(from, done)) {
    out.append(text, done, at - done).append(to);
    done = at + from.size();
  }
  text = out.append(text, done);
}

void undress_latex(std::string& text) {
  for (const std::string_view open :
       {"\\text{", "\\textbf{", "\\textit{", "\\mathrm{", "\\mathbf{", "\\mathit{", "\\mathsf{",
        "\\boldsymbol{", "\\mbox{", "\\operatorname{", "\\emph{", "\\underline{"}) {
    unwrap(text, open);
  }
  constexpr std::pair<std::string_view, std::string_view> kReplacements[] = {
      {"\\left", ""},   {"\\right", ""},        {"\\dfrac", "\\frac"}, {"\\tfrac", "\\frac"},
      {"\\times", "x"}, {"\\cdot", "*"},        {"\\approx", "~"},     {"\\%", "%"},
      {"\\$", "$"},     {"^{\\circ}", " deg "}, {"^\\circ", " deg "},  {"\\circ", " deg "},
      {"{,}", ","},     {"\\,", " "},           {"\\;", " "},          {"\\!", ""},
      {"\\:", " "},     {"\\ ", " "},           {"\\quad", " "},       {"\\(", " "},
      {"\\)", " "},     {"\\[", "\n"},          {"\\]", "\n"},         {"$$", " "}};
  for (const auto& [from, to] : kReplacements) replace_all(text, from, to);
}

}  // namespace

std::string fold(std::string_view utf8) {
  std::string out;
  out.reserve(utf8.size());
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(utf8.data());
  for (std::size_t i = 0; i < utf8.size();) {
    std::size_t end = i;  // a run of bytes that stay as they are
    while (end < utf8.size() && ((bytes[end] >= 0x20 && bytes[end] < 0x80) || bytes[end] == '\n')) {
      ++end;
    }
    out.append(utf8, i, end - i);
    i = end;
    if (i >= utf8.size()) break;
    const unsigned char c = bytes[i];
    if (c < 0x80) {  // control characters; "\r\n" is one end of line
      if (c != '\r') out += ' ';
      if (c == '\r' && (i + 1 >= utf8.size() || utf8[i + 1] != '\n')) out += '\n';
      ++i;
      continue;
    }
    utf8proc_int32_t code = -1;
    const auto length =
        utf8proc_iterate(bytes + i, static_cast<utf8proc_ssize_t>(utf8.size() - i), &code);
    if (length <= 0) {
      out += '?';
      ++i;
      continue;
    }
    append_folded(out, static_cast<std::uint32_t>(code),
                  utf8.substr(i, static_cast<std::size_t>(length)));
    i += static_cast<std::size_t>(length);
  }
  return out;
}

std::string_view without_reasoning(std::string_view reply) {
  if (reply.find('<') == std::string_view::npos) return reply;
  for (const auto& [open, close] :
       {std::pair<std::string_view, std::string_view>{"<think>", "</think>"},
        {"<thinking>", "</thinking>"},
        {"<reasoning>", "</reasoning>"},
        {"<|begin_of_thought|>", "<|end_of_thought|>"}}) {
    const std::size_t end = reply.rfind(close);
    if (end != std::string_view::npos) reply.remove_prefix(end + close.size());
    const std::size_t begin = reply.find(open);
    if (begin != std::string_view::npos) reply = reply.substr(0, begin);
  }
  return reply;
}

std::string plain(std::string_view folded) {
  std::string text;
  text.reserve(folded.size());
  for (std::size_t i = 0; i < folded.size();) {
    std::size_t end = i;
    while (end < folded.size() && folded[end] != '*' && folded[end] != '`' && folded[end] != '_') {
      ++end;
    }
    text.append(folded, i, end - i);
    i = end;
    if (i >= folded.size()) break;
    const char c = folded[i];
    const bool times = c == '*' && i > 0 && i + 1 < folded.size() && folded[i - 1] == ' ' &&
                       folded[i + 1] == ' ';  // "3 * 4", not emphasis
    const bool strong = c == '_' && i + 1 < folded.size() && folded[i + 1] == '_';
    if (times || (c == '_' && !strong)) text += c;
    i += strong ? 2 : 1;
  }
  if (text.find('\\') != std::string::npos || text.find("$$") != std::string::npos) {
    undress_latex(text);
  }
  return text;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(c + (c >= 'A' && c <= 'Z' ? 'a' - 'A' : 0));
  return out;
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::string_view trim(std::string_view text) {
  const auto space = [](char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

std::string_view trim_quotes(std::string_view text) {
  constexpr std::string_view kEdges = " \t\n\"'.,;:!$#-";
  text = trim(text);
  while (!text.empty() && kEdges.find(text.back()) != std::string_view::npos) text.remove_suffix(1);
  while (!text.empty() &&
         std::string_view(" \t\n\"':#$").find(text.front()) != std::string_view::npos) {
    text.remove_prefix(1);
  }
  return text;
}

bool starts_with_word(std::string_view text, std::string_view word) {
  return text.starts_with(word) && (text.size() == word.size() || !is_word(text[word.size()]));
}

std::string text_key(std::string_view text) {
  utf8proc_uint8_t* mapped = nullptr;
  const auto length = utf8proc_map(
      reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
      static_cast<utf8proc_ssize_t>(text.size()), &mapped,
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT |
                                     UTF8PROC_CASEFOLD | UTF8PROC_STRIPMARK | UTF8PROC_IGNORE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
  const std::string folded =
      length < 0 ? lower(text)
                 : std::string(reinterpret_cast<char*>(mapped), static_cast<std::size_t>(length));
  std::string key, word;
  const auto flush = [&] {
    const bool article = word == "a" || word == "an" || word == "the";
    if (!word.empty() && !article) (key += key.empty() ? "" : " ") += word;
    word.clear();
  };
  for (std::size_t i = 0; i < folded.size(); ++i) {
    const char c = folded[i];
    const bool sign = (c == '-' || c == '.') && i + 1 < folded.size() && is_digit(folded[i + 1]) &&
                      (i == 0 || !is_word(folded[i - 1]) || (c == '.' && is_digit(folded[i - 1])));
    if (is_word(c) || sign || c == '%' || c == '+') {
      word += c;
    } else if (c != '\'') {  // "don't" stays one word
      flush();
    }
  }
  flush();
  return key.empty() ? lower(trim_quotes(folded)) : key;  // "A" is not only an article
}

}  // namespace aggregator::forms
