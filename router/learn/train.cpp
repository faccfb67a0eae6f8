#include "router/learn/train.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "router/competence.h"
#include "router/guard.h"
#include "router/learn/bag.h"
#include "router/learn/dense.h"
#include "router/learn/heads.h"
#include "router/learn/metrics.h"
#include "router/learn/outside.h"
#include "router/learn/panels.h"

namespace router {
namespace {

constexpr const char* kGeneral = "general";
constexpr std::size_t kLane = 16;  // columns that the kernels add at once

/// Labels as shares [rows, skills]. Without any label the rows are grouped by similarity instead.
Matrix make_targets(const Table& table, const Sparse& x, const Settings& settings,
                    std::vector<std::string>& skills) {
  const auto n = static_cast<Eigen::Index>(table.rows());
  skills = table.skills;
  if (skills.empty()) {
    constexpr std::size_t kRowsPerTopic = 150, kTopicsMax = 24;
    const std::size_t topics = std::clamp<std::size_t>(table.rows() / kRowsPerTopic, 1, kTopicsMax);
    const auto group = group_rows(x, topics, settings.topic_iterations);
    for (std::size_t t = 0; t < topics; ++t) skills.push_back("topic-" + std::to_string(t + 1));
    Matrix target = Matrix::Zero(n, static_cast<Eigen::Index>(topics));
    for (Eigen::Index r = 0; r < n; ++r) target(r, group[static_cast<std::size_t>(r)]) = 1;
    return target;
  }
  Matrix target = Matrix::Zero(n, static_cast<Eigen::Index>(skills.size()));
  for (Eigen::Index r = 0; r < n; ++r) {
    const auto& labels = table.labels[static_cast<std::size_t>(r)];
    for (std::uint32_t s : labels) target(r, s) += 1.f / static_cast<float>(labels.size());
  }
  return target;
}

std::vector<float> flat(const Matrix& m) {
  return {m.data(), m.data() + m.size()};
}

void put_experts(const Table& table, Policy& policy) {
  const Eigen::RowVectorXf mean = mean_known(table.score);
  for (std::size_t e = 0; e < table.experts.size(); ++e) {
    const auto column = static_cast<Eigen::Index>(e);
    PolicyExpert expert;
    expert.name = table.experts[e];
    expert.mean = mean(column);
    expert.latency_ms = table.latency_ms[e];
    if (table.tokens_out[e] > 0) expert.tokens_out = table.tokens_out[e];
    double cost = 0;
    std::size_t priced = 0;
    for (Eigen::Index r = 0; r < table.score.rows(); ++r) {
      expert.outcomes += !std::isnan(table.score(r, column));
      if (table.cost_usd(r, column) >= 0) cost += table.cost_usd(r, column), ++priced;
    }
    if (priced) expert.cost_usd = static_cast<float>(cost / static_cast<double>(priced));
    policy.experts.push_back(std::move(expert));
  }
}

/// Which rows the policy keeps.
std::vector<Eigen::Index> choose_rows(std::size_t rows, std::size_t most) {
  // Rows are in the order of their id hashes, so evenly spaced ones are a random sample.
  const std::size_t kept = std::min(rows, most);
  std::vector<Eigen::Index> out;
  for (std::size_t i = 0; i < kept; ++i) out.push_back(static_cast<Eigen::Index>(i * rows / kept));
  return out;
}

/// Held-out predictions as the memory keeps them, of the rows that it keeps.
std::vector<std::uint8_t> steps_of(const Matrix& predicted, const Settings& settings) {
  std::vector<std::uint8_t> out;
  const auto rows = static_cast<std::size_t>(predicted.rows());
  for (const Eigen::Index row : choose_rows(rows, settings.memory_rows_max)) {
    for (const float p : predicted.row(row))
      out.push_back(
          static_cast<std::uint8_t>(std::lrintf(std::clamp(p, 0.f, 1.f) * kPredictedSteps)));
  }
  return out;
}

/// `score` [rows, dim]: held out, as the bag would give them.
void put_memory(const Table& table, const Matrix& score, const Matrix& predicted,
                const Settings& settings, Policy& policy) {
  const std::size_t experts = table.experts.size();
  policy.key_scale.assign(policy.dim, 0);
  for (Eigen::Index d = 0; d < score.cols(); ++d) {
    const float spread = std::sqrt(score.col(d).squaredNorm() / static_cast<float>(score.rows()));
    if (spread > 1e-6f) policy.key_scale[static_cast<std::size_t>(d)] = 1 / spread;
  }
  Memory& m = policy.memory;
  m.predicted = steps_of(predicted, settings);
  for (const Eigen::Index row : choose_rows(table.rows(), settings.memory_rows_max)) {
    ++m.rows;
    m.z.resize(std::size_t{m.rows} * policy.dim);
    make_key(policy, &score(row, 0), &m.z[m.z.size() - policy.dim]);
    for (std::size_t e = 0; e < experts; ++e) {
      const float y = table.score(row, static_cast<Eigen::Index>(e));
      m.score.push_back(std::isnan(y) ? kUnknown
                                      : static_cast<std::uint8_t>(std::lrintf(y * kScoreSteps)));
    }
    m.label.push_back(table.ids[static_cast<std::size_t>(row)]);
  }
}

/// [left, right, zeros] up to the policy's width.
Matrix fill_columns(const Matrix& left, const Matrix& right, const Policy& policy) {
  Matrix out = Matrix::Zero(left.rows(), policy.dim);
  out.leftCols(left.cols()) = left;
  out.middleCols(left.cols(), right.cols()) = right;
  return out;
}

void put_skills(const SkillHead& head, const OutcomeHead& outcomes, const Profile& profile,
                const Eigen::RowVectorXf& mean, Policy& policy) {
  constexpr float kNotInText = -60;  // `general` is for declared skills, which have evidence for it
  policy.skill_sharpness = head.sharpness;
  policy.skill_bias = head.bias;
  policy.skill_bias.push_back(kNotInText);
  Matrix rate(profile.rate.rows() + 1, profile.rate.cols()),
      support = rate, gain = Matrix::Zero(rate.rows(), rate.cols());
  rate << profile.rate, mean;
  support << profile.support, profile.support.colwise().sum() * 0.01f;
  gain.topRows(outcomes.gain.rows()) = outcomes.gain;
  policy.profile = flat(rate);
  policy.support = flat(support);
  policy.skill_gain = flat(gain);
}

/// Mean costs by skill, drawn to the expert's mean where a skill has few rows. `target`
/// [rows, skills]; the policy's last skill is `general`.
void put_costs(const Matrix& target, const Table& table, float prior, Policy& policy) {
  const std::size_t skills = policy.skills.size(), experts = policy.experts.size();
  policy.skill_cost.assign(skills * experts, -1);
  for (std::size_t e = 0; e < experts; ++e) {
    if (policy.experts[e].cost_usd < 0) continue;
    for (std::size_t s = 0; s < skills; ++s) {
      double sum = double{prior} * policy.experts[e].cost_usd, weight = prior;
      for (Eigen::Index r = 0; s + 1 < skills && r < target.rows(); ++r) {
        const float cost = table.cost_usd(r, static_cast<Eigen::Index>(e));
        const float share = target(r, static_cast<Eigen::Index>(s));
        if (cost >= 0) sum += double{share} * cost, weight += share;
      }
      policy.skill_cost[s * experts + e] = static_cast<float>(sum / weight);
    }
  }
}

std::vector<Alarm> find_alarms(const Table& table, const Matrix& target,
                               const std::vector<std::string>& skills) {
  constexpr double kOutcomesMin = 20, kZ = -4;
  std::vector<Alarm> alarms;
  for (std::size_t s = 0; s < skills.size(); ++s) {
    for (std::size_t e = 0; e < table.experts.size(); ++e) {
      double n = 0, sum = 0, chance = 0;
      for (Eigen::Index r = 0; r < target.rows(); ++r) {
        const float options = table.features[static_cast<std::size_t>(r)].surface[kOptions] * 4;
        const float y = table.score(r, static_cast<Eigen::Index>(e));
        if (target(r, static_cast<Eigen::Index>(s)) < 0.5f || options < 2 || std::isnan(y))
          continue;
        n += 1, sum += y, chance += 1 / options;
      }
      if (n < kOutcomesMin) continue;
      const double score = sum / n, expected = chance / n;
      if ((score - expected) / std::sqrt(expected * (1 - expected) / n) > kZ) continue;
      alarms.push_back(
          {skills[s], table.experts[e], static_cast<std::uint32_t>(n), score, expected});
    }
  }
  return alarms;
}

/// The gain of following the guarded estimates, on predictions that did not see their row. Returns
/// the margin by which an expert must beat the default.
float report_gain(const Policy& policy, TrainReport& report) {
  PoolView pool;
  for (const PolicyExpert& expert : policy.experts) {
    pool.experts.emplace_back();
    pool.experts.back().name = expert.name;
  }
  bind(policy, pool);
  report.best_single = pool.experts[pool.default_expert].name;
  report.guarded = pool.guarded;
  report.gain_by_words = static_cast<double>(pool.by_words.gain_mean);
  const Memory& m = policy.memory;
  const std::size_t experts = policy.experts.size();
  const std::uint32_t fallback = pool.default_expert;
  std::vector<double> gains;
  for (std::uint32_t r = 0; r < m.rows; ++r) {
    const std::uint8_t* score = &m.score[r * experts];
    const std::uint8_t* predicted = &m.predicted[r * experts];
    if (score[fallback] == kUnknown) continue;
    std::uint32_t best = fallback;
    float top = static_cast<float>(predicted[fallback]) + pool.experts[0].margin * kPredictedSteps;
    for (std::uint32_t e = 0; e < experts && !pool.guarded; ++e) {
      if (score[e] != kUnknown && predicted[e] > top) top = predicted[e], best = e;
    }
    gains.push_back((static_cast<double>(score[best]) - score[fallback]) / kScoreSteps);
  }
  const Interval interval = bootstrap_mean(gains, policy.seed);
  report.gain[0] = interval.mean, report.gain[1] = interval.lo, report.gain[2] = interval.hi;
  return pool.experts[0].margin;
}

/// Vectors for the rows of the table; how many have one. Fills encoder and fingerprint.
std::size_t encode_rows(const TrainOptions& options, Table& table, Dense& dense) {
  dense.encoder = options.encoder;
  const std::size_t without =
      give_vectors(options.encoder, dense.fingerprint, options.vectors, table, [&](double done) {
        if (options.progress) options.progress("ask for vectors", 0.1 * done);
      });
  table.texts.clear();
  if (without > table.rows() / 2)
    throw std::runtime_error(std::to_string(without) + " of " + std::to_string(table.rows()) +
                             " rows have no vector of `" + options.encoder +
                             "`: is there an expert that makes them, and does it take such texts?");
  return table.rows() - without;
}

}  // namespace

TrainReport train(const TrainOptions& options, PolicyPtr* result) {
  const auto started = std::chrono::steady_clock::now();
  auto progress = [&](const char* stage, double done) {
    if (options.progress) options.progress(stage, done);
  };
  const Settings settings;
  progress("read the outcomes", 0);
  TableOptions reading;
  reading.files = options.files;
  reading.experts = options.experts;
  reading.limit = options.limit;
  reading.seed = options.seed;
  reading.share = options.share;
  reading.part = options.share < 1 ? Part::train : Part::all;
  reading.keep_text = !options.encoder.empty();
  Table table = read_table(reading);
  constexpr std::size_t kRowsMin = 10;
  if (table.rows() < kRowsMin) {
    throw std::runtime_error("only " + std::to_string(table.rows()) +
                             " rows to train on; at least " + std::to_string(kRowsMin) +
                             " are needed, a few hundred are useful");
  }

  auto policy = std::make_shared<Policy>();
  policy->seed = options.seed;
  policy->share = options.share;
  std::size_t vectors = 0;
  if (!options.encoder.empty()) vectors = encode_rows(options, table, policy->dense);
  put_experts(table, *policy);
  progress("read the texts", 0.1);
  const Vocabulary vocabulary = weigh_buckets(table, settings, *policy);
  const Sparse x = read_texts(table, *policy, vocabulary);

  progress("learn the skills", 0.2);
  const std::vector<int> fold = assign_folds(table, settings.folds, options.seed);
  std::vector<std::string> skills;
  Matrix target = make_targets(table, x, settings, skills);
  const SkillHead head = fit_skills(x, target, fold, settings);
  bound_outside(table, head, fold, settings, *policy);

  progress("learn the experts", 0.5);
  const OutcomeHead outcomes = fit_outcomes(x, head.share, table.score, fold, settings);
  DenseHead full;
  full.skills = head, full.outcomes = outcomes;
  DenseRows dense;
  if (!policy->dense.empty()) {
    progress("learn from the vectors", 0.7);
    dense = read_dense(table, policy->dense.dimension());
    full = fit_dense(dense, head, outcomes, target, table.score, fold, settings);
    if (!full.helps) policy->dense = {};
  }
  const Matrix &share = full.skills.share, &predicted = full.outcomes.predicted;
  for (Eigen::Index r = 0; r < target.rows(); ++r) {
    if (target.row(r).sum() <= 0) target.row(r) = share.row(r);
  }

  policy->skills = skills;
  policy->skills.emplace_back(kGeneral);
  const std::size_t columns = policy->experts.size() + policy->skills.size();
  policy->dim = static_cast<std::uint32_t>((columns + kLane - 1) / kLane * kLane);
  put_weights(fill_columns(outcomes.weight, head.weight, *policy), vocabulary, *policy);
  const Profile profile = fit_profile(target, table.score, settings.profile_prior);
  put_costs(target, table, settings.profile_prior, *policy);
  put_skills(head, outcomes, profile, mean_known(table.score), *policy);
  put_memory(table, fill_columns(full.outcomes.score, full.skills.score, *policy), predicted,
             settings, *policy);
  if (!policy->dense.empty()) {
    const auto experts = static_cast<Eigen::Index>(policy->experts.size());
    put_dense(fill_columns(full.weight.leftCols(experts),
                           full.weight.rightCols(full.weight.cols() - experts), *policy),
              dense, *policy);
    policy->dense.sharpen = full.sharpen;
    policy->memory.predicted_by_words = steps_of(outcomes.predicted, settings);
  }
  policy->panels =
      fit_panels(read_votes(options.files, table), predicted, share, fold, policy->skills.size());
  policy->trained_ids = table.id_hashes;
  for (const std::string& file : options.files) {
    policy->source += (policy->source.empty() ? "" : " ") + file.substr(file.find_last_of('/') + 1);
  }

  progress("check and write", 0.95);
  TrainReport report;
  report.rows = table.rows();
  report.rows_read = table.rows_read;
  report.left_out = table.left_out;
  report.skills = skills;
  report.skill_accuracy = full.skills.accuracy;
  report.vectors = vectors;
  report.vectors_help = !policy->dense.empty();
  for (const PolicyExpert& e : policy->experts)
    report.experts.push_back({e.name, e.mean, e.cost_usd, e.outcomes});
  report.calibration_error = calibration_error(predicted, table.score);
  report.alarms = find_alarms(table, target, skills);
  const float margin = report_gain(*policy, report);
  if (!report.guarded)
    report.unseen = judge_unseen(x, head.share, table, margin, settings, options.seed);
  const std::string bytes = encode_policy(*policy);
  report.policy_bytes = bytes.size();
  report.policy_version = policy->version;
  if (!options.out.empty()) save_policy(*policy, options.out);
  report.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  if (result) *result = policy;
  progress("done", 1);
  return report;
}

}  // namespace router
