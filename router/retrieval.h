// The retrieval gate: whether an expert is shown passages with a question, and how many. Pure.
//
// The idea is ExpertRAG's (arXiv 2504.08744), a theoretical paper; the formula is ours. With c0 the
// calibrated probability that the chosen expert is right alone, r that the passages hold what it
// needs, h that they then turn a wrong answer right, d that other passages turn a right one wrong,
// and kappa the price of showing them in units of a right answer's value:
//
//     gain = r (1 - c0) h - (1 - r) c0 d - kappa         shown when gain > 0, that is when
//     c0   < (r h - kappa) / (r h + (1 - r) d)
//
// One and five passages are judged each by itself (more find more, cost more, and spoil more); the
// larger gain is taken, or none. r is a logistic function of what a cheap search by words says.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace router {

/// What a search says about what it found (store::Found has the numbers).
struct SearchProbe {
  double top = 0;      // BM25 of the best passage over the most that the query can reach, 0..1
  double margin = 0;   // (best - second) / best; 1 when there is only one
  double covered = 0;  // share of the query's weight that the best passage holds, 0..1
  int found = 0;       // passages; 0: nothing can be shown
};

inline constexpr std::array kPassages = {1, 5};  // the arms beside none
using ProbeFeatures = std::array<double, 4>;     // 1, top, margin, covered

ProbeFeatures features_of(const SearchProbe& probe);

/// What is known about showing so many passages. Probabilities.
struct RetrievalArm {
  ProbeFeatures weight{};  // r = 1 / (1 + exp(-weight . features))
  double helps = 0;        // h
  double spoils = 0;       // d
};

double relevance(const RetrievalArm& arm, const SearchProbe& probe);

/// Before anything was learned: a passage that holds nearly all words of a question is likely to
/// hold its answer, and strangers do some harm. fit_retrieval() (router/learn/retrieval_fit.h)
/// replaces these guesses.
struct RetrievalModel {
  std::array<RetrievalArm, kPassages.size()> arms = {{
      {.weight = {-4.0, 3.0, 0.5, 4.5}, .helps = 0.6, .spoils = 0.10},
      {.weight = {-3.5, 3.0, 0.0, 4.5}, .helps = 0.6, .spoils = 0.15},
  }};
};

enum class RetrievalMode : std::uint8_t { never, always /* the largest arm */, gated };

struct RetrievalRules {
  RetrievalMode mode = RetrievalMode::gated;
  double value_microusd = 10'000;      // of a right answer over a wrong one
  double latency_microusd_per_ms = 0;  // what waiting costs
  double abstain_below = 0;  // no answer where even the best choice is less likely right; 0: never
  double explore = 0.02;     // share of gated choices that are drawn evenly, to learn from
};

/// What showing an arm's passages costs, the search included.
struct RetrievalPrice {
  double microusd = 0;
  double latency_ms = 0;
};

using RetrievalPrices = std::array<RetrievalPrice, kPassages.size()>;

/// One arm's side of the decision, for the explanation.
struct ArmEstimate {
  double r = 0;
  double kappa = 0;
  double gain = 0;
  double threshold = 0;  // of c0; below it the gain is positive. Below 0: never
};

struct RetrievalChoice {
  int passages =
      0;  // 0, or an entry of kPassages; at most SearchProbe::found will be there to show
  bool abstains = false;  // nobody should be asked
  bool explored = false;  // drawn, not judged best
  double propensity = 1;  // probability of these `passages` under the rules
  double c0 = 0;
  double p_correct = 0;  // with these passages
  std::array<ArmEstimate, kPassages.size()> arms{};
};

/// One arm; kappa is in units of a right answer.
ArmEstimate estimate_arm(const RetrievalArm& arm, double c0, double r, double kappa);

/// False: no search can find a reason to show passages, so it need not be made. `chance` is the one
/// that choose_passages() will be given.
bool is_worth_searching(const RetrievalModel& model, const RetrievalRules& rules, double c0,
                        const RetrievalPrices& prices, double chance);

/// `chance` is uniform in [0, 1): the only source of randomness. c0 outside of [0, 1] is clamped.
RetrievalChoice choose_passages(const RetrievalModel& model, const RetrievalRules& rules, double c0,
                                const SearchProbe& probe, const RetrievalPrices& prices,
                                double chance);

}  // namespace router
