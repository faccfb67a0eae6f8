// Who sits on a panel and how much each vote counts: a Route becomes the plan of an Aggregation.
// Pure; the corridor, the evaluator and the learner plan by the same functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "aggregator/aggregate.h"
#include "router/choices.h"
#include "router/policy.h"
#include "router/pool_view.h"
#include "router/route.h"

namespace router {

/// How the answers of several experts become one: as `wanted`, where somebody said so; as training
/// measured it for the route's first skill and this type of answer (Mode::single: one expert is
/// enough); else as is usual for the type.
aggregator::Mode mode_of(const Policy& policy, const Route& route, aggregator::AnswerType type,
                         std::optional<aggregator::Mode> wanted);

/// How many experts may be asked in that mode: the route's k, or one.
std::uint32_t seats_of(const Route& route, aggregator::Mode mode);

/// The learned weight of one expert's vote. `expert`: index into policy.experts.
double weigh_vote(const Panels& panels, std::size_t experts, std::uint32_t expert, double p_correct,
                  std::span<const SkillShare> skills);

/// What the wording of an option says for it, in log-odds.
double weigh_choice(const Panels& panels, const ChoiceTraits& traits);

/// How votes with learned weights are counted: no correlation on top of them.
aggregator::BallotRules rules_of(double decide_at);

/// The plan for the first `seats` candidates of the route. Without a policy heads count where votes
/// would be weighed. `choices`: describe_choices() of the question.
aggregator::Plan plan_panel(const Policy& policy, const PoolView& pool, const Route& route,
                            std::uint32_t seats, aggregator::Mode mode,
                            aggregator::Question question, std::span<const ChoiceTraits> choices);

}  // namespace router
