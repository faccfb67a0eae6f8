#include "router/learn/train.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "router/guard.h"
#include "router/learn/embed.h"
#include "router/learn/heads.h"
#include "router/learn/metrics.h"
#include "router/learn/panels.h"

namespace router {
namespace {

constexpr const char* kGeneral = "general";

/// Labels as shares [rows, skills]. Without any label the rows are grouped by similarity instead.
Matrix make_targets(const Table& table, const Matrix& z, const Settings& settings,
                    std::vector<std::string>& skills) {
  const auto n = static_cast<Eigen::Index>(table.rows());
  skills = table.skills;
  if (skills.empty()) {
    constexpr std::size_t kRowsPerTopic = 150, kTopicsMax = 24;
    const std::size_t topics = std::clamp<std::size_t>(table.rows() / kRowsPerTopic, 1, kTopicsMax);
    Matrix centroids;
    const auto cell = group_rows(z, topics, settings.cell_iterations, centroids);
    for (Eigen::Index t = 0; t < centroids.rows(); ++t)
      skills.push_back("topic-" + std::to_string(t + 1));
    Matrix target = Matrix::Zero(n, centroids.rows());
    for (Eigen::Index r = 0; r < n; ++r) target(r, cell[static_cast<std::size_t>(r)]) = 1;
    return target;
  }
  Matrix target = Matrix::Zero(n, static_cast<Eigen::Index>(skills.size()));
  for (Eigen::Index r = 0; r < n; ++r) {
    const auto& labels = table.labels[static_cast<std::size_t>(r)];
    for (std::uint32_t s : labels) target(r, s) += 1.f / static_cast<float>(labels.size());
  }
  return target;
}

Matrix beside(std::initializer_list<const Matrix*> parts) {
  Eigen::Index columns = 0;
  for (const Matrix* part : parts) columns += part->cols();
  Matrix out((*parts.begin())->rows(), columns);
  Eigen::Index at = 0;
  for (const Matrix* part : parts) {
    out.middleCols(at, part->cols()) = *part;
    at += part->cols();
  }
  return out;
}

Matrix apply_linear(const Matrix& weight, const Matrix& x) {
  Matrix out = x * weight.leftCols(x.cols()).transpose();
  out.rowwise() += weight.col(x.cols()).transpose();
  return out;
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

/// Rows grouped into cells, so that a query is compared with a few of them only.
void put_memory(const Table& table, const Matrix& z, const Matrix& predicted,
                const Settings& settings, Policy& policy) {
  const std::size_t dim = policy.dim, experts = table.experts.size();
  std::vector<Eigen::Index> kept(table.rows());
  std::iota(kept.begin(), kept.end(), 0);
  if (kept.size() > settings.memory_rows_max) {
    // Rows are in the order of their id hashes, so evenly spaced ones are a random sample.
    std::vector<Eigen::Index> sample;
    for (std::size_t i = 0; i < settings.memory_rows_max; ++i)
      sample.push_back(kept[i * kept.size() / settings.memory_rows_max]);
    kept = std::move(sample);
  }
  const Matrix points = z(kept, Eigen::all);
  Matrix centroids;
  const auto cells = static_cast<std::size_t>(std::sqrt(static_cast<double>(kept.size())));
  const auto cell =
      group_rows(points, std::max<std::size_t>(1, cells), settings.cell_iterations, centroids);
  Memory& m = policy.memory;
  m.rows = static_cast<std::uint32_t>(kept.size());
  m.cells = static_cast<std::uint32_t>(centroids.rows());
  std::vector<std::size_t> order(kept.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return cell[a] < cell[b]; });
  auto quantise = [](float x) {
    return static_cast<std::int8_t>(std::lrintf(std::clamp(x * 127, -127.f, 127.f)));
  };
  m.centroid.resize(m.cells * dim);
  for (Eigen::Index i = 0; i < centroids.size(); ++i)
    m.centroid[static_cast<std::size_t>(i)] = quantise(centroids.data()[i]);
  m.cell_start.assign(m.cells + 1, 0);
  m.z.reserve(kept.size() * dim);
  for (std::size_t i : order) {
    ++m.cell_start[cell[i] + 1];
    for (std::size_t d = 0; d < dim; ++d)
      m.z.push_back(quantise(points(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(d))));
    const Eigen::Index row = kept[i];
    for (std::size_t e = 0; e < experts; ++e) {
      const float y = table.score(row, static_cast<Eigen::Index>(e));
      m.score.push_back(std::isnan(y) ? kUnknown
                                      : static_cast<std::uint8_t>(std::lrintf(y * kScoreSteps)));
      m.predicted.push_back(static_cast<std::uint8_t>(std::lrintf(
          std::clamp(predicted(row, static_cast<Eigen::Index>(e)), 0.f, 1.f) * kPredictedSteps)));
    }
    m.label.push_back(table.ids[static_cast<std::size_t>(row)]);
  }
  for (std::uint32_t c = 0; c < m.cells; ++c) m.cell_start[c + 1] += m.cell_start[c];
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

/// The gain of following the guarded estimates, on predictions that did not see their row.
void report_gain(const Policy& policy, TrainReport& report) {
  PoolView pool;
  for (const PolicyExpert& expert : policy.experts) {
    pool.experts.emplace_back();
    pool.experts.back().name = expert.name;
  }
  bind(policy, pool);
  report.best_single = pool.experts[pool.default_expert].name;
  report.guarded = pool.guarded;
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
  const Table table = read_table(reading);
  constexpr std::size_t kRowsMin = 10;
  if (table.rows() < kRowsMin) {
    throw std::runtime_error("only " + std::to_string(table.rows()) +
                             " rows to train on; at least " + std::to_string(kRowsMin) +
                             " are needed, a few hundred are useful");
  }

  auto policy = std::make_shared<Policy>();
  policy->seed = options.seed;
  policy->share = options.share;
  progress("embed the texts", 0.1);
  fit_bag(table, settings, options.seed, *policy);
  const Embedded rows = embed_rows(*policy, table);

  progress("learn the skills", 0.4);
  const std::vector<int> fold = assign_folds(table, settings.folds, options.seed);
  std::vector<std::string> skills;
  Matrix target = make_targets(table, rows.z, settings, skills);
  const SkillHead head = fit_skills(rows.z, target, fold, settings);
  for (Eigen::Index r = 0; r < target.rows(); ++r) {
    if (target.row(r).sum() <= 0) target.row(r) = head.held_out.row(r);
  }

  progress("learn the experts", 0.7);
  const Eigen::RowVectorXf mean = mean_known(table.score);
  const Matrix inputs = beside({&rows.z, &rows.surface, &head.held_out});
  Eigen::VectorXf lambda(inputs.cols());
  lambda << Eigen::VectorXf::Constant(rows.z.cols(), settings.ridge_z),
      Eigen::VectorXf::Constant(kSurfaceCount, settings.ridge_surface),
      Eigen::VectorXf::Constant(head.held_out.cols(), settings.ridge_skill);
  Matrix terms[3] = {Matrix(table.score.rows(), table.score.cols()),
                     {},
                     Matrix(table.score.rows(), table.score.cols())};
  parallel_for(static_cast<std::size_t>(settings.folds), [&](std::size_t f) {
    const auto fit = rows_of_fold(fold, static_cast<int>(f), false),
               held = rows_of_fold(fold, static_cast<int>(f), true);
    if (held.empty() || fit.empty()) return;
    const Profile profile = fit_profile(target, table.score, fit, settings.profile_prior);
    const Matrix by_skill = head.held_out(held, Eigen::all) * profile.rate;
    const Matrix direct =
        apply_linear(fit_ridge(inputs(fit, Eigen::all), table.score(fit, Eigen::all), lambda),
                     inputs(held, Eigen::all));
    for (std::size_t i = 0; i < held.size(); ++i) {
      terms[0].row(held[i]) = by_skill.row(static_cast<Eigen::Index>(i));
      terms[2].row(held[i]) = direct.row(static_cast<Eigen::Index>(i));
    }
  });
  terms[1] = predict_local(rows.z, table.score, terms[0], settings);
  fit_blend(terms, table.score, mean, policy->blend);
  Matrix predicted = mean.replicate(table.score.rows(), 1);
  for (int i = 0; i < 3; ++i) predicted += policy->blend[i] * (terms[i].rowwise() - mean);

  std::vector<Eigen::Index> everything(table.rows());
  std::iota(everything.begin(), everything.end(), 0);
  const Profile profile = fit_profile(target, table.score, everything, settings.profile_prior);
  policy->skills = skills;
  policy->skills.emplace_back(kGeneral);
  Matrix weight = Matrix::Zero(head.weight.rows() + 1, head.weight.cols());
  weight.topRows(head.weight.rows()) = head.weight;
  weight(head.weight.rows(), head.weight.cols() - 1) = -30;  // only novelty gives mass to `general`
  policy->skill_weight = flat(weight);
  Matrix rate(profile.rate.rows() + 1, profile.rate.cols()), support = rate;
  rate << profile.rate, mean;
  support << profile.support, profile.support.colwise().sum() * 0.01f;
  policy->profile = flat(rate);
  policy->support = flat(support);
  const Matrix direct = fit_ridge(inputs, table.score, lambda);
  Matrix padded = Matrix::Zero(direct.rows(), direct.cols() + 1);  // a column for `general`
  padded.leftCols(inputs.cols()) = direct.leftCols(inputs.cols());
  padded.rightCols(1) = direct.rightCols(1);
  policy->direct_weight = flat(padded);
  policy->neighbours = static_cast<std::uint32_t>(settings.neighbours);
  policy->neighbour_power = settings.neighbour_power;
  put_experts(table, *policy);
  put_memory(table, rows.z, predicted, settings, *policy);
  policy->panels = fit_panels(read_votes(options.files, table), predicted, head.held_out, fold,
                              policy->skills.size());
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
  report.skill_accuracy = head.accuracy;
  for (const PolicyExpert& e : policy->experts)
    report.experts.push_back({e.name, e.mean, e.cost_usd, e.outcomes});
  for (int i = 0; i < 3; ++i) report.blend[i] = policy->blend[i];
  report.calibration_error = calibration_error(predicted, table.score);
  report.alarms = find_alarms(table, target, skills);
  report_gain(*policy, report);
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
