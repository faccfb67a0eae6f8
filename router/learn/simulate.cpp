#include "router/learn/simulate.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "router/decide.h"
#include "router/splitmix.h"
#include "store/reader.h"

namespace router {
namespace {

constexpr double kLevel = 0.95;
constexpr double kNormal95 = 1.959964;
constexpr std::size_t kMovesShown = 50;

bool is_learned(const Policy& policy) {
  return !policy.empty() && !policy.declared;
}

/// The z that a standard normal stays within with this probability.
double z_of(double level) {
  double low = 0, high = 10;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (std::erf(middle / std::sqrt(2.0)) < level ? low : high) = middle;
  }
  return low;
}

Interval interval_of_mean(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  if (values.empty()) return {};
  double sum = 0, squares = 0;
  for (const double value : values) sum += value, squares += value * value;
  const double mean = sum / n;
  const double reach = kNormal95 * std::sqrt(std::max(0.0, squares / n - mean * mean) / n);
  return {mean, mean - reach, mean + reach};
}

/// Decides queries under one setting.
class Side {
 public:
  explicit Side(const Setting& setting) : setting_(setting) {
    for (std::size_t e = 0; e < setting.policy->experts.size(); ++e)
      column_.emplace(setting.policy->experts[e].name, e);
  }

  bool learned() const { return is_learned(*setting_.policy); }

  bool has_pool(const std::string& name) const { return setting_.pools.contains(name); }

  const Competence& competence() const { return competence_; }

  /// The skill that the query needs most; empty when nothing was learned.
  std::string skill() const {
    if (!learned() || competence_.skills.empty()) return "";
    const auto& shares = competence_.skills;
    const auto top = std::max_element(shares.begin(), shares.end()) - shares.begin();
    return setting_.policy->skills[static_cast<std::size_t>(top)];
  }

  /// How likely an expert is right, as this side's policy sees it; nullopt: it does not know it.
  std::optional<double> p_of(const std::string& expert) const {
    const auto found = column_.find(expert);
    if (!learned() || found == column_.end()) return std::nullopt;
    return competence_.p[found->second];
  }

  /// The estimate for a query: from the words, or from what the memory holds.
  void read(const TrafficRow& row, const Features& features) {
    const Policy& policy = *setting_.policy;
    if (row.row >= 0) {
      remember(policy, static_cast<std::size_t>(row.row));
    } else if (!policy.empty()) {
      estimate(policy, features, competence_);
    }
  }

  /// Who would be asked first, and for how much; empty: nobody can be.
  std::string choose(const Query& query, const Features& features, double& cost_usd) {
    cost_usd = 0;
    const auto pool = setting_.pools.find(query.pool);
    if (pool == setting_.pools.end()) return "";
    router::choose(query, features, *setting_.policy, pool->second, competence_, route_);
    if (route_.eligible() == 0) return "";
    const Candidate& first = route_.candidates.front();
    cost_usd = 1e-6 * static_cast<double>(first.cost_microusd);
    return pool->second.experts[first.expert].name;
  }

 private:
  void remember(const Policy& policy, std::size_t row) {
    const std::size_t experts = policy.experts.size();
    competence_.p.resize(experts);
    competence_.cost_usd.resize(experts);
    competence_.support.assign(experts, 0);
    for (std::size_t e = 0; e < experts; ++e) {
      competence_.p[e] =
          static_cast<float>(policy.memory.predicted[row * experts + e]) / kPredictedSteps;
      competence_.cost_usd[e] = policy.experts[e].cost_usd;
    }
    competence_.skill_term = competence_.word_term = competence_.p;
    competence_.skills.clear();
    competence_.with_vector = !policy.dense.empty();
  }

  const Setting& setting_;
  std::map<std::string, std::size_t, std::less<>> column_;
  Competence competence_;
  Route route_;
};

/// What both policies say of an expert, on average; 0 when neither knows it.
double judge(const Side& before, const Side& after, const std::string& expert) {
  const auto one = before.p_of(expert), two = after.p_of(expert);
  if (one && two) return (*one + *two) / 2;
  return one ? *one : two.value_or(0);
}

/// Sums over the replayed queries.
struct Tally {
  std::map<std::string, std::pair<double, double>> asked;
  std::map<std::pair<std::string, std::string>, double> moves;
  std::map<std::string, std::vector<double>> skill_gains;
  std::vector<double> score_before, score_after, gains, cost_before, cost_after, cost_changes;
};

void count(const Side& before, const Side& after, const std::string& from, const std::string& to,
           Tally& tally) {
  ++tally.asked[from].first;
  ++tally.asked[to].second;
  if (from != to) ++tally.moves[{from, to}];
  const double old_score = judge(before, after, from), new_score = judge(before, after, to);
  tally.score_before.push_back(old_score);
  tally.score_after.push_back(new_score);
  tally.gains.push_back(new_score - old_score);
  const std::string skill = before.learned() ? before.skill() : after.skill();
  if (!skill.empty()) tally.skill_gains[skill].push_back(new_score - old_score);
}

/// Expected time of a call, the same in every pool; 0: not known.
double latency_s(const Setting& setting, const std::string& expert) {
  for (const auto& [name, pool] : setting.pools) {
    for (const PoolExpert& member : pool.experts)
      if (member.name == expert) return static_cast<double>(member.latency_ms) / 1000;
  }
  return 0;
}

void tell_experts(const Setting& before, const Setting& after, const Tally& tally,
                  Simulation& out) {
  std::set<std::string> names;
  for (const auto* setting : {&before, &after})
    for (const auto& [pool, view] : setting->pools)
      for (const PoolExpert& expert : view.experts)
        if (expert.member) names.insert(expert.name);
  for (const auto& name : names) {
    const auto found = tally.asked.find(name);
    const auto [old_count, new_count] =
        found == tally.asked.end() ? std::pair(0.0, 0.0) : found->second;
    const auto n = static_cast<double>(std::max<std::size_t>(1, out.queries));
    SimulatedExpert expert;
    expert.name = name;
    expert.before = share_interval(old_count / n, out.queries, names.size());
    expert.after = share_interval(new_count / n, out.queries, names.size());
    expert.load_before = out.per_s * expert.before.mean * latency_s(before, name);
    expert.load_after =
        out.per_s * expert.after.mean * std::max(latency_s(before, name), latency_s(after, name));
    out.experts.push_back(std::move(expert));
  }
}

void tell_moves(const Tally& tally, Simulation& out) {
  const auto n = static_cast<double>(std::max<std::size_t>(1, out.queries));
  for (const auto& [way, count] : tally.moves) {
    out.moved += count / n;
    out.moves.push_back({way.first, way.second, count / n});
  }
  std::stable_sort(out.moves.begin(), out.moves.end(),
                   [](const auto& a, const auto& b) { return a.share > b.share; });
}

void tell_skills(const Tally& tally, Simulation& out) {
  for (const auto& [skill, gains] : tally.skill_gains)
    out.skills.push_back({skill, gains.size(), interval_of_mean(gains)});
  std::stable_sort(out.skills.begin(), out.skills.end(),
                   [](const auto& a, const auto& b) { return a.gain.mean < b.gain.mean; });
}

}  // namespace

Interval share_interval(double share, std::size_t rows, std::size_t experts) {
  if (rows == 0) return {0, 0, 1};
  const double n = static_cast<double>(rows) / 2;
  const double z = z_of(1 - (1 - kLevel) / static_cast<double>(std::max<std::size_t>(1, experts)));
  const double middle = (share + z * z / (2 * n)) / (1 + z * z / n);
  const double reach =
      z * std::sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n);
  return {share, std::max(0.0, middle - reach), std::min(1.0, middle + reach)};
}

Traffic read_traffic(const std::string& log, const std::function<void(Query&)>& read_model) {
  Traffic traffic;
  if (!std::filesystem::exists(log)) return traffic;
  store::Reader reader(log);
  store::DecisionFilter filter;
  filter.limit = store::kPageRowsMax;
  std::int64_t newest = 0, oldest = 0;
  for (std::size_t seen = 0; seen < kTrafficScan && traffic.rows.size() < kTrafficMax;) {
    const store::DecisionPage page = reader.decisions(filter);
    for (const store::Stored& stored : page.rows) {
      const store::Decision& row = stored.row;
      if (row.text.empty() || traffic.rows.size() >= kTrafficMax) continue;
      Query query;
      query.model = row.model;
      read_model(query);
      query.pool = row.pool;
      if (row.pool.empty()) query.expert = row.model;
      query.text = row.text;
      query.seed = row.seed;
      const auto bytes = static_cast<std::int64_t>(row.text.size());
      query.needs.tokens_in_estimate = std::max(row.prompt_tokens, bytes / 4);  // as the edge does
      newest = std::max(newest, row.unix_us);
      oldest = oldest == 0 ? row.unix_us : std::min(oldest, row.unix_us);
      traffic.rows.push_back({std::move(query), -1});
    }
    seen += page.rows.size();
    if (page.next.empty()) break;
    filter.before = page.next;
  }
  if (traffic.rows.size() < kTrafficMin) return {};
  traffic.source = "log";
  const double span_s = 1e-6 * static_cast<double>(newest - oldest);
  if (span_s > 0) traffic.per_s = static_cast<double>(traffic.rows.size()) / span_s;
  return traffic;
}

Traffic recall_traffic(const Policy& policy, const std::string& pool) {
  Traffic traffic;
  const std::size_t rows = policy.memory.rows;
  if (rows == 0) return traffic;
  traffic.source = "memory";
  const std::size_t step = (rows + kTrafficMax - 1) / kTrafficMax;
  for (std::size_t row = 0; row < rows; row += step) {
    Query query;
    query.pool = pool;
    query.seed = row;
    traffic.rows.push_back({std::move(query), static_cast<std::int64_t>(row)});
  }
  return traffic;
}

Simulation simulate(const Setting& before, const Setting& after, const Traffic& traffic) {
  Side old_side(before), new_side(after);
  Simulation out;
  Tally tally;
  Extractor extractor;
  Features features;
  for (const TrafficRow& row : traffic.rows) {
    const Query& query = row.query;
    if (row.row >= 0 && before.policy != after.policy) break;  // each remembers rows of its own
    if (!query.expert.empty()) {
      ++out.named;
      out.named_lost +=
          before.experts.contains(query.expert) && !after.experts.contains(query.expert);
      continue;
    }
    if (!old_side.has_pool(query.pool)) continue;  // it went before this change
    out.pool_lost += !new_side.has_pool(query.pool);
    if (row.row < 0) {
      extractor.extract(query.text, features);
    } else {
      std::uint64_t state = static_cast<std::uint64_t>(row.row);
      features.hash = splitmix(state);  // its words are not known, but they were its own
    }
    old_side.read(row, features);
    new_side.read(row, features);
    double old_cost = 0, new_cost = 0;
    const std::string from = old_side.choose(query, features, old_cost);
    const std::string to = new_side.choose(query, features, new_cost);
    ++out.queries;
    count(old_side, new_side, from, to, tally);
    tally.cost_before.push_back(old_cost);
    tally.cost_after.push_back(new_cost);
    tally.cost_changes.push_back(new_cost - old_cost);
  }
  out.source = out.queries == 0 && out.named == 0 ? "none" : traffic.source;
  out.per_s = traffic.per_s;
  tell_experts(before, after, tally, out);
  tell_moves(tally, out);
  if (old_side.learned() && new_side.learned() && out.queries > 0) {
    out.score_before = interval_of_mean(tally.score_before);
    out.score_after = interval_of_mean(tally.score_after);
    out.gain = interval_of_mean(tally.gains);
    tell_skills(tally, out);
  }
  out.cost_before = interval_of_mean(tally.cost_before);
  out.cost_after = interval_of_mean(tally.cost_after);
  out.cost_change = interval_of_mean(tally.cost_changes);
  return out;
}

std::string to_json(const Simulation& simulation) {
  using SortedJson = nlohmann::json;
  const auto interval = [](const Interval& of) { return SortedJson{of.mean, of.lo, of.hi}; };
  const auto maybe = [&](const std::optional<Interval>& of) {
    return of ? interval(*of) : SortedJson();
  };
  const auto name = [](const std::string& of) {
    return of.empty() ? SortedJson() : SortedJson(of);
  };
  SortedJson experts = SortedJson::array(), moves = SortedJson::array(),
             skills = SortedJson::array();
  for (const auto& expert : simulation.experts)
    experts.push_back({{"expert", expert.name},
                       {"share_before", interval(expert.before)},
                       {"share_after", interval(expert.after)},
                       {"load_before", expert.load_before},
                       {"load_after", expert.load_after}});
  for (const auto& move : simulation.moves)
    if (moves.size() < kMovesShown)
      moves.push_back({{"from", name(move.from)}, {"to", name(move.to)}, {"share", move.share}});
  for (const auto& skill : simulation.skills)
    skills.push_back({{"skill", skill.skill},
                      {"queries", skill.rows},
                      {"gain", interval(skill.gain)},
                      {"loses", skill.gain.hi < 0}});
  return SortedJson{{"source", simulation.source},
                    {"queries", simulation.queries},
                    {"queries_per_s", simulation.per_s},
                    {"named", simulation.named},
                    {"named_lost", simulation.named_lost},
                    {"pool_lost", simulation.pool_lost},
                    {"experts", std::move(experts)},
                    {"score_before", maybe(simulation.score_before)},
                    {"score_after", maybe(simulation.score_after)},
                    {"gain", maybe(simulation.gain)},
                    {"cost_usd_before", interval(simulation.cost_before)},
                    {"cost_usd_after", interval(simulation.cost_after)},
                    {"cost_usd_change", interval(simulation.cost_change)},
                    {"moved", simulation.moved},
                    {"moves", std::move(moves)},
                    {"skills", std::move(skills)}}
      .dump();
}

}  // namespace router
