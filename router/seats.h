// Who sits on a panel and how much each vote counts: a Route becomes the plan of an Aggregation.
// Pure; the corridor, the evaluator and the learner plan by the same functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "aggregator/aggregate.h"
#include "router/policy.h"
#include "router/pool_view.h"
#include "router/route.h"

namespace router {

/// How many experts may be asked: the route's k, or one where training found that a panel does not
/// pay for this skill and type of answer.
std::uint32_t seats_of(const Policy& policy, const Route& route, aggregator::AnswerType type);

/// The learned weight of one expert's vote. `expert`: index into policy.experts.
double weigh_vote(const Panels& panels, std::size_t experts, std::uint32_t expert, double p_correct,
                  std::span<const SkillShare> skills);

/// How votes with learned weights are counted: no correlation on top of them.
aggregator::BallotRules rules_of(double decide_at);

/// The plan for the first `seats` candidates of the route. Without a policy heads count.
aggregator::Plan plan_panel(const Policy& policy, const PoolView& pool, const Route& route,
                            std::uint32_t seats, aggregator::Question question);

}  // namespace router
