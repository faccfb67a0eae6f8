// What training says about domains that it held out whole.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "router/learn/train.h"
#include "router/splitmix.h"

namespace router {
namespace {

/// Four domains with words of their own. `by_word`: who is right hangs on a word that all domains
/// share; else on the domain, so that what holds in three of them misleads in the fourth.
TrainReport train_on(bool by_word) {
  static const char* const kOwn[4][3] = {{"integral", "matrix", "prime"},
                                         {"tort", "statute", "appeal"},
                                         {"enzyme", "neuron", "tissue"},
                                         {"sonnet", "novel", "stanza"}};
  const std::string path =
      ::testing::TempDir() + "unseen_test_" + std::to_string(::getpid()) + ".jsonl";
  std::ofstream out(path);
  std::uint64_t state = 3;
  const auto outcome = [&](double p) {
    return R"({"score":)" + std::to_string(draw_unit(state) < p ? 1 : 0) + "}";
  };
  for (int i = 0; i < 1200; ++i) {
    const std::size_t domain = draw_below(state, 4);
    const bool proof = draw_unit(state) < 0.5;
    std::string text = proof ? "prove why" : "recall when";
    for (int w = 0; w < 3; ++w) text += std::string(" ") + kOwn[domain][draw_below(state, 3)];
    const bool first = by_word ? proof : domain < 2;
    out << R"({"id":"r)" << i << R"(","text":")" << text << R"(","domain":"d)" << domain
        << R"(","outcomes":{"a":)" << outcome(first ? 0.9 : 0.3) << R"(,"b":)"
        << outcome(first ? 0.3 : 0.9) << "}}\n";
  }
  out.close();
  TrainOptions options;
  options.files = {path};
  const TrainReport report = train(options);
  std::filesystem::remove(path);
  return report;
}

TEST(Unseen, WhatAllDomainsShareCarriesOver) {
  const TrainReport report = train_on(true);
  EXPECT_FALSE(report.guarded);
  EXPECT_EQ(report.unseen.domains, 4u);
  EXPECT_EQ(report.unseen.rows, 1200u);
  EXPECT_GT(report.unseen.gain.lo, 0.15);
  EXPECT_TRUE(report.unseen.worse.empty());
}

// Held-out rows alone would promise as much as above.
TEST(Unseen, WhatHangsOnTheDomainDoesNot) {
  const TrainReport report = train_on(false);
  EXPECT_FALSE(report.guarded);
  EXPECT_GT(report.gain[1], 0.15);
  EXPECT_EQ(report.unseen.domains, 4u);
  EXPECT_LT(report.unseen.gain.hi, 0.15);
}

}  // namespace
}  // namespace router
