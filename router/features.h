// Text -> hashed n-grams and surface counts. The same bytes give the same features in every
// program; a change of anything here needs a new kFeaturesVersion, which policies record and check.
//
// Normalisation: lower case (full Unicode for letters outside ASCII), sentence punctuation dropped,
// digit runs reduced to their length, a polite preamble is no special case. A line that begins with
// `A.`, `(B)`, `C:` ... opens the options of a multiple-choice question: its words are hashed with
// the seed of their own field. N-grams are words and pairs of words of a field; besides, the first
// one, two and three words and the last one and two of the text before the options, which have
// buckets of their own (kPlainBuckets and up): how a question is put says much about whence it is.
// Text longer than kHeadBytes + kTailBytes is read at both ends only.
//
// Hash: FNV-1a, 64 bit, over the normalised bytes, mixed with the field's seed; the bucket is the
// top of hash * 0x9E3779B97F4A7C15 (Knuth's multiplicative hashing), scaled to the range.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace router {

inline constexpr std::uint32_t kFeaturesVersion = 2;
inline constexpr std::uint32_t kBuckets = 1u << 17;
inline constexpr std::uint32_t kPlainBuckets = kBuckets / 8 * 7;  // from here on: edges of the text
inline constexpr std::size_t kHeadBytes = 2048;
inline constexpr std::size_t kTailBytes = 2048;

/// What can be counted without reading: each is roughly between 0 and 5.
enum Surface : std::uint32_t {
  kStemBytes,       // ln(1 + bytes before the options)
  kStemWords,       // ln(1 + words before the options)
  kOptionBytes,     // ln(1 + bytes of the options)
  kOptions,         // number of options / 4
  kDigits,          // share of digits in the stem, times 10
  kNumbers,         // ln(1 + numbers in the stem)
  kUpper,           // share of capitals in the stem, times 10
  kSymbols,         // share of symbols, times 10
  kWordBytes,       // mean bytes of a word / 4
  kLines,           // ln(1 + line breaks)
  kLatex,           // backslashes or dollar signs
  kCode,            // code fence, `def `, braces
  kWide,            // share of CJK characters, times 2
  kQuestionMark,    // the stem ends with one
  kBlank,           // `__`
  kNumericOptions,  // share of options without a letter
  kSurfaceCount
};

struct Features {
  std::vector<std::uint32_t> buckets;  // distinct, in order of first appearance, < kBuckets
  std::array<float, kSurfaceCount> surface{};
  std::uint64_t hash = 0;  // of both, to detect skew between training, serving and replay
  std::string vector;      // an encoder's (router/vectors.h), where somebody got one
};

/// Holds the scratch that extract() reuses: one per thread, not shared. No allocation once `out`
/// has grown; its vector is emptied. Any bytes are accepted; invalid UTF-8 is read as Latin-1.
class Extractor {
 public:
  Extractor();
  void extract(std::string_view text, Features& out);

 private:
  friend class Scan;
  std::vector<std::uint8_t> seen_;    // [kBuckets] epoch in which a bucket was last emitted
  std::vector<std::uint32_t> found_;  // buckets of the text, in order; not kept between texts
  std::uint8_t epoch_ = 0;
};

}  // namespace router
