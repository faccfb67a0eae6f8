#include "router/retrieval.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace router {
namespace {

double kappa_of(const RetrievalRules& rules, const RetrievalPrice& price) {
  const double cost = price.microusd + rules.latency_microusd_per_ms * price.latency_ms;
  return cost / std::max(rules.value_microusd, 1e-9);
}

/// The passages of an arm can be shown: more were found than a smaller arm shows.
bool is_open(std::size_t arm, const SearchProbe& probe) {
  return probe.found > (arm == 0 ? 0 : kPassages[arm - 1]);
}

/// Index of the arm by mode and gain; -1: none.
int best_arm(const RetrievalRules& rules, const SearchProbe& probe, const RetrievalChoice& choice) {
  int best = -1;
  double gain = 0;
  for (std::size_t arm = 0; arm < kPassages.size(); ++arm) {
    if (rules.mode == RetrievalMode::never || !is_open(arm, probe)) continue;
    if (rules.mode == RetrievalMode::always || choice.arms[arm].gain > gain) {
      best = static_cast<int>(arm);
      gain = choice.arms[arm].gain;
    }
  }
  return best;
}

/// Draws evenly among the open arms and none, in the explored share of choices.
int explore(const RetrievalRules& rules, const SearchProbe& probe, int best, double chance,
            RetrievalChoice& choice) {
  int open = 0;
  while (open < std::ssize(kPassages) && is_open(static_cast<std::size_t>(open), probe)) ++open;
  const double share = rules.mode == RetrievalMode::gated ? std::clamp(rules.explore, 0.0, 1.0) : 0;
  const double even = share / (open + 1);
  int arm = best;
  if (chance < share) {
    arm = std::min(static_cast<int>(chance / even), open) - 1;
    choice.explored = arm != best;
  }
  choice.propensity = even + (arm == best ? 1 - share : 0);
  return arm;
}

}  // namespace

ProbeFeatures features_of(const SearchProbe& probe) {
  return {1, probe.top, probe.margin, probe.covered};
}

double relevance(const RetrievalArm& arm, const SearchProbe& probe) {
  if (probe.found == 0) return 0;
  const ProbeFeatures features = features_of(probe);
  double sum = 0;
  for (std::size_t i = 0; i < features.size(); ++i) sum += arm.weight[i] * features[i];
  return 1 / (1 + std::exp(-sum));
}

ArmEstimate estimate_arm(const RetrievalArm& arm, double c0, double r, double kappa) {
  ArmEstimate estimate{.r = r, .kappa = kappa};
  const double up = r * arm.helps;
  const double down = (1 - r) * arm.spoils;
  estimate.gain = up * (1 - c0) - down * c0 - kappa;
  constexpr double kFar = std::numeric_limits<double>::infinity();
  const double surplus = up - kappa;
  estimate.threshold = up + down > 0 ? surplus / (up + down) : surplus > 0 ? kFar : -kFar;
  return estimate;
}

bool is_worth_searching(const RetrievalModel& model, const RetrievalRules& rules, double c0,
                        const RetrievalPrices& prices, double chance) {
  if (rules.mode != RetrievalMode::gated) return rules.mode == RetrievalMode::always;
  if (chance < rules.explore) return true;
  const double alone = std::clamp(c0, 0.0, 1.0);
  for (std::size_t i = 0; i < kPassages.size(); ++i) {
    const double kappa = kappa_of(rules, prices[i]);
    if (estimate_arm(model.arms[i], alone, 1, kappa).gain > 0) return true;
  }
  return false;
}

RetrievalChoice choose_passages(const RetrievalModel& model, const RetrievalRules& rules, double c0,
                                const SearchProbe& probe, const RetrievalPrices& prices,
                                double chance) {
  RetrievalChoice choice;
  choice.c0 = std::clamp(c0, 0.0, 1.0);
  for (std::size_t i = 0; i < kPassages.size(); ++i) {
    const double r = relevance(model.arms[i], probe);
    choice.arms[i] = estimate_arm(model.arms[i], choice.c0, r, kappa_of(rules, prices[i]));
  }
  const auto p_correct = [&](int arm) {
    if (arm < 0) return choice.c0;
    const ArmEstimate& estimate = choice.arms[static_cast<std::size_t>(arm)];
    return choice.c0 + estimate.gain + estimate.kappa;
  };
  const int best = best_arm(rules, probe, choice);
  choice.p_correct = p_correct(best);
  choice.abstains = choice.p_correct < rules.abstain_below;
  if (choice.abstains) return choice;
  const int arm = explore(rules, probe, best, chance, choice);
  choice.p_correct = p_correct(arm);
  choice.passages = arm < 0 ? 0 : kPassages[static_cast<std::size_t>(arm)];
  return choice;
}

}  // namespace router
