#include "router/features.h"

#include <utf8proc.h>

#include <cmath>
#include <cstring>
#include <span>

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

enum class Kind : std::uint8_t { space, drop, symbol, wide };  // of a byte outside words

/// A byte of a word: its lower case in the lowest eight bits, and what the word's tally counts. The
/// lowest bits of a tally are a sum that nobody reads: that of a whole text does not reach the
/// next.
constexpr std::uint64_t kOneDigit = 1 << 20, kOneCapital = std::uint64_t{1} << 40;
constexpr std::size_t kReadBytesMax = kHeadBytes + kTailBytes;
static_assert(kReadBytesMax * 'z' < kOneDigit);

struct ByteTable {
  std::array<Kind, 256> kind{};
  std::array<std::uint64_t, 256> in_word{};  // 0 ends the word

  constexpr ByteTable() {
    for (int c = 0; c < 256; ++c) {
      const bool capital = c >= 'A' && c <= 'Z';
      if (c <= ' ' || c == 127)
        kind[c] = Kind::space;
      else if (c >= '0' && c <= '9')
        in_word[c] = c + kOneDigit;
      else if ((c >= 'a' && c <= 'z') || capital)
        in_word[c] = capital ? c + 32 + kOneCapital : c;
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
constexpr std::size_t kEmittedMax = 2 * kReadBytesMax + 8;

bool is_wide_script(std::int32_t code) {
  return (code >= 0x3040 && code <= 0x30ff) || (code >= 0x3400 && code <= 0x9fff) ||
         (code >= 0xac00 && code <= 0xd7a3) || (code >= 0xf900 && code <= 0xfaff) ||
         (code >= 0x20000 && code <= 0x3ffff);
}

}  // namespace

/// Where distinct buckets go.
class Trail {
 public:
  Trail(std::uint8_t* seen, std::uint8_t epoch, std::uint32_t* first)
      : seen_(seen), next_(first), epoch_(epoch) {}

  /// The n-grams of a field: each token, and the pair with the one before; in the stem also how it
  /// opens and how it ends.
  void follow(std::span<const std::uint64_t> tokens, bool stem) {
    const std::uint64_t word_seed = stem ? kStemWord : kOptionWord;
    const std::uint64_t pair_seed = stem ? kStemPair : kOptionPair;
    const std::size_t opening_tokens = stem ? kOpeningTokens : 0;
    std::uint64_t previous = 0, pair = 0, opening = kOpening;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      emit(tokens[i] ^ word_seed);
      pair = previous * kFnvPrime ^ tokens[i];
      if (i > 0) emit(pair ^ pair_seed);
      if (i < opening_tokens) {
        opening = opening * kFnvPrime ^ tokens[i];
        emit_edge(opening * kFnvPrime);
      }
      previous = tokens[i];
    }
    if (stem && !tokens.empty()) emit_edge(kEnding ^ previous);
    if (stem && tokens.size() > 1) emit_edge(kEnding ^ pair);
  }

  std::uint32_t* end() const { return next_; }

 private:
  void emit(std::uint64_t hash) { emit_into(0, kPlainBuckets, hash); }

  void emit_edge(std::uint64_t hash) { emit_into(kPlainBuckets, kBuckets - kPlainBuckets, hash); }

  /// Writes the bucket and keeps it only if it is new: whether it is, no branch could guess.
  void emit_into(std::uint32_t from, std::uint64_t count, std::uint64_t hash) {
    const std::uint64_t spread = (hash * kSpread) >> 32;
    const std::uint32_t bucket = from + static_cast<std::uint32_t>((spread * count) >> 32);
    *next_ = bucket;
    next_ += seen_[bucket] != epoch_;
    seen_[bucket] = epoch_;
  }

  std::uint8_t* seen_;  // [kBuckets] the epoch in which a bucket was last met
  std::uint32_t* next_;
  std::uint8_t epoch_;
};

/// One pass over one text, in one or two parts. They are copied, so that a zero lies behind them
/// where words end.
class Scan {
 public:
  explicit Scan(Extractor& scratch) : scratch_(scratch) {}

  void read(std::string_view part) {
    part.copy(part_.data(), part.size());
    part_[part.size()] = 0;
    const auto* p = reinterpret_cast<const unsigned char*>(part_.data());
    const auto* end = p + part.size();
    p = open_option(p, end);
    while (p < end) {
      if (kBytes.in_word[*p] != 0) {
        p = word(p, end);
        if (*p == ' ') ++p;
        continue;
      }
      switch (kBytes.kind[*p]) {
        case Kind::space:
          if (*p++ != '\n') break;
          ++lines_;
          p = open_option(p, end);
          break;
        case Kind::wide:
          p = wide(p, end);
          break;
        case Kind::drop:
          if (*p++ == '?') after_question_ = words_;
          break;
        case Kind::symbol:
          p = symbol(p, end);
          break;
      }
    }
    bytes_ += part.size();
  }

  void finish(Features& out);

 private:
  void token(std::uint64_t hash) { *next_++ = hash; }

  std::size_t tokens() const { return next_ - tokens_.data(); }

  const unsigned char* word(const unsigned char* p, const unsigned char* end) {
    const unsigned char* from = p;
    std::uint64_t tally = 0, hash = kFnvStart;
    while (const std::uint64_t byte = kBytes.in_word[*p]) {
      tally += byte;
      hash = (hash ^ (byte & 0xff)) * kFnvPrime;
      ++p;
    }
    const std::size_t length = p - from, digits = tally % kOneCapital / kOneDigit;
    if (*p >= 0x80) {
      tally_ += tally / kOneCapital * kOneCapital;
      return word_beyond_ascii(from, end);
    }
    tally_ += tally;
    if (digits == length) {
      ++numbers_;
      token((kNumber ^ std::min<std::size_t>(length, 5)) * kFnvPrime);
      return p;
    }
    ++words_;
    word_bytes_ += length;
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
      stem_tokens_ = tokens();
      stem_bytes_ = bytes_ + (reinterpret_cast<const char*>(p) - part_.data());
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
    if (options_ > 0 && words_ == option_words_from_) ++numeric_options_;
    option_words_from_ = words_;
  }

  Extractor& scratch_;
  std::array<char, kReadBytesMax + 1> part_;         // that is being read, and a zero
  std::array<std::uint64_t, kReadBytesMax> tokens_;  // their hashes: [begin, next_)
  std::uint64_t* next_ = tokens_.data();
  std::uint64_t tally_ = 0;  // of all words
  std::size_t bytes_ = 0;    // of the parts before
  std::size_t stem_bytes_ = 0, stem_tokens_ = 0, words_ = 0, word_bytes_ = 0, numbers_ = 0,
              symbols_ = 0, latex_ = 0, code_ = 0, wide_ = 0, lines_ = 0, blanks_ = 0, options_ = 0,
              option_words_from_ = 0, numeric_options_ = 0, after_question_ = ~std::size_t{0};
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
      if (kBytes.in_word[code] == 0) break;
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

void Scan::finish(Features& out) {
  close_option();
  if (options_ == 0) {
    stem_tokens_ = tokens();
    stem_bytes_ = bytes_;
  }
  const std::span<const std::uint64_t> all(tokens_.data(), tokens());
  Trail trail(scratch_.seen_.data(), scratch_.epoch_, scratch_.found_.data());
  trail.follow(all.first(stem_tokens_), true);
  trail.follow(all.subspan(stem_tokens_), false);
  out.buckets.assign(scratch_.found_.data(), trail.end());
  const auto total = static_cast<float>(bytes_), stem = static_cast<float>(stem_bytes_);
  const float bytes = total > 0 ? total : 1;
  const std::size_t digits = tally_ % kOneCapital / kOneDigit, capitals = tally_ / kOneCapital;
  auto log1 = [](float x) { return std::log1p(x); };
  auto& s = out.surface;
  s[kStemBytes] = log1(stem);
  s[kStemWords] = log1(static_cast<float>(stem_tokens_));
  s[kOptionBytes] = log1(total - stem);
  s[kOptions] = static_cast<float>(options_) / 4;
  s[kDigits] = 10 * static_cast<float>(digits) / bytes;
  s[kNumbers] = log1(static_cast<float>(numbers_));
  s[kUpper] = 10 * static_cast<float>(capitals) / bytes;
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
  scan.finish(out);
  out.vector.clear();
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
