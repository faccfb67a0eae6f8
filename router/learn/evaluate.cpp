#include "router/learn/evaluate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <stdexcept>

#include "router/learn/baselines.h"
#include "router/learn/fit.h"
#include "router/learn/loads.h"
#include "router/learn/play.h"
#include "router/learn/play_panels.h"
#include "router/learn/report.h"
#include "router/learn/rewordings.h"
#include "router/learn/trial.h"

namespace router {
namespace {

constexpr std::size_t kExamples = 20;  // near misses that are named

// Places of the plays that the others are measured with; play_all() keeps them.
constexpr std::size_t kMine = 0, kRandom = 1, kBest = 2, kOracle = 3;

/// A row of the report from what a play did, against the best single expert on the same rows.
PolicyRow judge(const Play& play, const Play& best, std::uint64_t seed) {
  PolicyRow row;
  row.name = play.name;
  row.score = mean_of(play.score);
  if (!play.cost_usd.empty()) row.cost = mean_of(play.cost_usd);
  std::vector<double> gains;
  for (std::size_t r = 0; r < play.score.size(); ++r)
    gains.push_back(play.score[r] - best.score[r]);
  if (!play.calls.empty()) row.calls = mean_of(play.calls);
  if (!play.flip.empty()) row.flip_rate = mean_of(play.flip);
  if (row.flip_rate.value_or(0) > 0) row.flip_gain = mean_of(play.flip_gain) / *row.flip_rate;
  row.gain = bootstrap_mean(gains, seed);
  row.shares = play.shares;
  row.curve = play.curve;
  return row;
}

/// Every way of routing that the report has a row for; the first is the policy.
std::vector<Play> play_all(const Policy& policy, const EvaluateOptions& options, const Trial& trial,
                           EvaluateReport& report) {
  const std::vector<CostPoint> single = singles(trial);
  const std::uint32_t best = best_of(single);
  const auto always = [&](const char* name, std::uint32_t expert) {
    return play_choices(name, trial, std::vector<std::uint32_t>(trial.rows(), expert));
  };
  std::vector<Play> plays;
  plays.push_back(play_policy(trial));
  plays.push_back(play_random(trial));
  plays.push_back(always("best_single", best));
  plays.push_back(play_oracle(trial));
  if (trial.priced) plays.push_back(always("cheapest", cheapest_of(single)));
  plays.push_back(play_fixed_mix(trial, single, plays.front()));
  if (const auto pair = find_pair(policy, options, trial)) {
    report.strong = trial.table.experts[pair->strong];
    report.weak = trial.table.experts[pair->weak];
    for (std::size_t r = 0; r < trial.rows(); ++r) {
      const auto row = static_cast<Eigen::Index>(r);
      plays[kMine].preference.push_back(trial.p(row, pair->strong) - trial.p(row, pair->weak));
      plays[kOracle].preference.push_back(trial.score(r, pair->strong) -
                                          trial.score(r, pair->weak));
    }
  } else {
    plays[kRandom].preference.clear();
  }
  if (options.baselines) {
    for (Play& play : play_baselines(policy, options, trial, report.notes))
      plays.push_back(std::move(play));
  }
  if (options.aggregate) {
    for (Play& play : play_panels(policy, options, trial, report.notes))
      plays.push_back(std::move(play));
  }
  report.best_single = trial.table.experts[best];
  return plays;
}

void judge_all(const Trial& trial, const std::vector<Play>& plays, std::uint64_t seed,
               EvaluateReport& report) {
  report.policies.resize(plays.size());
  const Play& best = plays[kBest];
  parallel_for(plays.size(),
               [&](std::size_t i) { report.policies[i] = judge(plays[i], best, seed); });
  if (trial.priced) {
    const std::vector<CostPoint> single = singles(trial);
    double lo = single.front().cost, hi = lo;
    for (const CostPoint& p : single) lo = std::min(lo, p.cost), hi = std::max(hi, p.cost);
    for (PolicyRow& row : report.policies) {
      if (!row.curve.empty()) row.aiq = average_quality(hull_of(row.curve), lo, hi);
    }
  }
  if (report.strong.empty()) return;
  const std::uint32_t strong = column_of(trial.table, report.strong);
  const std::uint32_t weak = column_of(trial.table, report.weak);
  std::vector<double> weak_score, strong_score;
  for (std::size_t r = 0; r < trial.rows(); ++r) {
    weak_score.push_back(trial.score(r, weak));
    strong_score.push_back(trial.score(r, strong));
  }
  for (std::size_t i = 0; i < plays.size(); ++i) {
    if (plays[i].preference.empty()) continue;
    const auto curve = pair_curve(plays[i].preference, weak_score, strong_score);
    if (!curve) continue;
    PolicyRow& row = report.policies[i];
    row.apgr = curve->apgr;
    row.cpt50 = curve->cpt[0], row.cpt80 = curve->cpt[1], row.cpt95 = curve->cpt[2];
    row.recovered = curve->points;
  }
}

/// The most chosen expert among `rows`.
void name_favourite(const Trial& trial, const std::vector<std::size_t>& rows, SkillRow& skill) {
  std::vector<std::size_t> picks(trial.experts(), 0);
  for (const std::size_t r : rows) ++picks[trial.chosen[r]];
  const auto most = std::max_element(picks.begin(), picks.end());
  skill.favourite = trial.table.experts[static_cast<std::size_t>(most - picks.begin())];
  skill.favourite_share = static_cast<double>(*most) / static_cast<double>(rows.size());
}

void judge_skills(const Trial& trial, const std::vector<Play>& plays, std::uint64_t seed,
                  EvaluateReport& report) {
  std::map<std::string, std::vector<std::size_t>> rows_of;
  for (std::size_t r = 0; r < trial.rows(); ++r) {
    if (!trial.skill[r].empty()) rows_of[trial.skill[r]].push_back(r);
  }
  for (const auto& [name, rows] : rows_of) {
    SkillRow skill;
    skill.skill = name;
    skill.rows = rows.size();
    std::vector<double> gains;
    for (const std::size_t r : rows) gains.push_back(plays[kMine].score[r] - plays[kBest].score[r]);
    skill.gain = bootstrap_mean(gains, seed);
    for (std::size_t i = 0; i < plays.size(); ++i) {
      double sum = 0;
      for (const std::size_t r : rows) sum += plays[i].score[r];
      report.policies[i].skill_score.push_back(sum / static_cast<double>(rows.size()));
    }
    skill.policy = report.policies[kMine].skill_score.back();
    skill.best_single = report.policies[kBest].skill_score.back();
    skill.oracle = report.policies[kOracle].skill_score.back();
    name_favourite(trial, rows, skill);
    report.skills.push_back(std::move(skill));
  }
}

void judge_experts(const Trial& trial, EvaluateReport& report) {
  const std::vector<CostPoint> single = singles(trial);
  for (std::size_t e = 0; e < trial.experts(); ++e) {
    ExpertRow row;
    row.expert = trial.table.experts[e];
    row.score = single[e].score;
    if (trial.priced) row.cost = single[e].cost;
    double chosen = 0;
    for (std::size_t r = 0; r < trial.rows(); ++r) {
      if (trial.chosen[r] != e) continue;
      chosen += 1;
      row.score_chosen += trial.score(r, e);
    }
    if (chosen > 0) row.score_chosen /= chosen;
    row.share = chosen / static_cast<double>(trial.rows());
    report.alone.push_back(std::move(row));
  }
}

void judge_regret(const Trial& trial, const Play& mine, const Play& oracle,
                  EvaluateReport& report) {
  report.regret_by_right.assign(trial.experts() + 1, 0);
  report.rows_by_right.assign(trial.experts() + 1, 0);
  std::vector<std::pair<double, std::size_t>> near;  // gap, row
  for (std::size_t r = 0; r < trial.rows(); ++r) {
    std::size_t right = 0;
    for (std::size_t e = 0; e < trial.experts(); ++e) right += trial.score(r, e) >= 0.5;
    const double regret = oracle.score[r] - mine.score[r];
    report.regret_by_right[right] += regret;
    ++report.rows_by_right[right];
    if (regret <= 0) continue;
    ++report.near_misses.lost;
    double gap = 1;
    const auto row = static_cast<Eigen::Index>(r);
    for (std::uint32_t e = 0; e < trial.experts(); ++e) {
      if (trial.score(r, e) > mine.score[r])
        gap = std::min<double>(gap, trial.p(row, trial.chosen[r]) - trial.p(row, e));
    }
    if (gap <= kNearMiss) near.emplace_back(gap, r);
  }
  for (std::size_t i = 0; i < report.regret_by_right.size(); ++i) {
    if (report.rows_by_right[i])
      report.regret_by_right[i] /= static_cast<double>(report.rows_by_right[i]);
  }
  std::sort(near.begin(), near.end());
  report.near_misses.near = near.size();
  for (const auto& [gap, r] : near) {
    report.near_misses.gap += gap / static_cast<double>(near.size());
    if (report.near_misses.examples.size() < kExamples)
      report.near_misses.examples.push_back(trial.table.ids[r]);
  }
}

void compare_choices(const std::vector<Play>& plays, EvaluateReport& report) {
  std::vector<std::size_t> choosing;
  for (std::size_t i = 0; i < plays.size(); ++i) {
    // The oracle's choice among equals is arbitrary.
    if (!plays[i].expert.empty() && i != kOracle) choosing.push_back(i);
  }
  for (const std::size_t i : choosing) {
    report.agreement_names.push_back(plays[i].name);
    report.agreement.emplace_back();
    for (const std::size_t j : choosing) {
      double same = 0;
      for (std::size_t r = 0; r < plays[i].expert.size(); ++r)
        same += plays[i].expert[r] == plays[j].expert[r];
      report.agreement.back().push_back(same / static_cast<double>(plays[i].expert.size()));
    }
    report.policies[i].agreement = report.agreement.back().front();
  }
}

/// The oracle's choice among equals is arbitrary, so its loads would be, too.
void count_loads(const std::vector<Play>& plays, std::size_t resident, EvaluateReport& report) {
  for (std::size_t i = 0; i < plays.size() && resident > 0; ++i) {
    if (plays[i].expert.empty() || i == kOracle) continue;
    PolicyRow& row = report.policies[i];
    row.loads = loads_per_thousand(plays[i].expert, resident, 1);
    row.loads_collated = loads_per_thousand(plays[i].expert, resident, kQueriesTogether);
  }
}

std::string picks_of(const Trial& trial, const std::vector<Play>& plays) {
  std::string out;
  const Table& table = trial.table;
  for (std::size_t r = 0; r < table.rows(); ++r) {
    nlohmann::ordered_json line;
    line["id"] = table.ids[r];
    line["expert"] = table.experts[trial.chosen[r]];
    line["score"] = trial.score(r, trial.chosen[r]);
    if (trial.priced) line["cost"] = table.cost_usd(static_cast<Eigen::Index>(r), trial.chosen[r]);
    for (const Play& play : plays) {
      if (play.calls.empty()) continue;
      line[play.name] = {{"expert", table.experts[play.expert[r]]},
                         {"score", play.score[r]},
                         {"calls", play.calls[r]}};
    }
    line["abstained"] = trial.abstained[r] != 0;
    for (std::size_t e = 0; e < table.experts.size(); ++e) {
      line["p"][table.experts[e]] =
          std::round(1e4 * trial.p(static_cast<Eigen::Index>(r), static_cast<Eigen::Index>(e))) /
          1e4;
    }
    out += line.dump() + "\n";
  }
  return out;
}

std::string names_of_files(const std::vector<std::string>& files) {
  std::string out;
  for (const std::string& file : files)
    out += (out.empty() ? "" : ", ") + file.substr(file.find_last_of('/') + 1);
  return out;
}

}  // namespace

const PolicyRow& EvaluateReport::row(const std::string& name) const {
  for (const PolicyRow& row : policies) {
    if (row.name == name) return row;
  }
  throw std::out_of_range("no row " + name);
}

EvaluateReport evaluate(const Policy& policy, const EvaluateOptions& options) {
  const auto started = std::chrono::steady_clock::now();
  const auto progress = [&](const char* stage, double done) {
    if (options.progress) options.progress(stage, done);
  };
  progress("read the outcomes", 0);
  Trial trial = read_trial(policy, options);
  EvaluateReport report;
  report.policy_version = policy.version;
  report.seed = options.seed;
  report.source = names_of_files(options.files);
  report.rows = trial.rows();
  report.rows_overlapping = trial.rows_overlapping;
  report.rows_excluded = trial.rows_excluded;
  report.left_out = trial.left_out;
  report.experts = trial.table.experts;
  if (const std::size_t without = prepare_vectors(policy, options, trial); without > 0)
    report.notes.push_back(std::to_string(without) + " of " + std::to_string(trial.rows()) +
                           " rows are decided by words alone: no vector of `" +
                           policy.dense.encoder + "` is kept or to be had (--encoder)");
  run_policy(policy, options.quality, trial,
             [&](double done) { progress("route", 0.2 + 0.6 * done); });
  progress("judge", 0.8);
  const std::vector<Play> plays = play_all(policy, options, trial, report);
  judge_all(trial, plays, options.seed, report);
  judge_skills(trial, plays, options.seed, report);
  judge_experts(trial, report);
  judge_regret(trial, plays[kMine], plays[kOracle], report);
  compare_choices(plays, report);
  count_loads(plays, options.resident, report);
  report.calibration_error = calibration_error(trial.p, trial.table.score);
  report.reliability = reliability_of(trial.p, trial.table.score);
  if (options.rewordings) {
    progress("reword", 0.9);
    report.flips = flip_table(policy, options.quality, trial, options.seed);
  }
  const double room = report.row("oracle").score - report.row("best_single").score;
  report.headroom = room > 0 ? report.policies.front().gain.mean / room : 0;
  report.abstained =
      static_cast<double>(std::accumulate(trial.abstained.begin(), trial.abstained.end(), 0)) /
      static_cast<double>(trial.rows());
  report.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  if (!options.json.empty()) write_file(options.json, to_json(report));
  if (!options.csv.empty()) write_file(options.csv, to_csv(report));
  if (!options.html.empty()) write_file(options.html, to_html(report));
  if (!options.picks.empty()) write_file(options.picks, picks_of(trial, plays));
  progress("done", 1);
  return report;
}

}  // namespace router
