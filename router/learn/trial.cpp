#include "router/learn/trial.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>
#include <stdexcept>

#include "router/decide.h"
#include "router/guard.h"
#include "router/learn/dense.h"
#include "router/learn/evaluate.h"
#include "router/learn/fit.h"

namespace router {
namespace {

constexpr int kSweep = 48;  // settings of the quality knob on a cost-quality curve

double sweep_quality(int i) {
  if (i == 0) return 1;
  if (i == kSweep - 1) return 0;
  const double weight =
      std::pow(10.0, -3 + 4.5 * (i - 1) / (kSweep - 3));  // price weights 1e-3 .. 30
  return 1 / (1 + std::sqrt(weight));
}

std::vector<std::string> choose_experts(const Policy& policy, const EvaluateOptions& options,
                                        std::vector<std::string>& left_out) {
  std::vector<std::string> wanted = options.experts;
  if (!wanted.empty()) return wanted;
  TableOptions reading;
  reading.files = options.files;
  reading.limit = 1000;
  const Table peek = read_table(reading);
  for (const PolicyExpert& expert : policy.experts) {
    const bool has =
        std::find(peek.experts.begin(), peek.experts.end(), expert.name) != peek.experts.end();
    (has ? wanted : left_out).push_back(expert.name);
  }
  if (wanted.empty())
    throw std::runtime_error("the files have no outcome of any expert of the policy");
  return wanted;
}

bool is_excluded(const Table& table, std::size_t row, const std::string& domain) {
  const auto& labels = table.labels[row];
  return !domain.empty() && std::any_of(labels.begin(), labels.end(),
                                        [&](auto label) { return table.skills[label] == domain; });
}

void refuse_rows_without_outcome(const Trial& trial) {
  for (std::size_t r = 0; r < trial.rows(); ++r) {
    bool any = false;
    for (std::size_t e = 0; e < trial.experts(); ++e) any = any || trial.has(r, e);
    if (!any)
      throw std::runtime_error("row " + trial.table.ids[r] +
                               " has no outcome of any expert of the pool; leave it out of the "
                               "file, or name other experts with --experts");
  }
}

}  // namespace

bool Trial::has(std::size_t row, std::size_t expert) const {
  return !std::isnan(
      table.score(static_cast<Eigen::Index>(row), static_cast<Eigen::Index>(expert)));
}

double Trial::score(std::size_t row, std::size_t expert) const {
  const float score =
      table.score(static_cast<Eigen::Index>(row), static_cast<Eigen::Index>(expert));
  return std::isnan(score) ? 0 : score;
}

double Trial::cost_usd(std::size_t row, std::size_t expert) const {
  return std::max(
      0.f, table.cost_usd(static_cast<Eigen::Index>(row), static_cast<Eigen::Index>(expert)));
}

void drop_rows(Table& table, const std::vector<std::uint8_t>& keep) {
  std::vector<Eigen::Index> kept;
  for (std::size_t r = 0; r < keep.size(); ++r) {
    if (keep[r]) kept.push_back(static_cast<Eigen::Index>(r));
  }
  auto thin = [&](auto& list) {
    if (list.empty()) return;  // texts that were not kept
    std::size_t at = 0;
    for (Eigen::Index r : kept) {
      const auto from = static_cast<std::size_t>(r);
      if (from != at) list[at] = std::move(list[from]);
      ++at;
    }
    list.resize(at);
  };
  thin(table.ids), thin(table.id_hashes), thin(table.features), thin(table.text_bytes),
      thin(table.labels), thin(table.texts);
  table.score = Matrix(table.score(kept, Eigen::all));
  table.cost_usd = Matrix(table.cost_usd(kept, Eigen::all));
}

std::uint32_t column_of(const Table& table, const std::string& name) {
  const auto at = std::find(table.experts.begin(), table.experts.end(), name);
  if (at == table.experts.end())
    throw std::runtime_error("the expert " + name + " is not among those evaluated");
  return static_cast<std::uint32_t>(at - table.experts.begin());
}

Trial read_trial(const Policy& policy, const EvaluateOptions& options) {
  Trial trial;
  TableOptions reading;
  reading.files = options.files;
  reading.experts = choose_experts(policy, options, trial.left_out);
  reading.seed = options.held_out_part ? policy.seed : options.seed;
  reading.share = options.held_out_part ? policy.share : options.share;
  if (options.held_out_part) reading.part = Part::test;
  reading.keep_text = options.rewordings || options.vectors;
  trial.table = read_table(reading);
  Table& table = trial.table;
  std::vector<std::uint8_t> keep(table.rows(), 1);
  for (std::size_t r = 0; r < table.rows(); ++r) {
    if (is_excluded(table, r, options.exclude_domain)) {
      keep[r] = 0;
      ++trial.rows_excluded;
      continue;
    }
    trial.rows_overlapping += std::binary_search(policy.trained_ids.begin(),
                                                 policy.trained_ids.end(), table.id_hashes[r]);
  }
  if (trial.rows_overlapping > 0 && !options.allow_overlap) {
    throw std::runtime_error(
        std::to_string(trial.rows_overlapping) + " of " + std::to_string(table.rows()) +
        " rows were used to train this policy; a policy is judged on other rows: train with "
        "--share 0.7 and evaluate with --part test, or use another file");
  }
  drop_rows(table, keep);
  if (table.rows() == 0) throw std::runtime_error("no row is left to evaluate");
  refuse_rows_without_outcome(trial);
  trial.priced = (table.cost_usd.array() >= 0 || table.score.array().isNaN()).all();
  for (std::size_t r = 0; r < table.rows(); ++r) {
    trial.skill.push_back(table.labels[r].empty() ? "" : table.skills[table.labels[r].front()]);
  }
  return trial;
}

std::size_t prepare_vectors(const Policy& policy, const EvaluateOptions& options, Trial& trial) {
  if (policy.dense.empty()) {
    for (Features& features : trial.table.features) features.vector.clear();
    return 0;
  }
  std::string fingerprint = policy.dense.fingerprint;
  return give_vectors(policy.dense.encoder, fingerprint, options.vectors, trial.table,
                      [&](double done) {
                        if (options.progress) options.progress("ask for vectors", 0.2 * done);
                      });
}

void run_policy(const Policy& policy, std::optional<double> quality, Trial& trial,
                const std::function<void(double)>& progress) {
  const std::size_t rows = trial.rows(), experts = trial.experts();
  trial.pool = PoolView{};
  for (const std::string& name : trial.table.experts) {
    trial.pool.experts.emplace_back();
    trial.pool.experts.back().name = name;
  }
  bind(policy, trial.pool);
  trial.chosen.resize(rows);
  trial.abstained.resize(rows);
  trial.read.resize(rows);
  trial.p = Matrix::Zero(static_cast<Eigen::Index>(rows), static_cast<Eigen::Index>(experts));
  trial.similar = trial.p;
  if (trial.priced) trial.swept.assign(kSweep, std::vector<std::uint32_t>(rows));
  constexpr std::size_t kRowsAtOnce = 256;
  const std::size_t blocks = (rows + kRowsAtOnce - 1) / kRowsAtOnce;
  std::mutex telling;
  std::size_t told = 0;
  parallel_for(blocks, [&](std::size_t block) {
    DecideScratch scratch;
    Route route;
    Query query;
    PoolView pool = trial.pool;
    for (std::size_t r = block * kRowsAtOnce; r < std::min(rows, (block + 1) * kRowsAtOnce); ++r) {
      const auto row = static_cast<Eigen::Index>(r);
      for (std::size_t e = 0; e < experts; ++e) pool.experts[e].healthy = trial.has(r, e);
      query.knobs.quality = quality;
      const Features& features = trial.table.features[r];
      decide(query, features, policy, pool, scratch, route);
      recall(policy, scratch.competence);
      trial.chosen[r] = route.candidates.front().expert;
      trial.abstained[r] = route.abstained;
      trial.read[r] = route.skills;
      for (const Candidate& c : route.candidates) {
        trial.p(row, c.expert) = c.p_correct;
        const std::int32_t known = pool.experts[c.expert].policy_expert;
        if (known >= 0)
          trial.similar(row, c.expert) =
              scratch.competence.similar[static_cast<std::size_t>(known)];
      }
      for (std::size_t i = 0; i < trial.swept.size(); ++i) {
        query.knobs.quality = sweep_quality(static_cast<int>(i));
        choose(query, features, policy, pool, scratch.competence, route);
        trial.swept[i][r] = route.candidates.front().expert;
      }
    }
    const std::lock_guard lock(telling);
    if (progress) progress(static_cast<double>(++told) / static_cast<double>(blocks));
  });
}

}  // namespace router
