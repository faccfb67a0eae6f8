#include "router/learn/evaluate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <stdexcept>

#include "router/decide.h"
#include "router/guard.h"
#include "router/learn/fit.h"
#include "router/learn/table.h"

namespace router {
namespace {

constexpr int kSweep = 48;  // settings of the quality knob on a cost-quality curve

double sweep_quality(int i) {
  if (i == 0) return 1;
  if (i == kSweep - 1) return 0;
  const double weight =
      std::pow(10.0, -4 + 6.0 * (i - 1) / (kSweep - 3));  // price weights 1e-4 .. 1e2
  return 1 / (1 + std::sqrt(weight));
}

/// Everything the rows of the report are made of.
struct Trial {
  Table table;
  PoolView pool;
  bool priced = false;                            // every outcome has a cost
  std::vector<std::uint32_t> chosen;              // [rows] index into table.experts
  std::vector<std::uint8_t> abstained;            // [rows]
  std::vector<std::vector<std::uint32_t>> swept;  // [kSweep][rows]
  Matrix p;                                       // [rows, experts] p_correct
  std::vector<std::string> skill;                 // [rows] the natural label, may be empty
};

void drop_rows(Table& table, const std::vector<std::uint8_t>& keep) {
  std::vector<Eigen::Index> kept;
  for (std::size_t r = 0; r < keep.size(); ++r) {
    if (keep[r]) kept.push_back(static_cast<Eigen::Index>(r));
  }
  auto thin = [&](auto& list) {
    std::size_t at = 0;
    for (Eigen::Index r : kept) {
      const auto from = static_cast<std::size_t>(r);
      if (from != at) list[at] = std::move(list[from]);
      ++at;
    }
    list.resize(at);
  };
  thin(table.ids), thin(table.id_hashes), thin(table.features), thin(table.text_bytes),
      thin(table.labels);
  table.score = Matrix(table.score(kept, Eigen::all));
  table.cost_usd = Matrix(table.cost_usd(kept, Eigen::all));
}

std::vector<std::string> choose_experts(const Policy& policy, const EvaluateOptions& options,
                                        EvaluateReport& report) {
  std::vector<std::string> wanted = options.experts;
  if (!wanted.empty()) return wanted;
  TableOptions reading;
  reading.files = options.files;
  reading.limit = 1000;
  const Table peek = read_table(reading);
  for (const PolicyExpert& expert : policy.experts) {
    const bool has =
        std::find(peek.experts.begin(), peek.experts.end(), expert.name) != peek.experts.end();
    (has ? wanted : report.left_out).push_back(expert.name);
  }
  if (wanted.empty())
    throw std::runtime_error("the files have no outcome of any expert of the policy");
  return wanted;
}

void read_rows(const Policy& policy, const EvaluateOptions& options, EvaluateReport& report,
               Trial& trial) {
  TableOptions reading;
  reading.files = options.files;
  reading.experts = choose_experts(policy, options, report);
  reading.seed = options.held_out_part ? policy.seed : options.seed;
  reading.share = options.held_out_part ? policy.share : options.share;
  if (options.held_out_part) reading.part = Part::test;
  trial.table = read_table(reading);
  Table& table = trial.table;
  std::vector<std::uint8_t> keep(table.rows(), 1);
  for (std::size_t r = 0; r < table.rows(); ++r) {
    const auto& labels = table.labels[r];
    if (!options.exclude_domain.empty() && std::any_of(labels.begin(), labels.end(), [&](auto s) {
          return table.skills[s] == options.exclude_domain;
        })) {
      keep[r] = 0;
      ++report.rows_excluded;
      continue;
    }
    report.rows_overlapping += std::binary_search(policy.trained_ids.begin(),
                                                  policy.trained_ids.end(), table.id_hashes[r]);
  }
  if (report.rows_overlapping > 0 && !options.allow_overlap) {
    throw std::runtime_error(
        std::to_string(report.rows_overlapping) + " of " + std::to_string(table.rows()) +
        " rows were used to train this policy; a policy is judged on other rows: train with "
        "--share 0.7 and evaluate with --part test, or use another file");
  }
  drop_rows(table, keep);
  if (table.rows() == 0) throw std::runtime_error("no row is left to evaluate");
  trial.priced = (table.cost_usd.array() >= 0 || table.score.array().isNaN()).all();
  for (std::size_t r = 0; r < table.rows(); ++r) {
    trial.skill.push_back(table.labels[r].empty() ? "" : table.skills[table.labels[r].front()]);
  }
}

void run_policy(const Policy& policy, const EvaluateOptions& options, Trial& trial) {
  const Table& table = trial.table;
  const std::size_t rows = table.rows(), experts = table.experts.size();
  for (const std::string& name : table.experts) {
    trial.pool.experts.emplace_back();
    trial.pool.experts.back().name = name;
  }
  bind(policy, trial.pool);
  trial.chosen.resize(rows);
  trial.abstained.resize(rows);
  trial.p = Matrix::Zero(static_cast<Eigen::Index>(rows), static_cast<Eigen::Index>(experts));
  if (trial.priced) trial.swept.assign(kSweep, std::vector<std::uint32_t>(rows));
  constexpr std::size_t kRowsAtOnce = 256;
  parallel_for((rows + kRowsAtOnce - 1) / kRowsAtOnce, [&](std::size_t block) {
    DecideScratch scratch;
    Route route;
    Query query;
    PoolView pool = trial.pool;
    for (std::size_t r = block * kRowsAtOnce; r < std::min(rows, (block + 1) * kRowsAtOnce); ++r) {
      const auto row = static_cast<Eigen::Index>(r);
      for (std::size_t e = 0; e < experts; ++e) {
        pool.experts[e].healthy = !std::isnan(table.score(row, static_cast<Eigen::Index>(e)));
      }
      query.knobs.quality = options.quality;
      decide(query, table.features[r], policy, pool, scratch, route);
      if (route.eligible() == 0)
        throw std::runtime_error("row " + table.ids[r] +
                                 " has no outcome of any expert of the pool");
      trial.chosen[r] = route.candidates.front().expert;
      trial.abstained[r] = route.abstained;
      for (const Candidate& c : route.candidates) trial.p(row, c.expert) = c.p_correct;
      for (std::size_t i = 0; i < trial.swept.size(); ++i) {
        query.knobs.quality = sweep_quality(static_cast<int>(i));
        choose(query, table.features[r], policy, pool, scratch.competence, route);
        trial.swept[i][r] = route.candidates.front().expert;
      }
    }
  });
}

double known(float score) {
  return std::isnan(score) ? 0 : score;
}

/// A row of the report from one choice per query.
PolicyRow judge(const std::string& name, const Trial& trial,
                const std::vector<std::uint32_t>& chosen, std::uint32_t best_single,
                std::uint64_t seed) {
  const Table& table = trial.table;
  PolicyRow out;
  out.name = name;
  std::vector<double> gains;
  double cost = 0;
  for (std::size_t r = 0; r < table.rows(); ++r) {
    const auto row = static_cast<Eigen::Index>(r);
    const double score = known(table.score(row, chosen[r]));
    out.score += score;
    gains.push_back(score - known(table.score(row, best_single)));
    cost += std::max(0.f, table.cost_usd(row, chosen[r]));
    out.shares[table.experts[chosen[r]]] += 1;
  }
  const double n = static_cast<double>(table.rows());
  out.score /= n;
  if (trial.priced) out.cost = cost / n;
  for (auto& [expert, share] : out.shares) share /= n;
  out.gain = bootstrap_mean(gains, seed);
  return out;
}

/// Mean score and cost of every expert alone.
std::vector<CostPoint> singles(const Trial& trial) {
  const Table& table = trial.table;
  std::vector<CostPoint> out(table.experts.size());
  for (std::size_t e = 0; e < out.size(); ++e) {
    double n = 0;
    for (std::size_t r = 0; r < table.rows(); ++r) {
      const float score = table.score(static_cast<Eigen::Index>(r), static_cast<Eigen::Index>(e));
      if (std::isnan(score)) continue;
      out[e].score += score, n += 1;
      out[e].cost +=
          std::max(0.f, table.cost_usd(static_cast<Eigen::Index>(r), static_cast<Eigen::Index>(e)));
    }
    if (n > 0) out[e].score /= n, out[e].cost /= n;
  }
  return out;
}

std::uint32_t best_of(const std::vector<CostPoint>& single) {
  std::uint32_t best = 0;
  for (std::uint32_t e = 1; e < single.size(); ++e) {
    if (single[e].score > single[best].score) best = e;
  }
  return best;
}

PolicyRow judge_random(const Trial& trial, const std::vector<CostPoint>& single,
                       std::uint32_t best) {
  PolicyRow out;
  out.name = "random";
  double cost = 0;
  for (std::size_t e = 0; e < single.size(); ++e) {
    out.score += single[e].score / static_cast<double>(single.size());
    cost += single[e].cost / static_cast<double>(single.size());
    out.shares[trial.table.experts[e]] = 1.0 / static_cast<double>(single.size());
  }
  if (trial.priced) out.cost = cost;
  const double gain = out.score - single[best].score;
  out.gain = {gain, gain, gain};
  return out;
}

/// Without routing, at the policy's cost: the mix of single experts on their hull. Where nothing
/// has a price: the policy's own shares, drawn without looking at the query.
PolicyRow judge_mix(const Trial& trial, const std::vector<CostPoint>& single, std::uint32_t best,
                    const PolicyRow& policy) {
  PolicyRow out;
  out.name = "fixed_mix";
  if (trial.priced) {
    out.curve = hull_of(single);
    out.cost = policy.cost;
    out.score = score_at(out.curve, *policy.cost);
  } else {
    out.shares = policy.shares;
    for (std::size_t e = 0; e < single.size(); ++e) {
      const auto share = policy.shares.find(trial.table.experts[e]);
      if (share != policy.shares.end()) out.score += share->second * single[e].score;
    }
  }
  const double gain = out.score - single[best].score;
  out.gain = {gain, gain, gain};
  return out;
}

std::vector<CostPoint> curve_of(const Trial& trial) {
  std::vector<CostPoint> points;
  const Table& table = trial.table;
  for (const auto& chosen : trial.swept) {
    CostPoint point;
    for (std::size_t r = 0; r < table.rows(); ++r) {
      point.score += known(table.score(static_cast<Eigen::Index>(r), chosen[r]));
      point.cost += std::max(0.f, table.cost_usd(static_cast<Eigen::Index>(r), chosen[r]));
    }
    point.score /= static_cast<double>(table.rows()),
        point.cost /= static_cast<double>(table.rows());
    points.push_back(point);
  }
  std::sort(points.begin(), points.end(),
            [](const CostPoint& a, const CostPoint& b) { return a.cost < b.cost; });
  return points;
}

std::uint32_t index_of(const Table& table, const std::string& name) {
  const auto at = std::find(table.experts.begin(), table.experts.end(), name);
  if (at == table.experts.end())
    throw std::runtime_error("the expert " + name + " is not among those evaluated");
  return static_cast<std::uint32_t>(at - table.experts.begin());
}

void judge_pair(const Trial& trial, const Policy& policy, const EvaluateOptions& options,
                EvaluateReport& report) {
  const Table& table = trial.table;
  if (options.strong.empty() != options.weak.empty())
    throw std::runtime_error("--strong and --weak go together");
  std::uint32_t strong = 0, weak = 1;
  if (!options.strong.empty()) {
    strong = index_of(table, options.strong), weak = index_of(table, options.weak);
  } else if (table.experts.size() == 2) {
    const auto& experts = trial.pool.experts;
    auto mean = [&](std::uint32_t e) {
      return experts[e].policy_expert < 0
                 ? 0
                 : policy.experts[static_cast<std::size_t>(experts[e].policy_expert)].mean;
    };
    if (mean(1) > mean(0)) std::swap(strong, weak);
  } else {
    return;
  }
  report.strong = table.experts[strong], report.weak = table.experts[weak];
  std::vector<double> preference, ideal, weak_score, strong_score;
  for (std::size_t r = 0; r < table.rows(); ++r) {
    const auto row = static_cast<Eigen::Index>(r);
    preference.push_back(trial.p(row, strong) - trial.p(row, weak));
    weak_score.push_back(known(table.score(row, weak)));
    strong_score.push_back(known(table.score(row, strong)));
    ideal.push_back(strong_score.back() - weak_score.back());
  }
  for (PolicyRow& row : report.policies) {
    const auto curve = row.name == "policy"   ? pair_curve(preference, weak_score, strong_score)
                       : row.name == "oracle" ? pair_curve(ideal, weak_score, strong_score)
                       : row.name == "random" ? pair_curve(std::vector<double>(table.rows(), 0),
                                                           weak_score, strong_score)
                                              : std::nullopt;
    if (!curve) continue;
    row.apgr = curve->apgr;
    row.cpt50 = curve->cpt[0], row.cpt80 = curve->cpt[1], row.cpt95 = curve->cpt[2];
  }
}

void fill_skills(const Trial& trial, std::uint32_t best, EvaluateReport& report) {
  const Table& table = trial.table;
  std::map<std::string, SkillRow> rows;
  std::map<std::string, std::map<std::uint32_t, std::size_t>> picks;
  report.regret_by_right.assign(table.experts.size() + 1, 0);
  report.rows_by_right.assign(table.experts.size() + 1, 0);
  for (std::size_t r = 0; r < table.rows(); ++r) {
    const auto row = static_cast<Eigen::Index>(r);
    double top = 0;
    std::size_t right = 0;
    for (Eigen::Index e = 0; e < table.score.cols(); ++e) {
      top = std::max(top, known(table.score(row, e)));
      right += known(table.score(row, e)) >= 0.5;
    }
    const double mine = known(table.score(row, trial.chosen[r]));
    report.regret_by_right[right] += top - mine;
    ++report.rows_by_right[right];
    if (trial.skill[r].empty()) continue;
    SkillRow& skill = rows[trial.skill[r]];
    ++skill.rows;
    skill.policy += mine;
    skill.best_single += known(table.score(row, best));
    skill.oracle += top;
    ++picks[trial.skill[r]][trial.chosen[r]];
  }
  for (std::size_t i = 0; i < report.regret_by_right.size(); ++i) {
    if (report.rows_by_right[i])
      report.regret_by_right[i] /= static_cast<double>(report.rows_by_right[i]);
  }
  for (auto& [name, row] : rows) {
    const double n = static_cast<double>(row.rows);
    row.skill = name;
    row.policy /= n, row.best_single /= n, row.oracle /= n;
    for (const auto& [expert, count] : picks[name]) {
      if (static_cast<double>(count) / n <= row.favourite_share) continue;
      row.favourite_share = static_cast<double>(count) / n;
      row.favourite = table.experts[expert];
    }
    report.skills.push_back(row);
  }
}

void fill_reliability(const Trial& trial, EvaluateReport& report) {
  constexpr int kBins = 15;
  report.calibration_error = calibration_error(trial.p, trial.table.score);
  report.reliability.resize(kBins);
  for (Eigen::Index i = 0; i < trial.p.size(); ++i) {
    const float y = trial.table.score.data()[i], p = trial.p.data()[i];
    if (std::isnan(y)) continue;
    ReliabilityBin& bin = report.reliability[static_cast<std::size_t>(
        std::clamp(static_cast<int>(p * kBins), 0, kBins - 1))];
    bin.predicted += p, bin.observed += y, ++bin.count;
  }
  for (ReliabilityBin& bin : report.reliability) {
    if (bin.count)
      bin.predicted /= static_cast<double>(bin.count),
          bin.observed /= static_cast<double>(bin.count);
  }
}

void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary);
  out << bytes;
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
}

std::string picks_of(const Trial& trial) {
  std::string out;
  const Table& table = trial.table;
  for (std::size_t r = 0; r < table.rows(); ++r) {
    const auto row = static_cast<Eigen::Index>(r);
    nlohmann::ordered_json line;
    line["id"] = table.ids[r];
    line["expert"] = table.experts[trial.chosen[r]];
    line["score"] = known(table.score(row, trial.chosen[r]));
    if (trial.priced) line["cost"] = table.cost_usd(row, trial.chosen[r]);
    line["abstained"] = trial.abstained[r] != 0;
    for (std::size_t e = 0; e < table.experts.size(); ++e) {
      line["p"][table.experts[e]] =
          std::round(1e4 * trial.p(row, static_cast<Eigen::Index>(e))) / 1e4;
    }
    out += line.dump() + "\n";
  }
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
  EvaluateReport report;
  Trial trial;
  if (options.progress) options.progress("read the outcomes", 0);
  read_rows(policy, options, report, trial);
  const Table& table = trial.table;
  report.rows = table.rows();
  report.experts = table.experts;
  if (options.progress) options.progress("route", 0.3);
  run_policy(policy, options, trial);
  const std::vector<CostPoint> single = singles(trial);
  const std::uint32_t best = best_of(single);
  report.best_single = table.experts[best];
  std::vector<std::uint32_t> alone(table.rows(), best), oracle(table.rows(), 0),
      cheapest(table.rows(), 0);
  for (std::size_t r = 0; r < table.rows(); ++r) {
    const auto row = static_cast<Eigen::Index>(r);
    for (std::uint32_t e = 1; e < table.experts.size(); ++e) {
      const double mine = known(table.score(row, e)), top = known(table.score(row, oracle[r]));
      if (mine > top ||
          (mine == top && trial.priced && table.cost_usd(row, e) < table.cost_usd(row, oracle[r])))
        oracle[r] = e;
    }
  }
  std::uint32_t least = 0;
  for (std::uint32_t e = 1; e < single.size(); ++e) {
    if (single[e].cost < single[least].cost) least = e;
  }
  std::fill(cheapest.begin(), cheapest.end(), least);
  if (options.progress) options.progress("judge", 0.8);
  report.policies.push_back(judge("policy", trial, trial.chosen, best, options.seed));
  report.policies.push_back(judge_random(trial, single, best));
  report.policies.push_back(judge("best_single", trial, alone, best, options.seed));
  report.policies.push_back(judge("oracle", trial, oracle, best, options.seed));
  if (trial.priced)
    report.policies.push_back(judge("cheapest", trial, cheapest, best, options.seed));
  report.policies.push_back(judge_mix(trial, single, best, report.policies.front()));
  if (trial.priced) {
    double lo = single[least].cost, hi = lo;
    for (const CostPoint& p : single) hi = std::max(hi, p.cost);
    PolicyRow& mine = report.policies.front();
    mine.curve = curve_of(trial);
    mine.aiq = average_quality(hull_of(mine.curve), lo, hi);
    report.policies.back().aiq = average_quality(report.policies.back().curve, lo, hi);
  }
  judge_pair(trial, policy, options, report);
  fill_skills(trial, best, report);
  fill_reliability(trial, report);
  const double room = report.row("oracle").score - report.row("best_single").score;
  report.headroom = room > 0 ? report.policies.front().gain.mean / room : 0;
  report.abstained =
      static_cast<double>(std::accumulate(trial.abstained.begin(), trial.abstained.end(), 0)) /
      static_cast<double>(table.rows());
  if (!options.json.empty()) write_file(options.json, to_json(report));
  if (!options.picks.empty()) write_file(options.picks, picks_of(trial));
  report.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return report;
}

}  // namespace router
