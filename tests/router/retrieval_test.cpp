#include "router/retrieval.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "router/learn/retrieval_fit.h"

namespace {

using router::choose_passages;
using router::estimate_arm;
using router::RetrievalArm;
using router::RetrievalChoice;
using router::RetrievalMode;
using router::RetrievalModel;
using router::RetrievalPrices;
using router::RetrievalRow;
using router::RetrievalRules;
using router::SearchProbe;

constexpr SearchProbe kGood = {.top = 0.7, .margin = 0.3, .covered = 0.95, .found = 20};
constexpr SearchProbe kPoor = {.top = 0.2, .margin = 0.05, .covered = 0.1, .found = 20};
constexpr RetrievalPrices kPrices = {{{.microusd = 50}, {.microusd = 250}}};

RetrievalRules quiet_rules() {
  return {.explore = 0};
}

TEST(Retrieval, CheckValuesOfTheFormula) {
  const RetrievalArm arm = {.helps = 0.7, .spoils = 0.1};
  EXPECT_NEAR(estimate_arm(arm, 0.5, 0.8, 0.02).threshold, 0.9310, 5e-5);
  EXPECT_NEAR(estimate_arm(arm, 0.5, 0.3, 0.02).threshold, 0.6786, 5e-5);
  EXPECT_NEAR(estimate_arm(arm, 0.5, 0.8, 0.02).gain, 0.28 - 0.01 - 0.02, 1e-12);
  for (const double c0 : {0.0, 0.3, 1.0}) {
    EXPECT_LE(estimate_arm(arm, c0, 0, 0.02).gain, -0.02) << "nothing relevant: never";
    EXPECT_LT(estimate_arm(arm, c0, 0, 0.02).threshold, 0);
  }
  EXPECT_GT(estimate_arm({.helps = 0.7}, 0.99, 1, 0).threshold, 0.99) << "free and harmless";
}

TEST(Retrieval, ThresholdIsWhereTheGainVanishes) {
  std::mt19937_64 chance(3);
  std::uniform_real_distribution<double> any(0, 1);
  for (int i = 0; i < 2'000; ++i) {
    const RetrievalArm arm = {.helps = any(chance), .spoils = any(chance)};
    const double r = any(chance), kappa = any(chance) / 4;
    const double c0 = any(chance);
    const auto at = estimate_arm(arm, c0, r, kappa);
    EXPECT_EQ(at.gain > 0, c0 < at.threshold) << c0 << " " << at.threshold;
    EXPECT_NEAR(estimate_arm(arm, at.threshold, r, kappa).gain, 0, 1e-9);
  }
}

TEST(Retrieval, GainIsMonotoneInEveryArgument) {
  std::mt19937_64 chance(4);
  std::uniform_real_distribution<double> any(0, 1);
  for (int i = 0; i < 2'000; ++i) {
    const double h = any(chance), d = any(chance), c0 = any(chance), r = any(chance);
    const double kappa = any(chance), more = any(chance);
    const auto gain = [](double h1, double d1, double c1, double r1, double kappa1) {
      return estimate_arm({.helps = h1, .spoils = d1}, c1, r1, kappa1).gain;
    };
    const auto up = [&](double value) { return value + more * (1 - value); };
    const double here = gain(h, d, c0, r, kappa);
    EXPECT_GE(gain(up(h), d, c0, r, kappa), here - 1e-12);
    EXPECT_LE(gain(h, up(d), c0, r, kappa), here + 1e-12);
    EXPECT_LE(gain(h, d, up(c0), r, kappa), here + 1e-12);
    EXPECT_GE(gain(h, d, c0, up(r), kappa), here - 1e-12);
    EXPECT_LT(gain(h, d, c0, r, kappa + more + 1e-6), here);
  }
}

TEST(Retrieval, DefaultsLookUpWhatIsFoundWellAndNotKnown) {
  const RetrievalModel model;
  const auto passages = [&](double c0, const SearchProbe& probe) {
    return choose_passages(model, quiet_rules(), c0, probe, kPrices, 0.5).passages;
  };
  EXPECT_GT(passages(0.3, kGood), 0);
  EXPECT_EQ(passages(0.995, kGood), 0) << "the expert knows";
  EXPECT_EQ(passages(0.5, kPoor), 0) << "nothing worth showing";
  EXPECT_EQ(passages(0.1, {}), 0) << "nothing found";
}

TEST(Retrieval, ModesPricesAndWhatWasFoundDecideTheArm) {
  RetrievalModel model;
  RetrievalRules rules = quiet_rules();
  rules.mode = RetrievalMode::never;
  EXPECT_EQ(choose_passages(model, rules, 0, kGood, kPrices, 0).passages, 0);
  rules.mode = RetrievalMode::always;
  EXPECT_EQ(choose_passages(model, rules, 1, kPoor, kPrices, 0).passages, 5);
  EXPECT_EQ(choose_passages(model, rules, 1, {.found = 1}, kPrices, 0).passages, 1);
  EXPECT_EQ(choose_passages(model, rules, 1, {}, kPrices, 0).passages, 0);
  rules.mode = RetrievalMode::gated;
  model.arms[1] = model.arms[0];
  model.arms[1].weight[0] += 2;  // five find what one misses
  const SearchProbe middling = {.top = 0.4, .margin = 0.1, .covered = 0.5, .found = 9};
  EXPECT_EQ(choose_passages(model, rules, 0.3, middling, kPrices, 0).passages, 5);
  const RetrievalPrices dear = {{{.microusd = 50}, {.microusd = 9'000}}};
  EXPECT_EQ(choose_passages(model, rules, 0.3, middling, dear, 0).passages, 1);
  rules.latency_microusd_per_ms = 100;
  const RetrievalPrices slow = {{{.latency_ms = 100}, {.latency_ms = 100}}};
  EXPECT_EQ(choose_passages(model, rules, 0.3, middling, slow, 0).passages, 0);
}

TEST(Retrieval, AbstainsWhereEvenTheBestChoiceIsUnlikelyRight) {
  RetrievalRules rules = quiet_rules();
  rules.abstain_below = 0.4;
  const RetrievalModel model;
  EXPECT_TRUE(choose_passages(model, rules, 0.2, kPoor, kPrices, 0).abstains);
  const RetrievalChoice saved = choose_passages(model, rules, 0.2, kGood, kPrices, 0);
  EXPECT_FALSE(saved.abstains) << "passages lift it over the bar";
  EXPECT_GT(saved.p_correct, 0.4);
}

TEST(Retrieval, PropensityIsTheFrequencyOfTheChoice) {
  RetrievalRules rules;
  rules.explore = 0.3;
  const RetrievalModel model;
  std::mt19937_64 chance(5);
  std::uniform_real_distribution<double> any(0, 1);
  constexpr int kDraws = 60'000;
  std::array<int, 6> drawn{};
  std::array<double, 6> propensity{};
  for (int i = 0; i < kDraws; ++i) {
    const auto choice = choose_passages(model, rules, 0.3, kGood, kPrices, any(chance));
    const auto passages = static_cast<std::size_t>(choice.passages);
    ++drawn.at(passages);
    propensity.at(passages) = choice.propensity;
  }
  double sum = 0;
  for (const std::size_t passages : {0u, 1u, 5u}) {
    EXPECT_NEAR(drawn.at(passages) / double{kDraws}, propensity.at(passages), 0.01) << passages;
    sum += propensity.at(passages);
  }
  EXPECT_NEAR(sum, 1, 1e-12);
  EXPECT_EQ(choose_passages(model, quiet_rules(), 0.3, kGood, kPrices, 0).propensity, 1);
}

// What is not searched for must never have been shown: any probe, any chance.
TEST(Retrieval, SkippedSearchesChangeNoChoice) {
  std::mt19937_64 chance(6);
  std::uniform_real_distribution<double> any(0, 1);
  int skipped = 0;
  for (int i = 0; i < 5'000; ++i) {
    RetrievalRules rules;
    rules.explore = 0.05;
    const RetrievalModel model;
    const double c0 = any(chance), drawn = any(chance);
    const RetrievalPrices prices = {
        {{.microusd = 4'000 * any(chance)}, {.microusd = 8'000 * any(chance)}}};
    if (is_worth_searching(model, rules, c0, prices, drawn)) continue;
    ++skipped;
    const SearchProbe probe = {any(chance), any(chance), any(chance), 1 + i % 9};
    EXPECT_EQ(choose_passages(model, rules, c0, probe, prices, drawn).passages, 0);
  }
  EXPECT_GT(skipped, 200);
}

/// Rows as the log would hold them, by a model that is known.
std::vector<RetrievalRow> planted_rows(const RetrievalModel& truth, int count, bool paired,
                                       std::uint64_t seed) {
  std::mt19937_64 chance(seed);
  std::uniform_real_distribution<double> any(0, 1);
  std::vector<RetrievalRow> rows;
  for (int i = 0; i < count; ++i) {
    RetrievalRow row;
    row.c0 = any(chance);
    row.probe = {any(chance), any(chance), any(chance), 10};
    const std::size_t arm = i % 2;
    row.passages = router::kPassages.at(arm);
    const bool relevant = any(chance) < relevance(truth.arms.at(arm), row.probe);
    const bool alone = any(chance) < row.c0;
    const bool turned =
        any(chance) < (relevant ? truth.arms.at(arm).helps : truth.arms.at(arm).spoils);
    row.score = relevant ? alone || turned : alone && !turned;
    if (paired) row.c0 = alone;
    rows.push_back(row);
  }
  return rows;
}

/// Mean squared difference of the gains that two models expect.
double gain_error(const RetrievalModel& model, const RetrievalModel& truth) {
  std::mt19937_64 chance(99);
  std::uniform_real_distribution<double> any(0, 1);
  double sum = 0;
  constexpr int kPoints = 2'000;
  for (int i = 0; i < kPoints; ++i) {
    const SearchProbe probe = {any(chance), any(chance), any(chance), 10};
    const double c0 = any(chance);
    const std::size_t arm = i % 2;
    const auto gain = [&](const RetrievalModel& of) {
      return estimate_arm(of.arms.at(arm), c0, relevance(of.arms.at(arm), probe), 0).gain;
    };
    sum += std::pow(gain(model) - gain(truth), 2);
  }
  return sum / kPoints;
}

TEST(RetrievalFit, RecoversThePlantedGate) {
  RetrievalModel truth;
  truth.arms[0] = {.weight = {-3, 1, 0, 6}, .helps = 0.85, .spoils = 0.30};
  truth.arms[1] = {.weight = {-1, 1, 0, 5}, .helps = 0.75, .spoils = 0.45};
  const RetrievalModel prior;
  for (const bool paired : {false, true}) {
    const auto rows = planted_rows(truth, 6'000, paired, 11);
    const RetrievalModel model = fit_retrieval(rows, prior, {});
    EXPECT_LT(std::sqrt(gain_error(model, truth)), paired ? 0.03 : 0.05) << "paired " << paired;
    EXPECT_LT(gain_error(model, truth), gain_error(prior, truth) / 5);
    for (std::size_t arm = 0; arm < 2; ++arm) {
      EXPECT_NEAR(model.arms.at(arm).helps, truth.arms.at(arm).helps, 0.1);
      EXPECT_NEAR(model.arms.at(arm).spoils, truth.arms.at(arm).spoils, 0.1);
    }
  }
}

TEST(RetrievalFit, FewRowsMoveLittle) {
  const RetrievalModel prior;
  const RetrievalModel same = fit_retrieval({}, prior, {});
  EXPECT_EQ(same.arms[0].helps, prior.arms[0].helps);
  EXPECT_EQ(same.arms[1].weight, prior.arms[1].weight);
  const std::vector<RetrievalRow> one = {{.c0 = 0.5, .probe = kGood, .passages = 1, .score = 0}};
  const RetrievalModel moved = fit_retrieval(one, prior, {});
  EXPECT_LT(moved.arms[0].helps, prior.arms[0].helps);
  EXPECT_NEAR(moved.arms[0].helps, prior.arms[0].helps, 0.1);
  EXPECT_EQ(moved.arms[1].helps, prior.arms[1].helps) << "the other arm was not shown";
}

TEST(RetrievalFit, HostileRowsGiveFiniteNumbers) {
  std::vector<RetrievalRow> rows;
  for (int i = 0; i < 50; ++i) {
    rows.push_back({.c0 = i % 2 == 0 ? 0.0 : 1.0,
                    .probe = {1, 1, 1, 1},
                    .passages = 1,
                    .score = i % 2 == 0 ? -3.0 : 7.0});
    rows.push_back({.c0 = 9, .probe = {}, .passages = 1, .score = 1});
    rows.push_back({.c0 = 0.5, .probe = kGood, .passages = 3, .score = 1});
  }
  const RetrievalModel model = fit_retrieval(rows, {}, {});
  for (const double weight : model.arms[0].weight) EXPECT_TRUE(std::isfinite(weight));
  EXPECT_GT(model.arms[0].helps, 0);
  EXPECT_LT(model.arms[0].helps, 1);
}

}  // namespace
