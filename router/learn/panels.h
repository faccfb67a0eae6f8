// Learns how votes count together, and where a panel earns its cost, from recorded answers.
//
// A panel's answer is a choice among those that were given and "another one": a conditional logit
// whose score of an answer is the sum of its supporters' weights (Panels in router/policy.h says
// what a weight is made of). Fitted jointly, so an expert that repeats what others say weighs less
// beside them; by skill, because who is to be believed against whom depends on it. The options of
// a multiple-choice question are all in the choice, given or not, each with the traits of its
// wording (router/choices.h), so votes and wording learn to make up for each other. Penalised
// maximum likelihood by Newton steps with conjugate gradients; deterministic.
//
// Everything about cost is decided on predictions that held their row out: `predicted` must be
// held out, and the weights are fitted again without each fold.
#pragma once

#include <vector>

#include "router/learn/table.h"
#include "router/learn/votes.h"
#include "router/policy.h"

namespace router {

struct PanelSettings {
  std::size_t seats = 3;       // of the panels that are learned from
  std::size_t seats_wide = 5;  // and of wider ones beside them
  double part_count = 0.25;    // what a panel of half of the experts counts
  std::size_t rows_min = 200;  // rows with answers; with fewer, log-odds count
  double prior_weight = 1.5;   // what an expert that was never on a panel weighs
  double prior_slope = 0.5;
  double penalty = 1;         // of a weight's distance from the prior
  double penalty_skill = 10;  // of a weight's part by skill
  double penalty_trait = 2;   // of what an option's wording says
  int newton_steps = 8;
  int gradient_steps = 25;         // conjugate ones, per Newton step
  double accuracy_given = 2e-3;    // that stopping early may cost at most
  double gain_min = 0.002;         // a panel must be able to gain that much on a skill
  std::size_t cell_rows_min = 50;  // of a skill, before it may rule panels out
};

/// `predicted` [rows, experts]: held-out p_correct; `skills` [rows, skills]: held-out shares;
/// `fold` [rows]. `skill_count` counts the policy's `general` too. Panels::rows is 0 when the rows
/// have too few answers to learn from.
Panels fit_panels(const Votes& votes, const Matrix& predicted, const Matrix& skills,
                  const std::vector<int>& fold, std::size_t skill_count,
                  const PanelSettings& settings = {});

}  // namespace router
