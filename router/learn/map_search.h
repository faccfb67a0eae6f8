// Branch and bound over the residents: the inside of solve_map(). Not a door.
//
// The value of a resident set is monotone and submodular (each skill takes its best resident), so
// three bounds hold at every node, each also at any price of spend (Lagrangian):
//   a  every skill takes the best of residents and open experts, budgets forgotten;
//   b  plus the largest single gains, as many as the count still allows;
//   c  plus a fractional knapsack of single gains over the memory that is left.
// A skill that nobody serves counts a floor so low that any map that serves one skill more wins.
#pragma once

#include <cstdint>
#include <vector>

#include "router/learn/map.h"

namespace router {

class MapSearch {
 public:
  MapSearch(const MapProblem& problem, const MapLimits& limits);

  /// Call once.
  MapSolution solve();

 private:
  struct Node {
    std::vector<std::uint32_t> residents;
    std::vector<std::uint32_t> open;   // may still enter
    std::vector<double> best;          // [skills] worth of the best resident, or the floor
    std::vector<std::uint32_t> bases;  // residents per base
    double memory_left = 0;
    double price = 0;  // of spend, where the last bound was tightest
  };

  struct Bound {
    double value = 0;
    double spend = 0;                // of bound (a)'s map, tells which way the price should move
    std::uint32_t branch = kNobody;  // the open expert with the largest gain
  };

  const double* worth_of(std::uint32_t expert) const { return &worth_[expert * skills_]; }

  const double* price_of(std::uint32_t expert) const { return &price_[expert * skills_]; }

  double size_in(const Node& node, std::uint32_t expert) const;
  void enter(Node& node, std::uint32_t expert) const;
  void drop_hopeless(Node& node) const;
  Bound bound_free(const Node& node);
  Bound bound_at(const Node& node, double price);
  Bound tightest_bound(Node& node);
  double limited_gain(const Node& node) const;
  void take(const std::vector<std::uint32_t>& residents);
  void take_with_spend(const std::vector<std::uint32_t>& residents);
  void warm_start(const Node& root, bool by_size);
  void visit(Node node, bool fresh);
  bool stop();
  MapSolution finish() const;

  const MapProblem& problem_;
  const MapLimits& limits_;
  std::size_t skills_;
  bool priced_;                // a spend budget is set
  std::vector<double> worth_;  // [experts, skills] share * value, the floor where forbidden
  std::vector<double> price_;  // [experts, skills] share * cost, 0 where forbidden
  std::vector<double> floor_;  // [skills]
  double tolerance_ = 0;
  double price_scale_ = 1;  // first positive price of spend that is tried

  double best_ = 0;  // of the incumbent, floors included
  std::vector<std::uint32_t> expert_of_;
  double open_bound_ = 0;  // largest bound of what a limit left unexplored
  std::uint64_t nodes_ = 0;
  bool stopped_ = false;

  // Scratch of the bounds, sized once.
  std::vector<double> gains_;  // parallel to Node::open
  std::vector<double> current_, most_, priced_row_, most_spend_;
};

}  // namespace router
