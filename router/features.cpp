#include "router/features.h"

#include <utf8proc.h>

#include <cmath>
#include <cstring>

namespace router {
namespace {

constexpr std::uint64_t kFnvStart = 0xcbf29ce484222325ull;
constexpr std::uint64_t kFnvPrime = 0x100000001b3ull;
constexpr std::uint64_t kSpread = 0x9E3779B97F4A7C15ull;

/// A start value per field, so that the same word in two fields lands in two buckets.
constexpr std::uint64_t seed_of(std::uint64_t field) {
  return kFnvStart ^ (field * 0xD6E8FEB86659FD93ull);
}

constexpr std::uint64_t kStemWord = seed_of(1), kOptionWord = seed_of(2), kStemPair = seed_of(3),
                        kOptionPair = seed_of(4), kOpening = seed_of(5), kEnding = seed_of(6),
                        kNumber = seed_of(7);

constexpr std::size_t kOpeningTokens = 3;

enum class Kind : std::uint8_t { space, letter, digit, drop, symbol, wide };

/// What a byte of a word adds to the word's tally; 0 ends the word.
constexpr std::uint64_t kOneByte = 1, kOneDigit = 1 << 20, kOneCapital = std::uint64_t{1} << 40;
constexpr std::uint64_t kTallyMask = kOneDigit - 1;

struct ByteTable {
  std::array<Kind, 256> kind{};
  std::array<unsigned char, 256> lower{};
  std::array<std::uint64_t, 256> tally{};

  constexpr ByteTable() {
    for (int c = 0; c < 256; ++c) {
      const bool capital = c >= 'A' && c <= 'Z';
      lower[c] = static_cast<unsigned char>(capital ? c + 32 : c);
      if (c <= ' ' || c == 127)
        kind[c] = Kind::space;
      else if (c >= '0' && c <= '9')
        kind[c] = Kind::digit, tally[c] = kOneByte + kOneDigit;
      else if ((c >= 'a' && c <= 'z') || capital)
        kind[c] = Kind::letter, tally[c] = kOneByte + (capital ? kOneCapital : 0);
      else if (c >= 128)
        kind[c] = Kind::wide;
      else
        kind[c] = Kind::symbol;
    }
    for (char c : {'.', ',', ';', ':', '?', '!', '\'', '"', '(', ')'})
      kind[static_cast<int>(c)] = Kind::drop;
  }
};

constexpr ByteTable kBytes;

/// A byte of the text emits at most a token and a pair; the opening three and the ending two more.
constexpr std::size_t kEmittedMax = 2 * (kHeadBytes + kTailBytes) + 8;

bool is_wide_script(std::int32_t code) {
  return (code >= 0x3040 && code <= 0x30ff) || (code >= 0x3400 && code <= 0x9fff) ||
         (code >= 0xac00 && code <= 0xd7a3) || (code >= 0xf900 && code <= 0xfaff) ||
         (code >= 0x20000 && code <= 0x3ffff);
}

}  // namespace

/// Where distinct buckets go. Copied into loops: bytes may be written to `seen`, which to the
/// compiler could be any member of any object.
struct Trail {
  std::uint8_t* seen;  // [kBuckets] the epoch in which a bucket was last met
  std::uint32_t* next;
  std::uint8_t epoch;

  /// Writes the bucket and keeps it only if it is new: whether it is, no branch could guess.
  void emit(std::uint64_t hash) { emit_into(0, kPlainBuckets, hash); }

  void emit_edge(std::uint64_t hash) { emit_into(kPlainBuckets, kBuckets - kPlainBuckets, hash); }

 private:
  void emit_into(std::uint32_t from, std::uint64_t count, std::uint64_t hash) {
    const std::uint64_t spread = (hash * kSpread) >> 32;
    const std::uint32_t bucket = from + static_cast<std::uint32_t>((spread * count) >> 32);
    *next = bucket;
    next += seen[bucket] != epoch;
    seen[bucket] = epoch;
  }
};

/// One pass over one text.
class Scan {
 public:
  explicit Scan(Extractor& scratch)
      : first_(scratch.found_.data()), trail_{scratch.seen_.data(), first_, scratch.epoch_} {}

  void read(std::string_view part) {
    const auto* p = reinterpret_cast<const unsigned char*>(part.data());
    const auto* end = p + part.size();
    bool line_start = true;
    while (p < end) {
      if (line_start) p = open_option(p, end);
      line_start = false;
      if (p == end) break;
      switch (kBytes.kind[*p]) {
        case Kind::space:
          if (*p == '\n') {
            ++lines_;
            line_start = true;
          }
          ++p;
          break;
        case Kind::letter:
        case Kind::digit:
          p = word(p, end);
          break;
        case Kind::wide:
          p = wide(p, end);
          break;
        case Kind::drop:
          if (*p == '?') after_question_ = words_;
          ++p;
          break;
        case Kind::symbol:
          p = symbol(p, end);
          break;
      }
    }
  }

  void finish(std::string_view head, std::string_view tail, Features& out);

 private:
  /// A token is complete: its word, the pair with the one before in the same field, and in the stem
  /// how the text opens.
  void token(std::uint64_t hash) {
    Trail trail = trail_;
    const std::uint64_t pair = previous_ * kFnvPrime ^ hash;
    trail.emit(hash ^ (in_options_ ? kOptionWord : kStemWord));
    if (tokens_in_field_ > 0) trail.emit(pair ^ (in_options_ ? kOptionPair : kStemPair));
    if (tokens_ < kOpeningTokens && !in_options_) {
      opening_ = opening_ * kFnvPrime ^ hash;
      trail.emit_edge(opening_ * kFnvPrime);
    }
    trail_ = trail;
    pair_ = pair;
    previous_ = hash;
    ++tokens_;
    ++tokens_in_field_;
  }

  /// The last word of the stem and the last two.
  void end_stem() {
    if (tokens_ > 0) trail_.emit_edge(kEnding ^ previous_);
    if (tokens_ > 1) trail_.emit_edge(kEnding ^ pair_);
  }

  const unsigned char* word(const unsigned char* p, const unsigned char* end) {
    const unsigned char* from = p;
    std::uint64_t tally = 0, hash = kFnvStart;
    while (p < end) {
      const std::uint64_t more = kBytes.tally[*p];
      if (more == 0) break;
      tally += more;
      hash = (hash ^ kBytes.lower[*p]) * kFnvPrime;
      ++p;
    }
    upper_ += tally / kOneCapital;
    if (p < end && *p >= 0x80) return word_beyond_ascii(from, end);
    const std::size_t length = tally & kTallyMask, digits = tally / kOneDigit & kTallyMask;
    digits_ += digits;
    if (digits == length) {
      ++numbers_;
      token((kNumber ^ std::min<std::size_t>(length, 5)) * kFnvPrime);
      return p;
    }
    ++words_;
    word_bytes_ += length;
    if (in_options_) ++option_letters_;
    token(hash);
    return p;
  }

  const unsigned char* word_beyond_ascii(const unsigned char* p, const unsigned char* end);
  const unsigned char* wide(const unsigned char* p, const unsigned char* end);

  const unsigned char* symbol(const unsigned char* p, const unsigned char* end) {
    ++symbols_;
    if (*p == '\\' || *p == '$') ++latex_;
    if (*p == '{' || *p == '}' || *p == '`') ++code_;
    if (*p == '_' && p + 1 < end && p[1] == '_') {
      while (p + 1 < end && p[1] == '_') ++p;
      ++blanks_;
    }
    token((kFnvStart ^ *p) * kFnvPrime);
    return p + 1;
  }

  /// `A.`, `(A)`, `B:` ... in order, at the start of a line: from here on the text is options.
  const unsigned char* open_option(const unsigned char* p, const unsigned char* end) {
    const unsigned char* q = p;
    while (q < end && (*q == ' ' || *q == '\t')) ++q;
    if (q < end && *q == '(') ++q;
    if (end - q < 2 || *q != static_cast<unsigned char>('A' + options_)) return p;
    if (q[1] != '.' && q[1] != ')' && q[1] != ':') return p;
    if (options_ == 0) {
      if (!has_second_option(q + 2, end)) return p;
      end_stem();
      in_options_ = true;
      tokens_in_stem_ = tokens_;
      tokens_in_field_ = 0;
      options_from_ = p;
    }
    close_option();
    ++options_;
    return q + 2;
  }

  static bool has_second_option(const unsigned char* p, const unsigned char* end) {
    while ((p = static_cast<const unsigned char*>(std::memchr(p, '\n', end - p)))) {
      ++p;
      while (p < end && (*p == ' ' || *p == '\t' || *p == '(')) ++p;
      if (end - p >= 2 && *p == 'B' && (p[1] == '.' || p[1] == ')' || p[1] == ':')) return true;
    }
    return false;
  }

  void close_option() {
    if (options_ > 0 && option_letters_ == 0) ++numeric_options_;
    option_letters_ = 0;
  }

  std::uint32_t* const first_;  // the distinct buckets so far: [first_, trail_.next)
  Trail trail_;
  std::uint64_t previous_ = 0, pair_ = 0, opening_ = kOpening;
  bool in_options_ = false;
  const unsigned char* options_from_ = nullptr;
  std::size_t tokens_ = 0, tokens_in_stem_ = 0, tokens_in_field_ = 0, words_ = 0, word_bytes_ = 0,
              numbers_ = 0, digits_ = 0, upper_ = 0, symbols_ = 0, latex_ = 0, code_ = 0, wide_ = 0,
              lines_ = 0, blanks_ = 0, options_ = 0, option_letters_ = 0, numeric_options_ = 0,
              after_question_ = ~std::size_t{0};
};

/// A word with a letter outside ASCII: decoded and lowered one code point at a time.
const unsigned char* Scan::word_beyond_ascii(const unsigned char* p, const unsigned char* end) {
  std::uint64_t hash = kFnvStart;
  std::size_t length = 0;
  while (p < end) {
    utf8proc_int32_t code = -1;
    auto took = utf8proc_iterate(p, end - p, &code);
    if (took < 1) took = 1, code = *p;
    if (code < 128) {
      const Kind kind = kBytes.kind[*p];
      if (kind != Kind::letter && kind != Kind::digit) break;
    } else {
      const auto category = utf8proc_category(code);
      if (category > UTF8PROC_CATEGORY_NO || category == UTF8PROC_CATEGORY_CN ||
          is_wide_script(code))
        break;
    }
    hash = (hash ^ static_cast<std::uint32_t>(utf8proc_tolower(code))) * kFnvPrime;
    p += took;
    ++length;
  }
  if (length == 0) return p;
  ++words_;
  word_bytes_ += length;
  if (in_options_) ++option_letters_;
  token(hash);
  return p;
}

/// At a byte >= 0x80: a CJK character is a token of its own, a letter starts a word, the rest is
/// punctuation and dropped.
const unsigned char* Scan::wide(const unsigned char* p, const unsigned char* end) {
  utf8proc_int32_t code = -1;
  auto took = utf8proc_iterate(p, end - p, &code);
  if (took < 1) took = 1, code = *p;
  if (is_wide_script(code)) {
    ++wide_;
    ++words_;
    if (in_options_) ++option_letters_;
    token((kFnvStart ^ static_cast<std::uint32_t>(code)) * kFnvPrime);
    return p + took;
  }
  const auto category = utf8proc_category(code);
  if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO) {
    const unsigned char* next = word_beyond_ascii(p, end);
    if (next > p) return next;
  } else if (category == UTF8PROC_CATEGORY_SM) {
    ++symbols_;
    token((kFnvStart ^ static_cast<std::uint32_t>(code)) * kFnvPrime);
  }
  return p + took;
}

void Scan::finish(std::string_view head, std::string_view tail, Features& out) {
  close_option();
  if (!in_options_) end_stem();
  out.buckets.assign(first_, trail_.next);
  const auto total = static_cast<float>(head.size() + tail.size());
  const float bytes = total > 0 ? total : 1;
  float stem = total;
  if (options_from_) {
    const auto* start = reinterpret_cast<const char*>(options_from_);
    const bool in_head = start >= head.data() && start <= head.data() + head.size();
    stem = static_cast<float>(in_head ? start - head.data()
                                      : static_cast<std::ptrdiff_t>(head.size()) +
                                            (start - tail.data()));
  }
  auto log1 = [](float x) { return std::log1p(x); };
  auto& s = out.surface;
  s[kStemBytes] = log1(stem);
  s[kStemWords] = log1(static_cast<float>(in_options_ ? tokens_in_stem_ : tokens_));
  s[kOptionBytes] = log1(total - stem);
  s[kOptions] = static_cast<float>(options_) / 4;
  s[kDigits] = 10 * static_cast<float>(digits_) / bytes;
  s[kNumbers] = log1(static_cast<float>(numbers_));
  s[kUpper] = 10 * static_cast<float>(upper_) / bytes;
  s[kSymbols] = 10 * static_cast<float>(symbols_) / bytes;
  s[kWordBytes] = words_ ? static_cast<float>(word_bytes_) / static_cast<float>(words_) / 4 : 0;
  s[kLines] = log1(static_cast<float>(lines_));
  s[kLatex] = latex_ ? 1 : 0;
  s[kCode] = log1(static_cast<float>(code_));
  s[kWide] = 6 * static_cast<float>(wide_) / bytes;
  s[kQuestionMark] = after_question_ != ~std::size_t{0} ? 1 : 0;
  s[kBlank] = blanks_ ? 1 : 0;
  s[kNumericOptions] =
      options_ ? static_cast<float>(numeric_options_) / static_cast<float>(options_) : 0;
}

Extractor::Extractor() : seen_(kBuckets, 0), found_(kEmittedMax) {}

void Extractor::extract(std::string_view text, Features& out) {
  if (++epoch_ == 0) {
    std::memset(seen_.data(), 0, seen_.size());
    epoch_ = 1;
  }
  std::string_view head = text, tail;
  if (text.size() > kHeadBytes + kTailBytes) {
    auto is_inside = [&](std::size_t at) {
      return (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80;
    };
    std::size_t head_end = kHeadBytes, tail_start = text.size() - kTailBytes;
    for (int i = 0; i < 3 && is_inside(head_end); ++i) --head_end;
    for (int i = 0; i < 3 && is_inside(tail_start); ++i) ++tail_start;
    head = text.substr(0, head_end);
    tail = text.substr(tail_start);
  }
  Scan scan(*this);
  scan.read(head);
  if (!tail.empty()) scan.read(tail);
  scan.finish(head, tail, out);
  std::uint64_t hash = kFnvStart ^ out.buckets.size();
  for (std::uint32_t bucket : out.buckets) hash = (hash ^ bucket) * kFnvPrime;
  for (float value : out.surface) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    hash = (hash ^ bits) * kFnvPrime;
  }
  out.hash = hash;
}

}  // namespace router
