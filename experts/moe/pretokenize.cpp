#include "experts/moe/pretokenize.h"

#include <algorithm>
#include <array>

namespace moe {
namespace {

using Text = std::span<const Scalar>;
using Index = std::size_t;

constexpr bool is_line_end(char32_t code) {
  return code == '\r' || code == '\n';
}

constexpr bool is_ascii_letter(char32_t code) {
  return (code >= 'A' && code <= 'Z') || (code >= 'a' && code <= 'z');
}

constexpr bool is_ascii_digit(char32_t code) {
  return code >= '0' && code <= '9';
}

bool is_letter(const Scalar& c) {
  return c.category == Category::letter;
}

bool is_number(const Scalar& c) {
  return c.category == Category::number;
}

bool is_space(const Scalar& c) {
  return c.category == Category::space;
}

bool is_punctuation(const Scalar& c) {
  return c.category == Category::punctuation;
}

bool is_letter_or_mark(const Scalar& c) {
  return is_letter(c) || c.category == Category::mark;
}

bool is_punctuation_or_symbol(const Scalar& c) {
  return is_punctuation(c) || c.category == Category::symbol;
}

// [^\s\p{L}\p{N}]
bool is_mixed(const Scalar& c) {
  return !is_space(c) && !is_letter(c) && !is_number(c);
}

using Test = bool (*)(const Scalar&);

template <Test test>
Index skip(Text text, Index at, Index end) {
  while (at < end && test(text[at])) ++at;
  return at;
}

// X+
template <Test test>
Span find_run(Text text, Index from, Index end) {
  while (from < end && !test(text[from])) ++from;
  return {from, skip<test>(text, from, end)};
}

// \s?X+ for an X without white space
template <Test test>
Span find_run_after_space(Text text, Index from, Index end) {
  const Span run = find_run<test>(text, from, end);
  const bool with_space = run.begin < run.end && run.begin > from && is_space(text[run.begin - 1]);
  return {with_space ? run.begin - 1 : run.begin, run.end};
}

// X{1,n}
template <Test test, Index n>
Span find_group(Text text, Index from, Index end) {
  while (from < end && !test(text[from])) ++from;
  return {from, skip<test>(text, from, std::min(end, from + n))};
}

// [0-9][0-9][0-9]
Span find_three_digits(Text text, Index from, Index end) {
  Index run = 0;
  for (Index at = from; at < end; ++at) {
    run = is_ascii_digit(text[at].code) ? run + 1 : 0;
    if (run == 3) return {at - 2, at + 1};
  }
  return {end, end};
}

// \s+$ : white space up to the end of the piece
Span find_trailing_space(Text text, Index from, Index end) {
  Index begin = end;
  while (begin > from && is_space(text[begin - 1])) --begin;
  return {begin, end};
}

template <Index (*match_at)(Text, Index, Index)>
Span find_first(Text text, Index from, Index end) {
  for (; from < end; ++from) {
    const Index stop = match_at(text, from, end);
    if (stop > from) return {from, stop};
  }
  return {end, end};
}

// 's|'t|'re|'ve|'m|'ll|'d ; with `any_case` also their capitals. 0: no match.
Index match_contraction(Text text, Index at, Index end, bool any_case) {
  if (text[at].code != '\'' || at + 1 >= end) return 0;
  const auto letter = [&](Index i) {
    const char32_t code = i < end ? text[i].code : 0;
    return any_case && code >= 'A' && code <= 'Z' ? code + ('a' - 'A') : code;
  };
  const char32_t first = letter(at + 1);
  const char32_t second = letter(at + 2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
  const bool two = (first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
                   (first == 'l' && second == 'l');
  return two ? at + 3 : 0;
}

// \s+(?!\S)|\s+ where text[at] is white space: a run leaves its last one to the word that follows.
Index match_spaces(Text text, Index at, Index end) {
  const Index stop = skip<is_space>(text, at, end);
  return stop < end && stop - at > 1 ? stop - 1 : stop;
}

// \s*[\r\n]+|\s+(?!\S)|\s+
Index match_lines_or_spaces(Text text, Index at, Index end) {
  const Index stop = skip<is_space>(text, at, end);
  for (Index i = stop; i > at; --i) {
    if (is_line_end(text[i - 1].code)) return i;
  }
  return match_spaces(text, at, end);
}

Index skip_line_ends(Text text, Index at, Index end) {
  while (at < end && is_line_end(text[at].code)) ++at;
  return at;
}

// GPT-2: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
Index match_gpt2(Text text, Index at, Index end) {
  if (const Index stop = match_contraction(text, at, end, false)) return stop;
  const Index word = text[at].code == ' ' && at + 1 < end ? at + 1 : at;
  switch (text[word].category) {
    case Category::letter:
      return skip<is_letter>(text, word, end);
    case Category::number:
      return skip<is_number>(text, word, end);
    case Category::space:
      return match_spaces(text, at, end);
    default:
      return skip<is_mixed>(text, word, end);
  }
}

template <Test is_word>
bool is_rest(const Scalar& c) {
  return is_mixed(c) && !is_word(c);
}

// Llama 3 (digits = 3), Qwen2 (digits = 1): (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?L+|
// \p{N}{1,digits}| ?[^\sL\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ where L is \p{L}; in Qwen3.5 it
// is [\p{L}\p{M}].
template <Index digits, Test is_word>
Index match_llama3(Text text, Index at, Index end) {
  if (const Index stop = match_contraction(text, at, end, true)) return stop;
  const Scalar& c = text[at];
  if (is_word(c)) return skip<is_word>(text, at, end);
  if (is_number(c)) return skip<is_number>(text, at, std::min(end, at + digits));
  const bool word_next = at + 1 < end && is_word(text[at + 1]);
  if (word_next && !is_line_end(c.code)) return skip<is_word>(text, at + 1, end);
  const Index mixed = c.code == ' ' && at + 1 < end ? at + 1 : at;
  if (is_rest<is_word>(text[mixed])) {
    return skip_line_ends(text, skip<is_rest<is_word>>(text, mixed, end), end);
  }
  return match_lines_or_spaces(text, at, end);
}

// U: letters but a-z. W: letters but A-Z. Letters outside ASCII are both.
bool is_upper_word(const Scalar& c) {
  return is_letter(c) && !(c.code >= 'a' && c.code <= 'z');
}

bool is_lower_word(const Scalar& c) {
  return is_letter(c) && !(c.code >= 'A' && c.code <= 'Z');
}

// U*W+|U+W* where text[at] is a letter, with the backtracking of the first.
Index match_cased_word(Text text, Index at, Index end) {
  const Index upper = skip<is_upper_word>(text, at, end);
  if (upper < end && is_lower_word(text[upper])) return skip<is_lower_word>(text, upper, end);
  for (Index i = upper; i > at; --i) {
    if (is_lower_word(text[i - 1])) return i;
  }
  return upper;
}

// GPT-4o (digits = 3) and Tekken (digits = 1, no contractions), with the cases as llama.cpp has
// them:
// [^\r\n\p{L}\p{N}]?(U*W+|U+W*)(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,digits}|
//  ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
template <Index digits, bool contractions>
Index match_gpt4o(Text text, Index at, Index end) {
  const Scalar& c = text[at];
  const bool leads =
      !is_line_end(c.code) && !is_number(c) && at + 1 < end && is_letter(text[at + 1]);
  if (is_letter(c) || leads) {
    const Index stop = match_cased_word(text, is_letter(c) ? at : at + 1, end);
    const Index longer = contractions && stop < end ? match_contraction(text, stop, end, true) : 0;
    return std::max(stop, longer);
  }
  if (is_number(c)) return skip<is_number>(text, at, std::min(end, at + digits));
  const Index word = c.code == ' ' && at + 1 < end ? at + 1 : at;
  if (!is_mixed(text[word])) return match_lines_or_spaces(text, at, end);
  Index stop = skip<is_mixed>(text, word, end);
  while (stop < end && (is_line_end(text[stop].code) || text[stop].code == '/')) ++stop;
  return stop;
}

bool is_ascii_punctuation(char32_t code) {
  return (code >= '!' && code <= '/') || (code >= ':' && code <= '@') ||
         (code >= '[' && code <= '`') || (code >= '{' && code <= '~');
}

// DeepSeek V3, after numbers and CJK:
// [!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|
//  ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ ; what none of these takes stays a piece.
Index match_deepseek_v3(Text text, Index at, Index end) {
  const Scalar& c = text[at];
  const bool more = at + 1 < end;
  if (is_ascii_punctuation(c.code) && more && is_ascii_letter(text[at + 1].code)) {
    Index stop = at + 1;
    while (stop < end && is_ascii_letter(text[stop].code)) ++stop;
    return stop;
  }
  const bool may_lead = !is_line_end(c.code) && !is_letter(c) && !is_punctuation_or_symbol(c);
  if (may_lead && more && is_letter_or_mark(text[at + 1])) {
    return skip<is_letter_or_mark>(text, at + 1, end);
  }
  if (is_letter_or_mark(c)) return skip<is_letter_or_mark>(text, at, end);
  const Index word = c.code == ' ' && more ? at + 1 : at;
  if (is_punctuation_or_symbol(text[word])) {
    return skip_line_ends(text, skip<is_punctuation_or_symbol>(text, word, end), end);
  }
  return is_space(c) ? match_lines_or_spaces(text, at, end) : at;
}

// [\p{P}$+<=>^~|] and, for Falcon, the back-tick: symbols that these rules count as punctuation.
bool is_default_punctuation(const Scalar& c) {
  return is_punctuation(c) || c.code == '$' || c.code == '+' || c.code == '<' || c.code == '=' ||
         c.code == '>' || c.code == '^' || c.code == '~' || c.code == '|';
}

bool is_falcon_punctuation(const Scalar& c) {
  return is_default_punctuation(c) || c.code == '`';
}

bool ends_line(const Scalar& c) {
  return is_line_end(c.code);
}

// [U+4E00-9FA5 U+0800-4E00 U+AC00-D7FF]
bool is_deepseek_cjk(const Scalar& c) {
  return (c.code >= 0x0800 && c.code <= 0x9FA5) || (c.code >= 0xAC00 && c.code <= 0xD7FF);
}

// [U+4E00-9FA5 U+3040-309F U+30A0-30FF]
bool is_deepseek_v3_cjk(const Scalar& c) {
  return (c.code >= 0x4E00 && c.code <= 0x9FA5) || (c.code >= 0x3040 && c.code <= 0x30FF);
}

// [!-/:-~ U+FF01-FF0F U+FF1A-FF5E U+2018-201F U+3000-3002], less the white space U+3000, which
// llama.cpp folds away before it matches. (":-~" takes in the ASCII letters; they are words by
// then.)
bool is_deepseek_punctuation(const Scalar& c) {
  const char32_t code = c.code;
  return (code >= '!' && code <= '/') || (code >= ':' && code <= '~') ||
         (code >= 0xFF01 && code <= 0xFF0F) || (code >= 0xFF1A && code <= 0xFF5E) ||
         (code >= 0x2018 && code <= 0x201F) || code == 0x3001 || code == 0x3002;
}

struct Range {
  char32_t first, last;
};

// The cased letters that DeepSeek LLM's own pattern lists one by one, ascending.
constexpr Range kDeepseekLetters[] = {
    {0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},       {0xC0, 0xD6},
    {0xD8, 0xF6},       {0xF8, 0x1BA},      {0x1BC, 0x1BF},     {0x1C4, 0x293},
    {0x295, 0x2AF},     {0x370, 0x373},     {0x376, 0x377},     {0x37B, 0x37D},
    {0x37F, 0x37F},     {0x386, 0x386},     {0x388, 0x38A},     {0x38C, 0x38C},
    {0x38E, 0x3A1},     {0x3A3, 0x3F5},     {0x3F7, 0x481},     {0x48A, 0x52F},
    {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},
    {0x1C90, 0x1CBA},   {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},
    {0x1D79, 0x1D9A},   {0x1E00, 0x1F15},   {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},
    {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},   {0x1F59, 0x1F59},   {0x1F5B, 0x1F5B},
    {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},   {0x1FB6, 0x1FBC},
    {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},
    {0x1FD6, 0x1FDB},   {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},
    {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210A, 0x2113},   {0x2115, 0x2115},
    {0x2119, 0x211D},   {0x2124, 0x2124},   {0x2126, 0x2126},   {0x2128, 0x2128},
    {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},   {0x213C, 0x213F},
    {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2184},   {0x2C00, 0x2C7B},
    {0x2C7E, 0x2CE4},   {0x2CEB, 0x2CEE},   {0x2CF3, 0x2CF3},   {0xA640, 0xA66D},
    {0xA680, 0xA69B},   {0xA722, 0xA76F},   {0xA771, 0xA787},   {0xA78B, 0xA78E},
    {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},   {0xFF21, 0xFF3A},
    {0xFF41, 0xFF5A},   {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB},
    {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943},
};

bool is_deepseek_letter(const Scalar& c) {
  if (c.code < 0x80) return is_ascii_letter(c.code);
  const auto* after =
      std::upper_bound(std::begin(kDeepseekLetters), std::end(kDeepseekLetters), c.code,
                       [](char32_t code, Range r) { return code < r.first; });
  return after != std::begin(kDeepseekLetters) && c.code <= std::prev(after)->last;
}

constexpr Matcher kGpt2[] = {find_first<match_gpt2>};
constexpr Matcher kLlama3[] = {find_first<match_llama3<3, is_letter>>};
constexpr Matcher kQwen2[] = {find_first<match_llama3<1, is_letter>>};
constexpr Matcher kQwen35[] = {find_first<match_llama3<1, is_letter_or_mark>>};
constexpr Matcher kGpt4o[] = {find_first<match_gpt4o<3, true>>};
constexpr Matcher kTekken[] = {find_first<match_gpt4o<1, false>>};
constexpr Matcher kStarcoder[] = {find_group<is_number, 1>, find_first<match_gpt2>};
constexpr Matcher kFalcon[] = {find_run<is_falcon_punctuation>, find_first<match_gpt2>,
                               find_three_digits};
constexpr Matcher kDefault[] = {find_run<is_default_punctuation>, find_first<match_gpt2>,
                                find_run<is_number>, find_three_digits};
constexpr Matcher kDeepseekLlm[] = {find_group<ends_line, 1>,
                                    find_run_after_space<is_deepseek_letter>,
                                    find_run_after_space<is_deepseek_punctuation>,
                                    find_trailing_space,
                                    find_run<is_deepseek_cjk>,
                                    find_run<is_number>};
constexpr Matcher kDeepseekCoder[] = {find_group<ends_line, 1>, find_run_after_space<is_letter>,
                                      find_run_after_space<is_punctuation>,
                                      find_run<is_deepseek_cjk>, find_group<is_number, 1>};
constexpr Matcher kDeepseekV3[] = {find_group<is_number, 3>, find_run<is_deepseek_v3_cjk>,
                                   find_first<match_deepseek_v3>};

constexpr bool kWholeWords = true;
constexpr bool kAddsBos = true;

// Names that share a rule are listed where a model family of the engine uses them.
constexpr SplitRule kRules[] = {
    {"default", kDefault},
    {"gpt-2", kGpt2},
    {"phi-2", kGpt2},
    {"mpt", kGpt2},
    {"olmo", kGpt2},
    {"llama-bpe", kLlama3, kWholeWords, kAddsBos},
    {"llama3", kLlama3, kWholeWords, kAddsBos},
    {"llama-v3", kLlama3, kWholeWords, kAddsBos},
    {"falcon3", kLlama3, kWholeWords, kAddsBos},
    {"dbrx", kLlama3},
    {"smaug-bpe", kLlama3},
    {"glm4", kLlama3},
    {"chatglm-bpe", kLlama3},
    {"qwen2", kQwen2},
    {"deepseek-r1-qwen", kQwen2},
    {"megrez", kQwen2},
    {"stablelm2", kQwen2},
    {"hunyuan", kQwen2},
    {"solar-open", kQwen2},
    {"grok-2", kQwen2},
    {"bailingmoe", kQwen2},
    {"bailingmoe2", kQwen2},
    {"llada-moe", kQwen2},
    {"qwen35", kQwen35},
    {"gpt-4o", kGpt4o},
    {"llama4", kGpt4o},
    {"minimax-m2", kGpt4o},
    {"tekken", kTekken, kWholeWords, kAddsBos},
    {"starcoder", kStarcoder},
    {"refact", kStarcoder},
    {"command-r", kStarcoder},
    {"smollm", kStarcoder},
    {"falcon", kFalcon},
    {"deepseek-llm", kDeepseekLlm},
    {"deepseek-coder", kDeepseekCoder},
    {"deepseek-v3", kDeepseekV3},
    {"hunyuan-dense", kDeepseekV3},
};

}  // namespace

std::optional<SplitRule> find_split_rule(std::string_view name) {
  for (const SplitRule& rule : kRules) {
    if (rule.name == name) return rule;
  }
  return std::nullopt;
}

std::vector<std::string_view> split_rule_names() {
  std::vector<std::string_view> names;
  for (const SplitRule& rule : kRules) names.push_back(rule.name);
  return names;
}

std::vector<std::size_t> split(const SplitRule& rule, std::span<const Scalar> text) {
  std::vector<Index> ends;
  if (!text.empty()) ends.push_back(text.size());
  for (const Matcher find : rule.matchers) {
    std::vector<Index> finer;
    finer.reserve(ends.size());
    Index from = 0;
    for (const Index end : ends) {
      while (from < end) {
        const Span match = find(text, from, end);
        if (match.begin > from) finer.push_back(match.begin);
        if (match.end > match.begin) finer.push_back(match.end);
        from = match.end;
      }
    }
    ends = std::move(finer);
  }
  return ends;
}

}  // namespace moe
