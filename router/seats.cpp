#include "router/seats.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace router {

using aggregator::AnswerType;
using aggregator::Mode;

static_assert(Panels::kTypes == aggregator::kAnswerTypes);

namespace {

/// Learned weights are of panels that the best expert led or could have led; they mislead where it
/// is not in the pool (README.md, "Panels").
bool has_best(const Policy& policy, const PoolView& pool) {
  const auto best = std::max_element(
      policy.experts.begin(), policy.experts.end(),
      [](const PolicyExpert& a, const PolicyExpert& b) { return a.mean < b.mean; });
  return std::any_of(pool.experts.begin(), pool.experts.end(), [&](const PoolExpert& expert) {
    return expert.member && expert.policy_expert == best - policy.experts.begin();
  });
}

}  // namespace

Mode mode_of(const Policy& policy, const Route& route, AnswerType type,
             std::optional<Mode> wanted) {
  static const aggregator::ModeTable usual;
  if (wanted) return *wanted;
  const Panels& panels = policy.panels;
  if (panels.rows > 0 && !route.skills.empty() && type != AnswerType::free_text) {
    const std::size_t cell =
        route.skills.front().skill * Panels::kTypes + static_cast<std::size_t>(type);
    if (cell < panels.mode.size()) return static_cast<Mode>(panels.mode[cell]);
  }
  return usual.by_type[static_cast<std::size_t>(type)];
}

std::uint32_t seats_of(const Route& route, Mode mode) {
  return mode == Mode::single ? std::min(route.k, 1U) : route.k;
}

double weigh_vote(const Panels& panels, std::size_t experts, std::uint32_t expert, double p_correct,
                  std::span<const SkillShare> skills) {
  const double p = std::clamp(p_correct, 0.01, 0.99);
  double weight =
      panels.slope * std::log(p / (1 - p)) + panels.weight[panels.weight.size() - experts + expert];
  for (const SkillShare& skill : skills)
    weight += skill.share * panels.weight[skill.skill * experts + expert];
  return weight;
}

double weigh_choice(const Panels& panels, const ChoiceTraits& traits) {
  double log_odds = 0;
  for (std::size_t t = 0; t < panels.choice.size(); ++t)
    log_odds += panels.choice[t] * traits.at(t);
  return log_odds;
}

aggregator::BallotRules rules_of(double decide_at) {
  constexpr double kRestCounts = 0.85;
  aggregator::BallotRules rules;
  rules.correlation = 0;
  rules.decide_at = decide_at;
  if (decide_at <= 1) rules.rest_counts = kRestCounts;
  rules.weight_max = 8;
  return rules;
}

aggregator::Plan plan_panel(const Policy& policy, const PoolView& pool, const Route& route,
                            std::uint32_t seats, Mode mode, aggregator::Question question,
                            std::span<const ChoiceTraits> choices) {
  aggregator::Plan plan;
  plan.mode = mode;
  if (policy.empty() && plan.mode == Mode::weighted) plan.mode = Mode::plurality;
  plan.question = std::move(question);
  const bool weighs = plan.mode == Mode::weighted || plan.mode == Mode::corrected;
  const bool learned = policy.panels.rows > 0 && weighs && has_best(policy, pool);
  if (learned) {
    plan.ballot = rules_of(policy.panels.decide_at);
    for (const ChoiceTraits& traits : choices)
      plan.priors.push_back(
          {plan.question.options[plan.priors.size()].label, weigh_choice(policy.panels, traits)});
  }
  for (std::uint32_t seat = 0; seat < seats; ++seat) {
    const Candidate& candidate = route.candidates[seat];
    const auto expert = pool.experts[candidate.expert].policy_expert;
    const bool known = !policy.empty() && expert >= 0;
    plan.competence.push_back(known ? candidate.p_correct : 0.5);
    if (!learned) continue;
    plan.weights.push_back(known ? weigh_vote(policy.panels, policy.experts.size(),
                                              static_cast<std::uint32_t>(expert),
                                              candidate.p_correct, route.skills)
                                 : std::numeric_limits<double>::quiet_NaN());
  }
  return plan;
}

}  // namespace router
