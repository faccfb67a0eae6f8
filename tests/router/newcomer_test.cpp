// A newcomer joins a policy by its probes, on a small world whose right answers are known.
#include "router/learn/newcomer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "router/decide.h"
#include "router/guard.h"
#include "router/learn/train.h"
#include "tests/router/topics.h"

namespace router {
namespace {

using testing::topic_text;

double unit(std::mt19937_64& random) {
  return static_cast<double>(random() >> 11) * 0x1p-53;
}

/// `alice` is good at the first topic, `bob` at the second, `carol` fair everywhere; nobody is good
/// at the third.
class Newcomers : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const auto path = ::testing::TempDir() + "newcomer_" + std::to_string(::getpid());
    std::mt19937_64 random(1);
    std::ofstream out(path);
    for (int i = 0; i < 900; ++i) {
      const int topic = static_cast<int>(random() % 3);
      const auto outcome = [&](double p) { return unit(random) < p ? "1" : "0"; };
      out << R"({"id":"r)" << i << R"(","text":")" << topic_text(topic, random)
          << R"(","domain":"t)" << topic << R"(","outcomes":{"alice":{"score":)"
          << outcome(topic == 0 ? 0.95 : 0.3) << R"(},"bob":{"score":)"
          << outcome(topic == 1 ? 0.95 : 0.3) << R"(},"carol":{"score":)" << outcome(0.55)
          << "}}}\n";
    }
    out.close();
    TrainOptions options;
    options.files = {path};
    train(options, &policy);
    std::filesystem::remove(path);
  }

  /// `count` probes of an expert that is right with `good` on the third topic, else with
  /// `otherwise`.
  static std::vector<ProbeOutcome> probes_of(int count, double good, double otherwise) {
    std::mt19937_64 random(7);
    std::vector<ProbeOutcome> probes;
    for (int i = 0; i < count; ++i) {
      const int topic = i % 3;
      ProbeOutcome probe;
      probe.text = topic_text(topic, random);
      probe.score = unit(random) < (topic == 2 ? good : otherwise) ? 1 : 0;
      probe.cost_usd = 0.002F;
      probes.push_back(std::move(probe));
    }
    return probes;
  }

  static PoolView pool_of(const Policy& of, const std::vector<std::string>& names) {
    PoolView view;
    for (const auto& name : names) view.experts.emplace_back().name = name;
    bind(of, view);
    return view;
  }

  static std::string first(const Policy& of, const PoolView& view, const std::string& text) {
    Extractor extractor;
    Features features;
    extractor.extract(text, features);
    return view.experts[decide(Query{}, features, of, view).candidates[0].expert].name;
  }

  static inline PolicyPtr policy;
};

TEST_F(Newcomers, IsRoutedToWhatItIsGoodAtAndNothingElseChanges) {
  Newcomer made = add_newcomer(*policy, "dave", probes_of(120, 0.95, 0.3));
  const auto whole = decode_policy(encode_policy(made.policy), "the file");
  const PoolView before = pool_of(*policy, {"alice", "bob", "carol"});
  const PoolView after = pool_of(*whole, {"alice", "bob", "carol", "dave"});
  EXPECT_TRUE(after.experts[3].probed);
  EXPECT_NE(after.experts[after.default_expert].name, "dave");
  EXPECT_EQ(first(*policy, before, "treaty of an empire and a dynasty"), "carol");
  EXPECT_EQ(first(*whole, after, "treaty of an empire and a dynasty"), "dave");
  EXPECT_EQ(first(*whole, after, "prime theorem of a matrix"), "alice");
  EXPECT_EQ(first(*whole, after, "enzyme and neuron tissue"), "bob");
  // Without the newcomer in the pool all is as before, to the last bit.
  const PoolView without = pool_of(*whole, {"alice", "bob", "carol"});
  EXPECT_EQ(without.default_expert, before.default_expert);
  EXPECT_EQ(without.experts[0].margin, before.experts[0].margin);
  Extractor extractor;
  Features features;
  extractor.extract("a treaty about a prime", features);
  const Route old_route = decide(Query{}, features, *policy, before);
  const Route new_route = decide(Query{}, features, *whole, without);
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_EQ(old_route.candidates[i].p_correct, new_route.candidates[i].p_correct);
  EXPECT_EQ(old_route.skills[0].share, new_route.skills[0].share);
  for (const NewcomerSkill& skill : made.skills) {
    if (skill.skill == "t2") {
      EXPECT_NEAR(skill.rate, 0.85, 0.15);
    }
  }
  EXPECT_NEAR(whole->experts[3].cost_usd, 0.002, 1e-6);
}

TEST_F(Newcomers, FewProbesSayLittle) {
  const Newcomer few = add_newcomer(*policy, "dave", probes_of(9, 1, 1));
  const Newcomer many = add_newcomer(*policy, "dave", probes_of(600, 1, 1));
  EXPECT_EQ(few.raw, 1);
  EXPECT_LT(few.mean, 0.9);
  EXPECT_GT(many.mean, few.mean);
  EXPECT_GT(few.error, 2 * many.error);
  for (std::size_t s = 0; s < few.skills.size(); ++s)
    EXPECT_GE(few.skills[s].error, many.skills[s].error);
}

/// The truth of each skill is within two standard deviations of the estimate, nearly always.
TEST_F(Newcomers, ItsErrorsAreHonest) {
  int inside = 0, all = 0;
  for (int seed = 0; seed < 40; ++seed) {
    std::mt19937_64 random(100 + seed);
    const double truth[3] = {0.2 + 0.6 * unit(random), 0.2 + 0.6 * unit(random),
                             0.2 + 0.6 * unit(random)};
    std::vector<ProbeOutcome> probes;
    for (int i = 0; i < 90; ++i) {
      ProbeOutcome probe;
      probe.text = topic_text(i % 3, random);
      probe.score = unit(random) < truth[i % 3] ? 1 : 0;
      probes.push_back(std::move(probe));
    }
    const Newcomer made = add_newcomer(*policy, "dave", probes);
    for (std::size_t s = 0; s < 3; ++s) {
      const auto topic = static_cast<std::size_t>(made.skills[s].skill.back() - '0');
      inside += std::abs(made.skills[s].rate - truth[topic]) < 2 * made.skills[s].error;
      ++all;
    }
  }
  EXPECT_GE(inside, all * 9 / 10) << inside << " of " << all;
}

TEST_F(Newcomers, TheSameProbesGiveTheSameBytesAndMoreOfThemReplaceIt) {
  Newcomer once = add_newcomer(*policy, "dave", probes_of(60, 0.9, 0.4));
  Newcomer twice = add_newcomer(*policy, "dave", probes_of(60, 0.9, 0.4));
  EXPECT_EQ(encode_policy(once.policy), encode_policy(twice.policy));
  Newcomer erin = add_newcomer(once.policy, "erin", probes_of(60, 0.5, 0.5));
  Newcomer again = add_newcomer(erin.policy, "dave", probes_of(120, 0.9, 0.4));
  EXPECT_EQ(again.policy.experts.size(), 5u);
  EXPECT_EQ(again.policy.experts.back().name, "dave");
  EXPECT_NO_THROW(decode_policy(encode_policy(again.policy), "the file"));
}

TEST_F(Newcomers, WhatCannotBeDoneIsSaid) {
  EXPECT_THROW(add_newcomer(*policy, "alice", probes_of(60, 1, 1)), std::runtime_error);
  EXPECT_THROW(add_newcomer(*policy, "dave", probes_of(3, 1, 1)), std::runtime_error);
  EXPECT_THROW(add_newcomer(Policy{}, "dave", probes_of(60, 1, 1)), std::runtime_error);
}

}  // namespace
}  // namespace router
