#include "router/learn/placement_plan.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>

#include "router/learn/log_rows.h"
#include "router/learn/sizes.h"

namespace router {
namespace {

constexpr std::size_t kLineBytesMax = 1 << 20;
constexpr std::size_t kQueriesMax = kLogDecisionsMax;
constexpr std::size_t kExpertsMax = 512;  // pairs are kept
constexpr std::size_t kNodesMax = 256;

/// Names to indices, in order of appearance.
class Names {
 public:
  Names(const std::vector<std::string>& only, std::vector<std::string>& names)
      : only_(only), names_(names) {}

  /// Nothing for one that is left out.
  std::optional<std::uint32_t> find(const std::string& name) {
    if (!only_.empty() && std::find(only_.begin(), only_.end(), name) == only_.end())
      return std::nullopt;
    const auto [at, fresh] = index_.try_emplace(name, static_cast<std::uint32_t>(names_.size()));
    if (fresh && names_.size() == kExpertsMax)
      throw std::runtime_error("plan placement: more than " + std::to_string(kExpertsMax) +
                               " experts; name those that matter with --experts");
    if (fresh) names_.push_back(name);
    return at->second;
  }

 private:
  const std::vector<std::string>& only_;
  std::vector<std::string>& names_;
  std::map<std::string, std::uint32_t> index_;
};

PlacementTraffic read_log(const PlacementOptions& options) {
  PlacementTraffic traffic;
  Names names(options.experts, traffic.experts);
  store::Reader reader(options.log);
  const auto take = [&](const store::Stored& stored) {
    PlacedQuery query;
    query.at = static_cast<double>(stored.row.unix_us) / 1e6;
    for (const store::CallRow& call : stored.row.calls) {
      const double seconds = static_cast<double>(call.total_us - call.queued_us) / 1e6;
      if (call.attempts == 0 || seconds <= 0) continue;  // nobody was kept busy
      if (const auto e = names.find(call.expert)) query.calls.push_back({*e, seconds});
    }
    if (query.calls.empty()) {
      ++traffic.left_out;
    } else {
      traffic.queries.push_back(std::move(query));
    }
  };
  read_decisions(reader, options.since_us, take, [&](double done) {
    if (options.progress) options.progress("reading the log", done);
  });
  std::stable_sort(traffic.queries.begin(), traffic.queries.end(),
                   [](const PlacedQuery& a, const PlacedQuery& b) { return a.at < b.at; });
  return traffic;
}

/// The k experts with the best estimates, the chosen one first.
std::vector<std::string> asked_in(const nlohmann::json& line, int k) {
  std::vector<std::string> asked = {line.at("expert").get<std::string>()};
  if (k == 1) return asked;
  std::vector<std::pair<double, std::string>> rest;
  for (const auto& [name, p] : line.at("p").items())
    if (name != asked.front()) rest.emplace_back(-p.get<double>(), name);
  std::sort(rest.begin(), rest.end());
  for (const auto& [p, name] : rest) {
    if (static_cast<int>(asked.size()) == k) break;
    asked.push_back(name);
  }
  return asked;
}

PlacementTraffic read_picks(const PlacementOptions& options) {
  PlacementTraffic traffic;
  Names names(options.experts, traffic.experts);
  std::ifstream in(options.picks, std::ios::binary);
  if (!in) throw std::runtime_error("plan placement: cannot open " + options.picks);
  std::mt19937_64 chance(options.seed);
  std::exponential_distribution<double> gap(1);
  double now = 0;
  std::string text;
  for (std::size_t number = 1; std::getline(in, text); ++number) {
    if (text.empty()) continue;
    PlacedQuery query;
    query.at = now += gap(chance);
    try {
      if (text.size() > kLineBytesMax) throw std::runtime_error("it is too long");
      for (const std::string& name : asked_in(nlohmann::json::parse(text), options.k))
        if (const auto e = names.find(name)) query.calls.push_back({*e, 1});
    } catch (const std::exception& fault) {
      throw std::runtime_error(options.picks + ", line " + std::to_string(number) +
                               ": not a line of `skillyard evaluate --picks`: " + fault.what());
    }
    if (traffic.queries.size() == kQueriesMax) break;
    if (query.calls.empty()) {
      ++traffic.left_out;
    } else {
      traffic.queries.push_back(std::move(query));
    }
  }
  return traffic;
}

/// The same order and pattern at the rate that keeps the nodes as busy as asked.
std::vector<PlacedQuery> at_rate(const PlacementReport& report, const PlacementOptions& options) {
  std::vector<PlacedQuery> queries = report.traffic.queries;
  double work = 0, speed = 0;
  for (const PlacedQuery& query : queries)
    for (const PlacedCall& call : query.calls) work += call.seconds;
  for (const PlacementNode& node : report.problem.nodes) speed += node.speed;
  const double span = queries.back().at - queries.front().at;
  const double wanted = work / (speed * options.slots * options.utilisation);
  const double scale = span > 0 ? wanted / span : 0;
  const double first = queries.front().at;
  for (PlacedQuery& query : queries) query.at = (query.at - first) * scale;
  return queries;
}

double number_of(std::string_view text, const std::string& node) {
  double value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size() || !(value > 0) || std::isinf(value))
    throw std::runtime_error("--node " + node + ": NAME[=MEMORY[,SPEED]], numbers above 0");
  return value;
}

std::vector<PlacementNode> read_nodes(const PlacementOptions& options) {
  std::vector<PlacementNode> nodes;
  for (const std::string& text : options.nodes) {
    nodes.push_back(read_node(text));
    const std::string& name = nodes.back().name;
    const auto same = std::count_if(nodes.begin(), nodes.end(),
                                    [&](const PlacementNode& n) { return n.name == name; });
    if (same > 1) throw std::runtime_error("--node: " + name + " is there twice");
    if (std::isfinite(nodes.back().memory) && options.sizes.empty())
      throw std::runtime_error("--node " + text + " needs the experts' sizes: --sizes FILE");
  }
  if (nodes.empty() || nodes.size() > kNodesMax)
    throw std::runtime_error("plan placement needs 1 to " + std::to_string(kNodesMax) +
                             " nodes: --node NAME[=MEMORY[,SPEED]]");
  return nodes;
}

}  // namespace

PlacementNode read_node(const std::string& text) {
  PlacementNode node;
  const std::size_t sign = text.find('=');
  node.name = text.substr(0, sign);
  if (node.name.empty()) throw std::runtime_error("--node " + text + ": it has no name");
  if (sign == std::string::npos) return node;
  const std::string_view rest = std::string_view(text).substr(sign + 1);
  const std::size_t comma = rest.find(',');
  node.memory = number_of(rest.substr(0, comma), text);
  if (comma != std::string_view::npos) node.speed = number_of(rest.substr(comma + 1), text);
  return node;
}

PlacementProblem problem_of(const PlacementTraffic& traffic) {
  const std::size_t experts = traffic.experts.size();
  PlacementProblem problem;
  problem.work.assign(experts, 0);
  problem.memory.assign(experts, 0);
  problem.together.assign(experts * experts, 0);
  double all = 0;
  for (const PlacedQuery& query : traffic.queries) {
    for (std::size_t i = 0; i < query.calls.size(); ++i) {
      const PlacedCall& a = query.calls[i];
      problem.work[a.expert] += a.seconds;
      all += a.seconds;
      for (std::size_t j = i + 1; j < query.calls.size(); ++j) {
        const PlacedCall& b = query.calls[j];
        if (a.expert == b.expert) continue;
        const double waits = std::min(a.seconds, b.seconds);
        problem.together[a.expert * experts + b.expert] += waits;
        problem.together[b.expert * experts + a.expert] += waits;
      }
    }
  }
  if (all <= 0) return problem;
  for (double& work : problem.work) work /= all;
  for (double& together : problem.together) together /= all;
  return problem;
}

PlacementReport plan_placement(const PlacementOptions& options) {
  const std::vector<PlacementNode> nodes = read_nodes(options);
  if (options.log.empty() == options.picks.empty())
    throw std::runtime_error("plan placement needs --log DATABASE or --picks FILE");
  PlacementReport report;
  report.traffic = options.picks.empty() ? read_log(options) : read_picks(options);
  if (report.traffic.queries.empty())
    throw std::runtime_error("plan placement: nobody was asked in " +
                             (options.picks.empty() ? options.log : options.picks));
  report.problem = problem_of(report.traffic);
  report.problem.nodes = nodes;
  report.problem.apart = options.apart;
  if (!options.sizes.empty())
    report.problem.memory = read_sizes(options.sizes, report.traffic.experts);
  PlacementProblem balanced = report.problem;
  balanced.apart = 0;
  report.rows.push_back({"planned", solve_placement(report.problem, options.steps_max), {}});
  report.rows.push_back({"balanced", solve_placement(balanced, options.steps_max), {}});
  report.rows.push_back({"in_turn", place_in_turn(report.problem), {}});
  const std::vector<PlacedQuery> queries = at_rate(report, options);
  for (PlacementRow& row : report.rows) {
    if (!row.placement.feasible) continue;
    row.trial = play_placement(report.problem, row.placement.node_of, queries, options.slots);
  }
  return report;
}

}  // namespace router
