#include "router/features.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace router {
namespace {

Features extract(std::string_view text) {
  Extractor extractor;
  Features out;
  extractor.extract(text, out);
  return out;
}

TEST(Features, CaseAndSentencePunctuationDoNotMatter) {
  const Features a = extract("What is the Capital of France?"),
                 b = extract("what is the capital, of france");
  EXPECT_EQ(a.buckets, b.buckets);
  EXPECT_EQ(extract("ÉCOLE Straße").buckets, extract("école straße").buckets);
}

TEST(Features, NumbersKeepTheirLengthOnly) {
  EXPECT_EQ(extract("add 12 and 34").buckets, extract("add 77 and 90").buckets);
  EXPECT_NE(extract("add 12 and 34").buckets, extract("add 12 and 345").buckets);
}

TEST(Features, OptionsHaveTheirOwnField) {
  const Features plain = extract("Which gas? oxygen nitrogen"),
                 choice = extract("Which gas?\nA. oxygen\nB. nitrogen");
  EXPECT_EQ(choice.surface[kOptions], 0.5f);
  EXPECT_EQ(plain.surface[kOptions], 0.f);
  EXPECT_NE(plain.buckets, choice.buckets);
  // "A. Smith" opens no options when no second option follows.
  EXPECT_EQ(extract("A. Smith wrote this").surface[kOptions], 0.f);
}

TEST(Features, BothEndsOfALongTextAreRead) {
  const std::string filler(20'000, 'x');
  const Features end = extract(filler + " mitochondria"), none = extract(filler + " filler");
  EXPECT_NE(end.buckets, none.buckets);
  EXPECT_LT(end.buckets.size(), 5'000u);
}

TEST(Features, AnyBytesAreAcceptedAndRepeatable) {
  std::mt19937_64 random(7);
  Extractor reused;
  for (int round = 0; round < 600; ++round) {  // more than the scratch's epochs
    std::string bytes(random() % 300, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    Features out;
    reused.extract(bytes, out);
    EXPECT_EQ(out.hash, extract(bytes).hash);
    EXPECT_EQ(std::set<std::uint32_t>(out.buckets.begin(), out.buckets.end()).size(),
              out.buckets.size());
    for (std::uint32_t bucket : out.buckets) ASSERT_LT(bucket, kBuckets);
    for (float value : out.surface) ASSERT_TRUE(std::isfinite(value));
  }
}

// A policy file depends on every bucket: this value changes only together with kFeaturesVersion.
TEST(Features, HashIsPinned) {
  const Features out = extract("Solve $x^2 = 4$ for x.\nA) 2\nB) -2 or 2\n中文");
  EXPECT_EQ(kFeaturesVersion, 2u);
  EXPECT_EQ(out.buckets, extract("solve $X^2 = 7$ for X\n(A) 2\n(B) -5 or 3\n中文").buckets);
}

}  // namespace
}  // namespace router
