// Text -> hashed n-grams and surface counts. The same bytes give the same features in every
// program; a change of anything here needs a new kFeaturesVersion, which policies record and check.
//
// Normalisation: lower case (full Unicode for letters outside ASCII), sentence punctuation dropped,
// digit runs reduced to their length, a polite preamble is no special case. A line that begins with
// `A.`, `(B)`, `C:` ... opens the options of a multiple-choice question: its words are hashed with
// the seed of their own field. Text longer than kHeadBytes + kTailBytes is read at both ends only.
//
// Hash: FNV-1a, 64 bit, over the normalised bytes, started at the field's seed; the bucket is the
// top kBucketBits of hash * 0x9E3779B97F4A7C15 (Knuth's multiplicative hashing).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace router {

inline constexpr std::uint32_t kFeaturesVersion = 1;
inline constexpr int kBucketBits = 17;
inline constexpr std::uint32_t kBuckets = 1u << kBucketBits;
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
};

/// Holds the scratch that extract() reuses: one per thread, not shared. No allocation once `out`
/// has grown. Any bytes are accepted; invalid UTF-8 is read as Latin-1.
class Extractor {
 public:
  Extractor();
  void extract(std::string_view text, Features& out);

 private:
  friend class Scan;

  /// A word that was met, and in which text: long words come again, their pieces need not.
  struct Met {
    std::uint64_t word = 0;  // its hash
    std::uint32_t text = 0;
  };

  static constexpr std::size_t kWordsMet = 256;

  std::vector<std::uint8_t> seen_;    // [kBuckets] epoch in which a bucket was last emitted
  std::vector<std::uint32_t> found_;  // buckets of the text, in order; not kept between texts
  std::vector<Met> met_;              // [kWordsMet]
  std::uint32_t text_ = 0;            // texts so far
  std::uint8_t epoch_ = 0;
};

}  // namespace router
