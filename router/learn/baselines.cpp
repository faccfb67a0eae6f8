#include "router/learn/baselines.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <unordered_map>

#include "router/learn/evaluate.h"

namespace router {
namespace {

constexpr float kSkillShareMin = 0.05f;  // a skill of the query that Symbolic-MoE's rule looks up

double training_mean(const Policy& policy, const Trial& trial, std::size_t column) {
  const std::int32_t e = trial.pool.experts[column].policy_expert;
  return e < 0 ? 0 : policy.experts[static_cast<std::size_t>(e)].mean;
}

Play play_round_robin(const Trial& trial) {
  std::vector<std::uint32_t> chosen(trial.rows());
  std::size_t turn = 0;
  for (std::size_t r = 0; r < trial.rows(); ++r) {
    while (!trial.has(r, turn % trial.experts())) ++turn;
    chosen[r] = static_cast<std::uint32_t>(turn++ % trial.experts());
  }
  return play_choices("round_robin", trial, std::move(chosen));
}

Play play_knn(const Trial& trial, const std::optional<Pair>& pair) {
  std::vector<std::uint32_t> chosen(trial.rows());
  for (std::size_t r = 0; r < trial.rows(); ++r) {
    float top = -1;
    for (std::uint32_t e = 0; e < trial.experts(); ++e) {
      const float local = trial.similar(static_cast<Eigen::Index>(r), e);
      if (trial.has(r, e) && local > top) top = local, chosen[r] = e;
    }
  }
  Play play = play_choices("knn", trial, std::move(chosen));
  for (std::size_t r = 0; pair && r < trial.rows(); ++r) {
    const auto row = static_cast<Eigen::Index>(r);
    play.preference.push_back(trial.similar(row, pair->strong) - trial.similar(row, pair->weak));
  }
  return play;
}

/// The half of the queries with the higher preference goes to the strong expert.
Play play_threshold(std::string name, const Trial& trial, const Pair& pair,
                    std::vector<double> preference) {
  std::vector<double> sorted = preference;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  std::vector<std::uint32_t> chosen;
  for (std::size_t r = 0; r < trial.rows(); ++r) {
    const bool strong = preference[r] >= *middle;
    const std::uint32_t wanted = strong ? pair.strong : pair.weak;
    const std::uint32_t other = strong ? pair.weak : pair.strong;
    chosen.push_back(trial.has(r, wanted) ? wanted : other);
  }
  Play play = play_choices(std::move(name), trial, std::move(chosen));
  play.preference = std::move(preference);
  return play;
}

/// The training rows, with the judged rows' experts as columns.
Table read_fit_rows(const Policy& policy, const EvaluateOptions& options, const Trial& trial) {
  TableOptions reading;
  reading.files = options.fit_files.empty() ? options.files : options.fit_files;
  reading.experts = trial.table.experts;
  Table table = read_table(reading);
  std::vector<std::uint8_t> keep(table.rows(), 0);
  for (std::size_t r = 0; r < table.rows(); ++r) {
    keep[r] = std::binary_search(policy.trained_ids.begin(), policy.trained_ids.end(),
                                 table.id_hashes[r]);
  }
  drop_rows(table, keep);
  return table;
}

Play play_symbolic(const Policy& policy, const Table& fit, const Trial& trial) {
  std::unordered_map<std::string, std::uint32_t> index;
  for (std::uint32_t s = 0; s < policy.skills.size(); ++s) index.emplace(policy.skills[s], s);
  std::vector<std::vector<double>> score(policy.skills.size(),
                                         std::vector<double>(trial.experts(), 0));
  for (std::size_t r = 0; r < fit.rows(); ++r) {
    for (const std::uint32_t label : fit.labels[r]) {
      const auto skill = index.find(fit.skills[label]);
      if (skill == index.end()) continue;
      for (std::size_t e = 0; e < trial.experts(); ++e) {
        const float y = fit.score(static_cast<Eigen::Index>(r), static_cast<Eigen::Index>(e));
        if (!std::isnan(y)) score[skill->second][e] += y >= 0.5f ? 1 : -1;
      }
    }
  }
  const SymbolicProfile profile = make_symbolic(std::move(score));
  std::vector<std::vector<double>> weight;
  for (std::size_t r = 0; r < trial.rows(); ++r) {
    std::vector<std::uint32_t> skills;
    for (const SkillShare& share : trial.read[r]) {
      if (share.share >= kSkillShareMin) skills.push_back(share.skill);
    }
    std::vector<std::uint8_t> eligible(trial.experts());
    for (std::size_t e = 0; e < trial.experts(); ++e) eligible[e] = trial.has(r, e);
    weight.push_back(profile.recruit(skills, eligible));
  }
  return play_mix("symbolic_moe", trial, weight);
}

/// For every natural label the expert that was best on its training rows; the label is given, so
/// this is what perfect skills without anything finer would reach.
Play play_best_per_skill(const Table& fit, const Trial& trial, std::uint32_t fallback) {
  std::unordered_map<std::string, std::vector<double>> sum, count;
  for (std::size_t r = 0; r < fit.rows(); ++r) {
    for (const std::uint32_t label : fit.labels[r]) {
      auto& sums = sum[fit.skills[label]];
      auto& counts = count[fit.skills[label]];
      sums.resize(trial.experts()), counts.resize(trial.experts());
      for (std::size_t e = 0; e < trial.experts(); ++e) {
        const float y = fit.score(static_cast<Eigen::Index>(r), static_cast<Eigen::Index>(e));
        if (!std::isnan(y)) sums[e] += y, counts[e] += 1;
      }
    }
  }
  std::vector<std::uint32_t> chosen(trial.rows(), fallback);
  for (std::size_t r = 0; r < trial.rows(); ++r) {
    const auto found = sum.find(trial.skill[r]);
    double top = -1;
    for (std::uint32_t e = 0; e < trial.experts(); ++e) {
      if (!trial.has(r, e) || found == sum.end()) continue;
      const double n = count[found->first][e];
      const double rate = n > 0 ? found->second[e] / n : 0;
      if (rate > top) top = rate, chosen[r] = e;
    }
  }
  return play_choices("best_per_skill", trial, std::move(chosen));
}

/// Without a named pair: the best expert of training, and the cheapest.
std::optional<Pair> find_price_pair(const Policy& policy, const Trial& trial) {
  if (!trial.priced) return std::nullopt;
  Pair pair{0, cheapest_of(singles(trial))};
  for (std::uint32_t e = 1; e < trial.experts(); ++e) {
    if (training_mean(policy, trial, e) > training_mean(policy, trial, pair.strong))
      pair.strong = e;
  }
  if (pair.strong == pair.weak) return std::nullopt;
  return pair;
}

}  // namespace

std::optional<Pair> find_pair(const Policy& policy, const EvaluateOptions& options,
                              const Trial& trial) {
  if (options.strong.empty() != options.weak.empty())
    throw std::runtime_error("--strong and --weak go together");
  if (!options.strong.empty())
    return Pair{column_of(trial.table, options.strong), column_of(trial.table, options.weak)};
  if (trial.experts() != 2) return std::nullopt;
  Pair pair;
  if (training_mean(policy, trial, 1) > training_mean(policy, trial, 0))
    std::swap(pair.strong, pair.weak);
  return pair;
}

SymbolicProfile make_symbolic(std::vector<std::vector<double>> score) {
  SymbolicProfile profile;
  profile.score = std::move(score);
  const std::size_t experts = profile.score.empty() ? 0 : profile.score.front().size();
  profile.gamma.assign(experts, 0);
  for (const auto& row : profile.score) {
    for (std::size_t e = 0; e < experts; ++e) profile.gamma[e] += row[e];
  }
  if (experts == 0) return profile;
  const double least = *std::min_element(profile.gamma.begin(), profile.gamma.end());
  double sum = 0;
  for (double& g : profile.gamma) {
    if (least < 0) g += 1 - least;
    g *= g;
    sum += g;
  }
  for (double& g : profile.gamma) g = sum > 0 ? g / sum : 1 / static_cast<double>(experts);
  return profile;
}

std::vector<double> SymbolicProfile::recruit(const std::vector<std::uint32_t>& skills,
                                             const std::vector<std::uint8_t>& eligible) const {
  std::vector<double> weight(gamma.size(), 0);
  for (const std::uint32_t s : skills) {
    for (std::size_t e = 0; e < weight.size(); ++e) weight[e] += score[s][e];
  }
  double least = 0, top = -1;
  bool first = true;
  for (std::size_t e = 0; e < weight.size(); ++e) {
    if (!eligible[e]) continue;
    least = first ? weight[e] : std::min(least, weight[e]);
    top = first ? weight[e] : std::max(top, weight[e]);
    first = false;
  }
  double sum = 0;
  for (std::size_t e = 0; e < weight.size(); ++e) {
    if (top <= 0) weight[e] += 1 - least;
    weight[e] = eligible[e] ? std::max(0.0, weight[e]) * gamma[e] : 0;
    sum += weight[e];
  }
  const auto able = static_cast<double>(std::count(eligible.begin(), eligible.end(), 1));
  for (std::size_t e = 0; e < weight.size(); ++e)
    weight[e] = sum > 0 ? weight[e] / sum : eligible[e] / able;
  return weight;
}

std::vector<Play> play_baselines(const Policy& policy, const EvaluateOptions& options,
                                 const Trial& trial, std::vector<std::string>& notes) {
  std::vector<Play> plays;
  plays.push_back(play_round_robin(trial));
  const auto named = find_pair(policy, options, trial);
  plays.push_back(play_knn(trial, named));
  if (const auto pair = named ? named : find_price_pair(policy, trial)) {
    std::vector<double> length, gain;
    for (std::size_t r = 0; r < trial.rows(); ++r) {
      const auto row = static_cast<Eigen::Index>(r);
      length.push_back(trial.table.text_bytes[r]);
      gain.push_back(trial.p(row, pair->strong) - trial.p(row, pair->weak));
    }
    plays.push_back(play_threshold("length", trial, *pair, std::move(length)));
    plays.push_back(play_threshold("routellm_threshold", trial, *pair, std::move(gain)));
    if (!named) {
      for (Play& play : plays) play.preference.clear();  // the report has no pair
    }
  } else {
    notes.emplace_back(
        "length and routellm_threshold are left out: without costs they need --strong and --weak");
  }
  const Table fit = read_fit_rows(policy, options, trial);
  if (fit.rows() == 0) {
    notes.emplace_back(
        "symbolic_moe and best_per_skill are left out: they need the rows that the policy was "
        "trained on; name their files with --fit");
  } else if (fit.skills.empty()) {
    notes.emplace_back("symbolic_moe and best_per_skill are left out: the rows name no skill");
  } else {
    plays.push_back(play_symbolic(policy, fit, trial));
    std::uint32_t fallback = 0;
    for (std::uint32_t e = 1; e < trial.experts(); ++e) {
      if (training_mean(policy, trial, e) > training_mean(policy, trial, fallback)) fallback = e;
    }
    plays.push_back(play_best_per_skill(fit, trial, fallback));
  }
  return plays;
}

}  // namespace router
