// What one way of routing did on every judged row: the raw material of a row of the report.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "router/learn/trial.h"

namespace router {

/// Plays are compared row by row. A play that draws blindly holds expected scores and costs.
struct Play {
  std::string name;
  std::vector<double> score;     // [rows]
  std::vector<double> cost_usd;  // [rows]; empty: the rows have no costs
  std::vector<double> calls;     // [rows] experts asked; empty: one
  std::vector<double> flip;  // [rows] of a panel: another answer than the first expert's, 0 or 1
  std::vector<double> flip_gain;      // [rows] what that brought, 0 where it kept the answer
  std::vector<std::uint32_t> expert;  // [rows] who answered; empty: a mix, or several at once
  std::map<std::string, double> shares;
  std::vector<CostPoint> curve;  // cost-quality points; empty: none
  std::vector<double>
      preference;  // [rows] of the strong expert of the pair; empty: it has no order
};

Play play_choices(std::string name, const Trial& trial, std::vector<std::uint32_t> expert);

/// weight[r] over the experts of row r; sums to 1 (less: the rest of the queries gets no answer).
Play play_mix(std::string name, const Trial& trial, const std::vector<std::vector<double>>& weight);

/// Mean score and cost of every expert alone, over the rows where it has an outcome.
std::vector<CostPoint> singles(const Trial& trial);

std::uint32_t best_of(const std::vector<CostPoint>& single);
std::uint32_t cheapest_of(const std::vector<CostPoint>& single);

Play play_policy(const Trial& trial);
Play play_random(const Trial& trial);  // any expert that has an outcome, in expectation
Play play_oracle(const Trial& trial);  // the best outcome of every row; of equals the cheapest

/// Without routing, at the cost of `policy`: the mix of single experts on their hull. Where nothing
/// has a price: the policy's own shares, drawn without looking at the query.
Play play_fixed_mix(const Trial& trial, const std::vector<CostPoint>& single, const Play& policy);

double mean_of(const std::vector<double>& values);

}  // namespace router
