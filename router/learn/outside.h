// What lies outside of a policy: bounds from held-out training rows, without any example of it.
#pragma once

#include <vector>

#include "router/learn/heads.h"
#include "router/learn/settings.h"
#include "router/policy.h"

namespace router {

/// Sets the policy's unseen_max and skill_score_min so that each of them passes over
/// `settings.outside_share` of the training rows, read as if their fold had not been there. Both
/// must, for a query to be outside (router/competence.h): on the rows, few are. `policy` has its
/// masses; of few rows or without labels nothing is set, and nothing is ever outside.
void bound_outside(const Table& table, const SkillHead& head, const std::vector<int>& fold,
                   const Settings& settings, Policy& policy);

}  // namespace router
