// A placement for people and for programs.
#include <cmath>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <ostream>

#include "router/learn/placement_plan.h"

namespace router {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const PlacementReport& report, const PlacementRow& row) {
  const Placement& placement = row.placement;
  Json json = {{"feasible", placement.feasible}};
  if (!placement.feasible) {
    json["obstacle"] = placement.obstacle;
    return json;
  }
  json["peak"] = placement.peak;
  json["waits"] = placement.waits;
  if (row.name == "planned") {
    json["objective"] = placement.objective;
    json["bound"] = placement.bound;
    json["proven"] = placement.proven;
    json["steps"] = placement.steps;
  }
  for (std::size_t e = 0; e < placement.node_of.size(); ++e)
    json["node_of"][report.traffic.experts[e]] = report.problem.nodes[placement.node_of[e]].name;
  json["seconds"] = {{"mean", row.trial->mean}, {"p50", row.trial->p50}, {"p99", row.trial->p99}};
  for (std::size_t n = 0; n < report.problem.nodes.size(); ++n)
    json["busy"][report.problem.nodes[n].name] = row.trial->busy[n];
  return json;
}

void print_nodes(const PlacementReport& report, const PlacementRow& planned, std::ostream& out) {
  const PlacementProblem& problem = report.problem;
  for (std::size_t n = 0; n < problem.nodes.size(); ++n) {
    double work = 0, memory = 0;
    std::string names;
    for (std::size_t e = 0; e < problem.work.size(); ++e) {
      if (planned.placement.node_of[e] != n) continue;
      work += problem.work[e];
      memory += problem.memory[e];
      names += (names.empty() ? "" : ", ") + report.traffic.experts[e];
    }
    out << "  " << std::left << std::setw(16) << problem.nodes[n].name << std::right << std::fixed
        << std::setprecision(1) << std::setw(7) << 100 * work << "%";
    if (std::isfinite(problem.nodes[n].memory))
      out << "  " << memory << " of " << problem.nodes[n].memory;
    out << "  " << (names.empty() ? "nothing" : names) << "\n";
  }
}

}  // namespace

std::string to_json(const PlacementReport& report) {
  Json json = {{"queries", report.traffic.queries.size()}, {"left_out", report.traffic.left_out}};
  for (std::size_t e = 0; e < report.traffic.experts.size(); ++e)
    json["work"][report.traffic.experts[e]] = report.problem.work[e];
  for (const PlacementRow& row : report.rows) json["placements"][row.name] = json_of(report, row);
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

void print(const PlacementReport& report, std::ostream& out) {
  const PlacementRow& planned = report.rows.front();
  out << report.traffic.queries.size() << " queries, " << report.traffic.experts.size()
      << " experts, " << report.problem.nodes.size() << " nodes";
  if (report.traffic.left_out > 0) out << "; " << report.traffic.left_out << " left out";
  out << "\n\n";
  if (!planned.placement.feasible) {
    out << "not possible: " << planned.placement.obstacle << "\n";
    return;
  }
  out << "  node               work  its experts\n";
  print_nodes(report, planned, out);
  const double gap = planned.placement.objective - planned.placement.bound;
  out << "\n"
      << (planned.placement.proven ? std::string("proven to be the best")
                                   : "at most " + std::to_string(100 * gap) +
                                         " points of all work from the best (the search's limit)")
      << "\n\n";
  out << "  placement      peak node  waits inside a node     mean      p50      p99\n";
  for (const PlacementRow& row : report.rows) {
    out << "  " << std::left << std::setw(12) << row.name << std::right << std::fixed;
    if (!row.placement.feasible) {
      out << "  " << row.placement.obstacle << "\n";
      continue;
    }
    out << std::setprecision(1) << std::setw(11) << 100 * row.placement.peak << "%" << std::setw(20)
        << 100 * row.placement.waits << "%" << std::setprecision(2) << std::setw(9)
        << row.trial->mean << std::setw(9) << row.trial->p50 << std::setw(9) << row.trial->p99
        << "\n";
  }
  out << "\npeak, waits: shares of all work; mean, p50, p99: simulated seconds to the last reply\n";
}

}  // namespace router
