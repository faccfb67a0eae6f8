// The map of a policy for people and for programs.
#include <cmath>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <numeric>
#include <ostream>

#include "router/learn/policy_map.h"

namespace router {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kGainPrinted = 5e-5;  // half of the last digit
constexpr double kSharePrinted = 0.005;

/// JSON has no infinity: an expert that alone serves a skill.
Json finite_or_word(double value) {
  return std::isfinite(value) ? Json(value) : Json("infinite");
}

Json names(const PolicyMap& map, const std::vector<std::uint32_t>& experts) {
  Json out = Json::array();
  for (const std::uint32_t e : experts) out.push_back(map.experts[e]);
  return out;
}

Json assigned(const PolicyMap& map, const std::vector<std::uint32_t>& expert_of) {
  Json out = Json::object();
  for (std::size_t s = 0; s < expert_of.size(); ++s) out[map.skills[s]] = map.experts[expert_of[s]];
  return out;
}

std::string text_of(const Json& json) {
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

bool is_resident(const MapSolution& solution, std::uint32_t expert) {
  return std::find(solution.residents.begin(), solution.residents.end(), expert) !=
         solution.residents.end();
}

void print_gain(std::ostream& out, double value) {
  if (std::isfinite(value))
    out << std::setw(12) << std::fixed << std::setprecision(2) << 100 * value;
  else
    out << std::setw(12) << "all of it";
}

}  // namespace

std::string to_json(const PolicyMapReport& report) {
  const MapSolution& solution = report.solution;
  Json out = {{"feasible", solution.feasible},
              {"obstacle", solution.obstacle},
              {"best_single", report.best_single},
              {"best_single_value", report.best_single_value}};
  for (std::size_t s = 0; s < report.map.skills.size(); ++s)
    out["traffic"][report.map.skills[s]] = report.map.problem.share[s];
  if (!solution.feasible) return text_of(out);
  out["objective"] = solution.objective;
  out["bound"] = solution.bound;
  out["proven"] = solution.proven;
  out["memory"] = solution.memory;
  out["spend"] = report.map.priced ? Json(solution.spend) : Json();
  out["residents"] = names(report.map, solution.residents);
  out["map"] = assigned(report.map, solution.expert_of);
  const MapSensitivity& worth = report.sensitivity;
  for (std::uint32_t e = 0; e < report.map.experts.size(); ++e) {
    Json& expert = out["experts"][report.map.experts[e]];
    const bool resident = is_resident(solution, e);
    expert["resident"] = resident;
    if (resident) {
      expert["loss_now"] = finite_or_word(worth.loss_now[e]);
      expert["loss_resolved"] = finite_or_word(worth.loss_resolved[e]);
    } else {
      expert["entry_gain"] = finite_or_word(worth.entry_gain[e]);
    }
    expert["resident_in_draws"] = report.stability.resident_share[e];
  }
  out["shadow_prices"] = {
      {"memory", worth.memory_price}, {"count", worth.count_price}, {"spend", worth.spend_price}};
  if (report.switching)
    out["switch"] = {{"worth_it", report.switching->worth_switching},
                     {"better_in_draws", report.switching->better_share},
                     {"gain_mean", report.switching->gain_mean}};
  return text_of(out);
}

std::string to_json(const PolicyFrontier& frontier) {
  Json out = {{"axis", frontier.axis}, {"gap", frontier.gap}, {"points", Json::array()}};
  for (const FrontierPoint& point : frontier.points) {
    out["points"].push_back({{"value", point.value},
                             {"spend", frontier.map.priced ? Json(point.spend) : Json()},
                             {"memory", frontier.map.sized ? Json(point.memory) : Json()},
                             {"hull", point.hull},
                             {"residents", names(frontier.map, point.residents)},
                             {"map", assigned(frontier.map, point.expert_of)}});
  }
  const MapProblem& problem = frontier.map.problem;
  const std::size_t skills = frontier.map.skills.size();
  for (std::size_t s = 0; s < skills; ++s)
    out["traffic"][frontier.map.skills[s]] = problem.share[s];
  for (std::size_t e = 0; e < frontier.map.experts.size(); ++e) {
    const auto mean = [&](const std::vector<double>& figures) {
      return std::inner_product(problem.share.begin(), problem.share.end(),
                                figures.begin() + static_cast<std::ptrdiff_t>(e * skills), 0.0);
    };
    out["experts"].push_back({{"name", frontier.map.experts[e]},
                              {"value", mean(problem.value)},
                              {"spend", frontier.map.priced ? Json(mean(problem.cost)) : Json()}});
  }
  return text_of(out);
}

void print(const PolicyMapReport& report, std::ostream& out) {
  const PolicyMap& map = report.map;
  const MapSolution& solution = report.solution;
  if (!solution.feasible) {
    out << "no map is possible: " << solution.obstacle << "\n";
    return;
  }
  out << std::fixed << std::setprecision(2) << "value " << 100 * solution.objective << "%"
      << (solution.proven ? " (proven best)" : " (bound ");
  if (!solution.proven) out << 100 * solution.bound << "%)";
  out << "; best single " << report.best_single << " " << 100 * report.best_single_value << "%";
  if (map.priced) out << "; spend " << std::setprecision(6) << solution.spend << " usd a query";
  if (map.sized) out << "; memory " << std::setprecision(1) << solution.memory;
  out << "\n\nskill                               traffic  expert\n";
  for (std::size_t s = 0; s < map.skills.size(); ++s) {
    const std::uint32_t e = solution.expert_of[s];
    out << "  " << std::left << std::setw(34) << map.skills[s] << std::right << std::setw(6)
        << std::setprecision(1) << 100 * map.problem.share[s] << "%  " << map.experts[e] << "  "
        << 100 * map.problem.value[e * map.skills.size() + s] << "%\n";
  }
  out << "\npoints of value                     lost if it  lost if it   gained if   resident in\n"
         "                                      fails now  is removed   it enters   posterior "
         "draws\n";
  std::size_t idle = 0;
  for (std::uint32_t e = 0; e < map.experts.size(); ++e) {
    if (!is_resident(solution, e) && report.sensitivity.entry_gain[e] < kGainPrinted &&
        report.stability.resident_share[e] < kSharePrinted) {
      ++idle;
      continue;
    }
    out << "  " << std::left << std::setw(34) << map.experts[e] << std::right;
    if (is_resident(solution, e)) {
      print_gain(out, report.sensitivity.loss_now[e]);
      print_gain(out, report.sensitivity.loss_resolved[e]);
      out << std::setw(12) << "-";
    } else {
      out << std::setw(12) << "-" << std::setw(12) << "-";
      print_gain(out, report.sensitivity.entry_gain[e]);
    }
    out << std::setw(13) << std::setprecision(0) << 100 * report.stability.resident_share[e]
        << "%\n";
  }
  if (idle > 0) out << "  " << idle << " others would gain nothing and are resident in no draw\n";
  out << std::setprecision(3) << "\nshadow prices, points of value:";
  if (map.problem.count_max != kNobody)
    out << " one expert more " << 100 * report.sensitivity.count_price << ";";
  if (map.problem.memory_max != kUnlimited)
    out << " a step of memory more " << 100 * report.sensitivity.memory_price << ";";
  if (map.problem.spend_max != kUnlimited)
    out << " 0.001 usd a query more " << 0.1 * report.sensitivity.spend_price << ";";
  if (map.problem.count_max == kNobody && map.problem.memory_max == kUnlimited &&
      map.problem.spend_max == kUnlimited)
    out << " no budget is set";
  out << "\n";
  if (!report.switching) return;
  out << "switching from the running experts: " << std::setprecision(2)
      << 100 * report.switching->gain_mean << " points on average, clearly better in "
      << std::setprecision(0) << 100 * report.switching->better_share
      << "% of the draws: " << (report.switching->worth_switching ? "worth it" : "not worth it")
      << "\n";
}

void print(const PolicyFrontier& frontier, std::ostream& out) {
  const bool spend = frontier.axis == "spend";
  out << (spend ? "   usd a query" : "        memory") << "     value  experts\n" << std::fixed;
  for (const FrontierPoint& point : frontier.points) {
    out << std::setw(14) << std::setprecision(spend ? 6 : 1) << (spend ? point.spend : point.memory)
        << std::setw(9) << std::setprecision(2) << 100 * point.value << "%"
        << (point.hull ? " *" : "  ");
    for (std::size_t i = 0; i < point.residents.size(); ++i)
      out << (i ? ", " : "") << frontier.map.experts[point.residents[i]];
    out << "\n";
  }
  if (spend) out << "* on the convex hull: some fixed price leads there\n";
  if (frontier.gap > 0)
    out << "thinned: no point of the true frontier is better than these by more than "
        << std::setprecision(4) << 100 * frontier.gap << " points\n";
}

}  // namespace router
