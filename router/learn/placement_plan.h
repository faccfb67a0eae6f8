// `skillyard plan placement`: the work of each expert, and who is asked together, from the
// service's log or from the choices of `skillyard evaluate --picks`; the placement; and how the
// same queries would have gone on it and on others.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "router/learn/placement.h"

namespace router {

struct PlacementOptions {
  std::string log;                        // the service's database, or
  std::string picks;                      // a file that evaluate --picks wrote
  int k = 1;                              // of the picks: the k best estimates are asked together
  std::vector<std::string> nodes;         // NAME[=MEMORY[,SPEED]]
  std::string sizes;                      // as of policy_map.h; empty: memory is not looked at
  std::vector<std::string> experts = {};  // only these; empty: all that were asked
  double apart = 1;
  int slots = 4;             // calls that a node runs at a time
  double utilisation = 0.7;  // of all nodes together, in the simulation
  std::int64_t since_us = 0;
  std::uint64_t seed = 0;       // of the arrivals of picks
  std::uint64_t steps_max = 0;  // as of solve_placement()
  std::function<void(const std::string& stage, double done)> progress;
};

/// What was asked, in the order of arrival; seconds as logged, or 1 each.
struct PlacementTraffic {
  std::vector<std::string> experts;
  std::vector<PlacedQuery> queries;
  std::size_t left_out = 0;  // decisions without a call that says how long it took
};

/// A placement and how the queries go on it.
struct PlacementRow {
  std::string name;
  Placement placement;
  std::optional<PlacementTrial> trial;  // none where it is not feasible
};

struct PlacementReport {
  PlacementTraffic traffic;
  PlacementProblem problem;        // work and together as shares of all work
  std::vector<PlacementRow> rows;  // planned, balanced (apart = 0), in_turn
};

/// Throws std::runtime_error: a node, a file or a size that is wrong, or nothing was asked.
PlacementReport plan_placement(const PlacementOptions& options);

/// Of traffic alone: the problem without its nodes and memory. Work is scaled to sum to 1.
PlacementProblem problem_of(const PlacementTraffic& traffic);

PlacementNode read_node(const std::string& text);

std::string to_json(const PlacementReport& report);
void print(const PlacementReport& report, std::ostream& out);

}  // namespace router
