#include "router/learn/policy_map.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "router/competence.h"
#include "router/learn/sizes.h"
#include "router/learn/table.h"

namespace router {
namespace {

constexpr std::uint32_t kDraws = 100;

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

std::uint32_t index_of(const PolicyMap& map, const std::string& name, const char* option) {
  const auto found = std::find(map.experts.begin(), map.experts.end(), name);
  if (found == map.experts.end())
    throw std::runtime_error(std::string(option) + ": " + name +
                             " is not among the experts: " + joined(map.experts));
  return static_cast<std::uint32_t>(found - map.experts.begin());
}

/// Columns of the policy that the map has, in the policy's order.
std::vector<std::size_t> choose_columns(const Policy& policy, const PolicyMapOptions& options) {
  std::vector<std::size_t> columns;
  std::vector<std::string> has;
  for (std::size_t e = 0; e < policy.experts.size(); ++e) {
    const std::string& name = policy.experts[e].name;
    has.push_back(name);
    if (options.experts.empty() ||
        std::find(options.experts.begin(), options.experts.end(), name) != options.experts.end())
      columns.push_back(e);
  }
  for (const std::string& name : options.experts) {
    if (std::find(has.begin(), has.end(), name) == has.end())
      throw std::runtime_error("--experts: " + name + " is not in the policy, which has " +
                               joined(has));
  }
  return columns;
}

/// The mean of the skills that the policy reads in these files' texts.
std::vector<double> read_traffic(const Policy& policy, const std::vector<std::string>& files) {
  TableOptions reading;
  reading.files = files;
  const Table table = read_table(reading);
  std::vector<double> share(policy.skills.size() - 1, 0);
  Competence competence;
  for (const Features& features : table.features) {
    estimate(policy, features, competence);
    for (std::size_t s = 0; s < share.size(); ++s) share[s] += competence.skills[s];
  }
  return share;
}

/// Outcomes per skill, as far as the policy counts them.
std::vector<double> training_traffic(const Policy& policy) {
  std::vector<double> share(policy.skills.size() - 1, 0);
  for (std::size_t s = 0; s < share.size(); ++s) {
    for (std::size_t e = 0; e < policy.experts.size(); ++e)
      share[s] += policy.support[s * policy.experts.size() + e];
  }
  return share;
}

void normalise(std::vector<double>& share) {
  double sum = 0;
  for (const double s : share) sum += s;
  for (double& s : share) s = sum > 0 ? s / sum : 1 / static_cast<double>(share.size());
}

void set_budgets(const PolicyMapOptions& options, PolicyMap& map) {
  if (options.memory_max && !map.sized)
    throw std::runtime_error("--memory needs the experts' sizes: --sizes FILE");
  if (options.spend_max && !map.priced)
    throw std::runtime_error(
        "--spend needs costs, and the policy was trained on outcomes without them");
  if (options.memory_max) map.problem.memory_max = *options.memory_max;
  if (options.spend_max) map.problem.spend_max = *options.spend_max;
  if (options.count_max) map.problem.count_max = *options.count_max;
  for (const std::string& name : options.pinned)
    map.problem.experts[index_of(map, name, "--pin")].pinned = true;
  for (const std::string& name : options.disabled)
    map.problem.experts[index_of(map, name, "--disable")].disabled = true;
}

FrontierPoint point_of(const MapSolution& solution) {
  return {solution.objective, solution.spend,     solution.memory,
          solution.residents, solution.expert_of, false};
}

/// At most `most` of them, the first and the last among them, evenly between.
template <typename T>
std::vector<T> thin(std::vector<T> points, std::size_t most) {
  if (points.size() <= most || most < 2) return points;
  std::vector<T> kept;
  for (std::size_t i = 0; i < most; ++i)
    kept.push_back(std::move(points[i * (points.size() - 1) / (most - 1)]));
  return kept;
}

}  // namespace

PolicyMap make_policy_map(const Policy& policy, const PolicyMapOptions& options) {
  if (policy.skills.size() < 2)
    throw std::runtime_error(
        "this policy knows no skills (its training rows named none), so there is nothing to map");
  PolicyMap map;
  const std::vector<std::size_t> columns = choose_columns(policy, options);
  map.skills.assign(policy.skills.begin(), policy.skills.end() - 1);
  map.problem.share =
      options.traffic.empty() ? training_traffic(policy) : read_traffic(policy, options.traffic);
  normalise(map.problem.share);
  map.priced = true;
  for (const std::size_t e : columns) {
    map.experts.push_back(policy.experts[e].name);
    map.problem.experts.emplace_back();
    map.priced = map.priced && policy.experts[e].cost_usd >= 0;
    for (std::size_t s = 0; s < map.skills.size(); ++s) {
      const double rate = policy.profile[s * policy.experts.size() + e];
      const double outcomes = policy.support[s * policy.experts.size() + e];
      map.problem.value.push_back(rate);
      map.problem.cost.push_back(std::max(0.F, policy.skill_cost[s * policy.experts.size() + e]));
      map.sd.push_back(std::sqrt(rate * (1 - rate) / (outcomes + 1)));
    }
  }
  if (!map.priced) map.problem.cost.clear();
  if (!options.sizes.empty()) {
    const std::vector<double> sizes = read_sizes(options.sizes, map.experts);
    for (std::size_t e = 0; e < sizes.size(); ++e) map.problem.experts[e].memory = sizes[e];
    map.sized = true;
  }
  set_budgets(options, map);
  return map;
}

PolicyMapReport solve_policy_map(const Policy& policy, const PolicyMapOptions& options) {
  const auto progress = [&](const char* stage, double done) {
    if (options.progress) options.progress(stage, done);
  };
  PolicyMapReport report;
  progress("read", 0);
  report.map = make_policy_map(policy, options);
  const MapProblem& problem = report.map.problem;
  const std::size_t skills = report.map.skills.size();
  report.best_single_value = -1;
  for (std::size_t e = 0; e < report.map.experts.size(); ++e) {
    double value = 0;
    for (std::size_t s = 0; s < skills; ++s)
      value += problem.share[s] * problem.value[e * skills + s];
    if (value > report.best_single_value)
      report.best_single_value = value, report.best_single = report.map.experts[e];
  }
  progress("solve", 0.1);
  report.solution = solve_map(problem);
  if (report.solution.feasible) {
    progress("shadow prices", 0.2);
    const double step = options.memory_step > 0 ? options.memory_step
                        : options.memory_max    ? *options.memory_max / 10
                                                : 1;
    report.sensitivity = explain_map(problem, report.solution, step);
    progress("posterior draws", 0.5);
    SwitchRule rule;
    rule.draws = kDraws;
    rule.seed = options.seed + 1;
    report.stability = test_switch(problem, report.map.sd, report.solution.residents,
                                   report.solution.residents, rule);
    if (!options.running.empty()) {
      std::vector<std::uint32_t> running;
      for (const std::string& name : options.running)
        running.push_back(index_of(report.map, name, "--running"));
      std::sort(running.begin(), running.end());
      report.switching =
          test_switch(problem, report.map.sd, report.solution.residents, running, rule);
    }
  }
  progress("done", 1);
  return report;
}

PolicyFrontier find_frontier(const Policy& policy, const PolicyMapOptions& options,
                             const std::string& axis, std::size_t points_max) {
  PolicyFrontier out;
  out.map = make_policy_map(policy, options);
  out.axis = !axis.empty() ? axis : out.map.priced ? "spend" : "memory";
  if (out.axis == "spend" && !out.map.priced)
    throw std::runtime_error(
        "--axis spend needs costs, and the policy was trained on outcomes without them");
  if (out.axis == "memory" && !out.map.sized)
    throw std::runtime_error("the frontier needs a price: " +
                             std::string(out.map.priced ? "" : "the outcomes have no costs; ") +
                             "--sizes FILE for memory");
  if (out.axis == "memory") {
    std::vector<FrontierPoint> points;
    for (const MapSolution& solution : memory_frontier(out.map.problem, points_max))
      points.push_back(point_of(solution));
    std::reverse(points.begin(), points.end());
    out.points = std::move(points);
    return out;
  }
  // The residents are those of the best map without a price; each point is one way to use them.
  MapProblem free = out.map.problem;
  free.spend_max = kUnlimited;
  std::vector<std::uint32_t> residents;
  if (free.memory_max == kUnlimited && free.count_max == kNobody) {
    for (std::uint32_t e = 0; e < free.experts.size(); ++e)
      if (!free.experts[e].disabled) residents.push_back(e);
  } else {
    const MapSolution solution = solve_map(free);
    if (!solution.feasible) throw std::runtime_error("no map is possible: " + solution.obstacle);
    residents = solution.residents;
  }
  const ResidentMenu menu = menu_of(out.map.problem, residents);
  SpendFrontier frontier = spend_frontier(menu.menu, MapLimits{}.spend_points_max);
  out.gap = frontier.gap;
  for (const SpendPoint& point : thin(std::move(frontier.points), points_max)) {
    FrontierPoint made;
    made.value = point.value, made.spend = point.spend, made.hull = point.hull;
    for (std::size_t s = 0; s < point.choice.size(); ++s)
      made.expert_of.push_back(menu.expert_of[s][point.choice[s]]);
    made.residents = made.expert_of;
    std::sort(made.residents.begin(), made.residents.end());
    made.residents.erase(std::unique(made.residents.begin(), made.residents.end()),
                         made.residents.end());
    for (const std::uint32_t e : made.residents) made.memory += out.map.problem.experts[e].memory;
    out.points.push_back(std::move(made));
  }
  return out;
}

}  // namespace router
