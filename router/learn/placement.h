// Which experts run on which machine, for people with an inference server per node: the nodes'
// work balanced, and experts that are asked together kept apart, since the members of a panel wait
// for each other on a node. The setting of MoETuner (arXiv 2502.06643), there an integer program
// for the experts inside one model, which it puts together because tokens travel between GPUs;
// replies of whole models do not. Branch and bound; start: greedy, then moves and swaps.
//
//   min  peak + apart * waits
//        peak:  the largest work(node) / speed(node)
//        waits: sum over pairs of experts on one node of together / speed(node)
//   s.t. memory of a node's experts <= its memory; every expert on one node
//
// Pure and deterministic. Work, together and speed may be in any unit that fits together.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace router {

struct PlacementNode {
  std::string name;
  double memory = std::numeric_limits<double>::infinity();
  double speed = 1;
};

struct PlacementProblem {
  std::vector<PlacementNode> nodes;
  std::vector<double> work;      // [experts] of all its calls, >= 0
  std::vector<double> memory;    // [experts] >= 0
  std::vector<double> together;  // [experts, experts] symmetric, >= 0: work of calls to the one
                                 // that would wait for a call to the other; the diagonal is unread
  double apart = 1;
};

struct Placement {
  bool feasible = false;
  std::string obstacle{};                // when not feasible, in an operator's words
  std::vector<std::uint32_t> node_of{};  // [experts]
  double peak = 0, waits = 0;
  double objective = 0;
  double bound = 0;     // nothing feasible is better
  bool proven = false;  // bound == objective up to rounding
  std::uint64_t steps = 0;
};

/// `steps_max`: partial placements that the search weighs at most; 0: as many as take seconds.
/// Throws std::runtime_error when sizes or numbers of the problem are wrong.
Placement solve_placement(const PlacementProblem& problem, std::uint64_t steps_max = 0);

/// Figures of a given placement. `feasible` says whether its memory holds.
Placement judge_placement(const PlacementProblem& problem, std::vector<std::uint32_t> node_of);

/// What people do by hand: the next expert in order goes to the next node that has room for it.
Placement place_in_turn(const PlacementProblem& problem);

struct PlacedCall {
  std::uint32_t expert = 0;
  double seconds = 0;  // on a node of speed 1
};

struct PlacedQuery {
  double at = 0;  // seconds
  std::vector<PlacedCall> calls;
};

struct PlacementTrial {
  double mean = 0, p50 = 0, p99 = 0;  // seconds from a query's arrival to its last reply
  std::vector<double> busy;           // [nodes] share of the time between first arrival and end
};

/// Plays the queries, which are ordered by `at`: a node runs `slots` calls at a time, first come
/// first served.
PlacementTrial play_placement(const PlacementProblem& problem,
                              std::span<const std::uint32_t> node_of,
                              std::span<const PlacedQuery> queries, int slots);

}  // namespace router
