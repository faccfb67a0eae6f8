// The map: which experts are resident, and which of them serves which skill, solved exactly under
// budgets of memory, count and spend (Composition of Experts, arXiv 2412.01868, there a
// mixed-integer program; here branch and bound over the experts with a knapsack at its leaves).
//
//   max  sum_s share_s * value(map(s), s)
//   s.t. map(s) resident and not forbidden for s;  memory of the residents <= memory_max, a base
//        that several of them share counted once;  residents <= count_max;
//        sum_s share_s * cost(map(s), s) <= spend_max;  pinned experts resident, disabled ones not.
//
// Pure and deterministic: the same problem gives the same solution, unless a limit ends the search.
// Values, costs and memory may be in any unit; the functions never mix them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "router/learn/spend.h"

namespace router {

inline constexpr std::uint32_t kNobody = std::numeric_limits<std::uint32_t>::max();
inline constexpr double kUnlimited = std::numeric_limits<double>::infinity();

struct MapExpert {
  double memory = 0;             // its own, without its base
  std::uint32_t base = kNobody;  // index into MapProblem::base_memory
  bool pinned = false;
  bool disabled = false;
};

struct MapPair {
  std::uint32_t expert = 0;
  std::uint32_t skill = 0;
};

struct MapProblem {
  std::vector<MapExpert> experts;
  std::vector<double> base_memory;  // weights that several experts share, counted once
  std::vector<double> share;        // [skills] traffic share, >= 0; need not sum to 1
  std::vector<double> value;        // [experts, skills] row-major
  std::vector<double> cost;         // [experts, skills] row-major, >= 0; empty: everything is free
  std::vector<MapPair> forbidden;   // this expert never serves this skill
  double memory_max = kUnlimited;
  double spend_max = kUnlimited;
  std::uint32_t count_max = kNobody;
};

/// What ends a search before the proof; the solution then says how far off it may be.
struct MapLimits {
  std::uint64_t nodes_max = 5'000'000;    // deterministic
  std::size_t spend_points_max = 20'000;  // partial maps kept at once in the knapsack
  std::function<bool()> expired = {};     // asked every 64 nodes; empty: never
};

struct MapSolution {
  bool feasible = false;
  std::string obstacle;  // when not feasible: what cannot hold, in an operator's words
  std::vector<std::uint32_t> residents;  // ascending; pinned ones and those that serve a skill
  std::vector<std::uint32_t> expert_of;  // [skills]
  double objective = 0;
  double bound = 0;     // nothing feasible is better
  bool proven = false;  // bound == objective up to rounding
  double memory = 0;
  double spend = 0;
  std::uint64_t nodes = 0;
};

/// Throws std::runtime_error that names everything wrong with the problem (sizes, negative numbers,
/// an index out of range, an expert pinned and disabled). Infeasible is an outcome, not an error.
MapSolution solve_map(const MapProblem& problem, const MapLimits& limits = {});

/// What each expert and each budget is worth at a solution; indexed by expert.
struct MapSensitivity {
  std::vector<double> loss_now;  // a resident fails and the others stay; infinite: a skill is lost
  std::vector<double> loss_resolved;  // a resident is removed and the map is solved again
  std::vector<double> entry_gain;     // a non-resident is added beyond memory and count
  double memory_price = 0;            // objective at memory_max + memory_step, minus objective
  double count_price = 0;             // objective at count_max + 1, minus objective
  double spend_price = 0;             // value per unit of spend at the budget, residents fixed
};

/// Solves the map about twice per expert; `solution` is feasible and of this problem.
MapSensitivity explain_map(const MapProblem& problem, const MapSolution& solution,
                           double memory_step, const MapLimits& limits = {});

/// The ways to serve each skill with these residents, in the order of `residents` without the pairs
/// that are forbidden, weighted by share: what spend_frontier() takes. `expert_of[s][i]` is the
/// expert of option i.
struct ResidentMenu {
  SpendMenu menu;
  std::vector<std::vector<std::uint32_t>> expert_of;
};

ResidentMenu menu_of(const MapProblem& problem, std::span<const std::uint32_t> residents);

/// Best objective for every memory that matters, most memory first: each next point has strictly
/// less of both. Ends after `points_max` points or when no map is feasible.
std::vector<MapSolution> memory_frontier(const MapProblem& problem, std::size_t points_max,
                                         const MapLimits& limits = {});

/// How the map holds up under the uncertainty of its values.
struct MapStability {
  std::vector<double> resident_share;  // [experts] share of the draws in which it is resident
  double better_share = 0;  // share of the draws in which the candidate beats the running
                            // residents by more than the margin
  double gain_mean = 0;     // candidate minus running, over the draws
  bool worth_switching = false;
};

struct SwitchRule {
  double margin = 0.003;  // of the objective: 0.3 points where values are probabilities
  double better_share = 0.8;
  std::uint32_t draws = 100;
  std::uint64_t seed = 1;
};

/// Draws values from normal(value, sd), `sd` [experts, skills], and solves each draw. `running` are
/// the residents now in service, `candidate` those that would replace them. An infeasible draw of
/// the running residents (one of them is disabled now) counts as beaten.
MapStability test_switch(const MapProblem& problem, std::span<const double> sd,
                         std::span<const std::uint32_t> candidate,
                         std::span<const std::uint32_t> running, const SwitchRule& rule,
                         const MapLimits& limits = {});

}  // namespace router
