// A policy's skills and experts as a map problem (router/learn/map.h), and what its solution says:
// which experts to keep under budgets of memory, count and spend, and which of them serves what.
//
// Values are the policy's shrunken success rates per skill, spends its mean costs per query in usd,
// memory is in the unit of the sizes file. Traffic is the share of each skill: of the training
// rows, or of the texts of outcome files, by the policy's own reading of them.
#pragma once

#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "router/learn/map.h"
#include "router/policy.h"

namespace router {

struct PolicyMapOptions {
  std::vector<std::string> experts;  // only these; empty: all of the policy
  std::vector<std::string> traffic;  // outcome files for the shares; empty: the training rows
  std::string sizes;                 // JSON file {"EXPERT": memory, ...}; empty: no memory
  std::optional<double> memory_max, spend_max;  // spend: usd per query, mean
  std::optional<std::uint32_t> count_max;
  std::vector<std::string> pinned, disabled;
  std::vector<std::string> running;  // the residents now, to say whether a switch is worth it
  double memory_step = 0;            // of the shadow price; 0: a tenth of memory_max
  std::uint64_t seed = 0;            // of the posterior draws
  std::function<void(const std::string& stage, double done)> progress;
};

struct PolicyMap {
  std::vector<std::string> experts, skills;  // of the problem; `general` is not a skill
  MapProblem problem;
  std::vector<double> sd;  // [experts, skills] of the values
  bool priced = false, sized = false;
};

/// Throws std::runtime_error that names the option and what would be right: an expert that the
/// policy does not have, a budget without its figures, sizes that do not parse or are missing.
PolicyMap make_policy_map(const Policy& policy, const PolicyMapOptions& options);

struct PolicyMapReport {
  PolicyMap map;
  MapSolution solution;
  MapSensitivity sensitivity;             // empty when there is no solution
  MapStability stability;                 // over posterior draws
  std::optional<MapStability> switching;  // against `running`
  std::string best_single;                // the best expert for all skills at this traffic
  double best_single_value = 0;
};

PolicyMapReport solve_policy_map(const Policy& policy, const PolicyMapOptions& options);

struct FrontierPoint {
  double value = 0, spend = 0, memory = 0;
  std::vector<std::uint32_t> residents, expert_of;  // indices into PolicyMap::experts
  bool hull = false;                                // some fixed price reaches it (spend only)
};

struct PolicyFrontier {
  PolicyMap map;
  std::string axis;  // spend or memory
  std::vector<FrontierPoint> points;
  double gap = 0;  // the true frontier may be better by this
};

/// Value against spend with the residents that the budgets allow, or against memory. `axis`:
/// "spend", "memory", or empty for the one whose figures are there. At most `points_max` points,
/// evenly over the axis.
PolicyFrontier find_frontier(const Policy& policy, const PolicyMapOptions& options,
                             const std::string& axis, std::size_t points_max);

std::string to_json(const PolicyMapReport& report);
/// With each expert alone, for comparison.
std::string to_json(const PolicyFrontier& frontier);
void print(const PolicyMapReport& report, std::ostream& out);
void print(const PolicyFrontier& frontier, std::ostream& out);

}  // namespace router
