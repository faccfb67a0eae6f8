#include "router/learn/newcomer.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "router/competence.h"
#include "router/guard.h"
#include "router/learn/outcomes.h"
#include "router/learn/play.h"

namespace router {
namespace {

constexpr double kLevelSdMin = 0.15;    // experts that are all alike do not bind a newcomer to that
constexpr double kStrengthSdMin = 0.1;  // the same of their strengths
constexpr float kByteMax = 127;
constexpr std::uint32_t kColumns = 16;  // Policy::dim is a multiple of it

/// What the pool has in common, and how far its experts differ.
struct Pooled {
  double level = 0, level_sd = 0;
  std::vector<double> gain, gain_sd;  // by skill
};

double sd_of(const std::vector<double>& values, double mean) {
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return values.size() < 2 ? 0 : std::sqrt(squares / static_cast<double>(values.size() - 1));
}

Pooled pool_of(const Policy& policy) {
  const std::size_t experts = policy.experts.size();
  Pooled pooled;
  std::vector<double> values;
  for (const PolicyExpert& expert : policy.experts) values.push_back(expert.mean);
  pooled.level = mean_of(values);
  pooled.level_sd = std::max(kLevelSdMin, sd_of(values, pooled.level));
  for (std::size_t s = 0; s < policy.skills.size(); ++s) {
    for (std::size_t e = 0; e < experts; ++e)
      values[e] = static_cast<double>(policy.skill_gain[s * experts + e]);
    pooled.gain.push_back(mean_of(values));
    pooled.gain_sd.push_back(std::max(kStrengthSdMin, sd_of(values, pooled.gain.back())));
  }
  return pooled;
}

/// What the fit needs of the probes: skills, and what the pool's average says before the level.
struct Seen {
  Eigen::MatrixXd share;  // [probes, skills]
  Eigen::VectorXd base, score;
};

Seen read(const Policy& policy, const Pooled& pooled, const std::vector<ProbeOutcome>& probes) {
  const auto rows = static_cast<Eigen::Index>(probes.size());
  const auto skills = static_cast<Eigen::Index>(policy.skills.size());
  Seen seen{Eigen::MatrixXd(rows, skills), Eigen::VectorXd(rows), Eigen::VectorXd(rows)};
  Extractor extractor;
  Features features;
  Competence known;
  for (Eigen::Index i = 0; i < rows; ++i) {
    const ProbeOutcome& probe = probes[static_cast<std::size_t>(i)];
    extractor.extract(probe.text, features);
    estimate(policy, features, known);
    double base = 0;
    for (std::size_t e = 0; e < policy.experts.size(); ++e)
      base += static_cast<double>(known.score[e]) / static_cast<double>(policy.experts.size());
    for (Eigen::Index s = 0; s < skills; ++s) {
      const auto at = static_cast<std::size_t>(s);
      seen.share(i, s) = static_cast<double>(known.skills[at]);
      base += seen.share(i, s) * pooled.gain[at];
    }
    seen.base[i] = base;
    seen.score[i] = static_cast<double>(probe.score);
  }
  return seen;
}

/// Posterior of (level - pooled level, strengths) given the outcomes.
struct Fitted {
  Eigen::VectorXd mean;
  Eigen::MatrixXd covariance;
};

Fitted fit(const Pooled& pooled, const Seen& seen) {
  const Eigen::Index skills = seen.share.cols(), rows = seen.share.rows();
  Eigen::MatrixXd design(rows, skills + 1);
  design.col(0).setOnes();
  design.rightCols(skills) = seen.share;
  const double p = std::clamp(seen.score.mean(), 0.1, 0.9);
  const double noise = p * (1 - p);
  Eigen::VectorXd precision(skills + 1);
  precision[0] = 1 / (pooled.level_sd * pooled.level_sd);
  for (Eigen::Index s = 0; s < skills; ++s) {
    const double sd = pooled.gain_sd[static_cast<std::size_t>(s)];
    precision[s + 1] = 1 / (sd * sd);
  }
  Eigen::MatrixXd whole = design.transpose() * design / noise;
  whole.diagonal() += precision;
  const Eigen::VectorXd target =
      design.transpose() *
      (seen.score - seen.base - Eigen::VectorXd::Constant(rows, pooled.level)) / noise;
  const Eigen::LLT<Eigen::MatrixXd> solver(whole);
  return {solver.solve(target), solver.solve(Eigen::MatrixXd::Identity(skills + 1, skills + 1))};
}

/// How often each skill is needed among the rows that the policy was trained on.
Eigen::VectorXd needs_of(const Policy& policy) {
  const auto skills = static_cast<Eigen::Index>(policy.skills.size());
  Eigen::VectorXd needs = Eigen::VectorXd::Constant(skills, 1e-9);  // none known: all alike
  for (std::size_t i = 0; i < policy.support.size(); ++i)
    needs[static_cast<Eigen::Index>(i / policy.experts.size())] +=
        static_cast<double>(policy.support[i]);
  return needs / needs.sum();
}

/// A [rows, experts] table with one column more (`column` of the row), or another last one.
template <typename T, typename Column>
void add_column(std::vector<T>& table, std::size_t experts, Column column) {
  const std::size_t rows = table.size() / experts;
  std::vector<T> wider;
  wider.reserve(rows * (experts + 1));
  for (std::size_t r = 0; r < rows; ++r) {
    wider.insert(wider.end(), &table[r * experts], &table[r * experts] + experts);
    wider.push_back(column(r));
  }
  table = std::move(wider);
}

/// Rows of `dim` bytes, [experts, skills, zeros], with the newcomer's byte after the experts.
template <typename Byte>
std::vector<std::int8_t> widen(const std::vector<std::int8_t>& rows, std::uint32_t dim,
                               std::uint32_t wider, std::size_t experts, std::size_t skills,
                               Byte byte) {
  const std::size_t count = rows.size() / dim;
  std::vector<std::int8_t> out(count * wider, 0);
  for (std::size_t r = 0; r < count; ++r) {
    const std::int8_t* from = &rows[r * dim];
    std::int8_t* to = &out[r * wider];
    std::copy(from, from + experts, to);
    to[experts] = byte(from);
    std::copy(from + experts, from + experts + skills, to + experts + 1);
  }
  return out;
}

std::vector<float> widen(const std::vector<float>& row, std::uint32_t wider, std::size_t experts,
                         std::size_t skills, float value) {
  std::vector<float> out(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(experts));
  out.push_back(value);
  const auto first = row.begin() + static_cast<std::ptrdiff_t>(experts);
  out.insert(out.end(), first, first + static_cast<std::ptrdiff_t>(skills));
  out.resize(wider, 0);
  return out;
}

/// The mean of the experts' weights of a row.
float average(const std::int8_t* row, const std::vector<float>& scale, std::size_t experts) {
  float sum = 0;
  for (std::size_t e = 0; e < experts; ++e) sum += scale[e] * static_cast<float>(row[e]);
  return sum / static_cast<float>(experts);
}

/// Rows of weights with the average expert's after the experts; `scale`: the columns' steps, its
/// own among them then.
void widen_weights(std::vector<std::int8_t>& rows, std::vector<float>& scale, std::uint32_t dim,
                   std::uint32_t wider, std::size_t experts, std::size_t skills) {
  float top = 0;
  for (std::size_t r = 0; r < rows.size() / dim; ++r)
    top = std::max(top, std::abs(average(&rows[r * dim], scale, experts)));
  const float step = top > 0 ? top / kByteMax : 1;
  rows = widen(rows, dim, wider, experts, skills, [&](const std::int8_t* row) {
    return static_cast<std::int8_t>(std::lround(average(row, scale, experts) / step));
  });
  scale = widen(scale, wider, experts, skills, step);
}

void widen_columns(Policy& policy, const Policy& base) {
  const std::size_t experts = base.experts.size(), skills = base.skills.size();
  policy.dim =
      static_cast<std::uint32_t>((experts + 1 + skills + kColumns - 1) / kColumns) * kColumns;
  widen_weights(policy.bag, policy.bag_scale, base.dim, policy.dim, experts, skills);
  if (Dense& dense = policy.dense; !dense.empty()) {
    widen_weights(dense.weight, dense.scale, base.dim, policy.dim, experts, skills);
    const float shift =
        std::accumulate(base.dense.shift.begin(),
                        base.dense.shift.begin() + static_cast<std::ptrdiff_t>(experts), 0.f);
    dense.shift =
        widen(base.dense.shift, policy.dim, experts, skills, shift / static_cast<float>(experts));
  }
  policy.key_scale = widen(base.key_scale, policy.dim, experts, skills, 0);
  policy.memory.z = widen(base.memory.z, base.dim, policy.dim, experts, skills,
                          [](const std::int8_t*) { return std::int8_t{0}; });
}

/// A probe's number where it is known, on average; `otherwise` when none is.
template <typename Number>
float mean_reported(const std::vector<ProbeOutcome>& probes, Number number, float otherwise) {
  double sum = 0, count = 0;
  for (const ProbeOutcome& probe : probes) {
    const auto value = static_cast<double>(number(probe));
    if (value < 0) continue;
    sum += value, ++count;
  }
  return count > 0 ? static_cast<float>(sum / count) : otherwise;
}

/// The policy without one of its experts.
Policy without(const Policy& policy, std::size_t expert) {
  Policy out = policy;
  const std::size_t experts = policy.experts.size(), columns = experts + policy.skills.size();
  out.experts.erase(out.experts.begin() + static_cast<std::ptrdiff_t>(expert));
  const auto narrow = [&](auto& table) {
    auto whole = std::move(table);
    table.clear();
    for (std::size_t i = 0; i < whole.size(); ++i)
      if (i % experts != expert) table.push_back(whole[i]);
  };
  narrow(out.skill_gain), narrow(out.profile), narrow(out.support), narrow(out.skill_cost);
  narrow(out.memory.score), narrow(out.memory.predicted), narrow(out.panels.weight);
  narrow(out.memory.predicted_by_words);
  const auto cut = [&](auto& rows) {  // its column of every row; the zeros behind grow by one
    for (std::size_t r = 0; r < rows.size() / policy.dim; ++r) {
      auto* row = &rows[r * policy.dim];
      std::copy(row + expert + 1, row + columns, row + expert);
      row[columns - 1] = 0;
    }
  };
  cut(out.bag), cut(out.bag_scale), cut(out.key_scale), cut(out.memory.z);
  cut(out.dense.weight), cut(out.dense.scale), cut(out.dense.shift);
  return out;
}

/// Its place; the number of experts when the policy does not know it.
std::uint32_t place_of(const Policy& policy, const std::string& name) {
  const auto same = [&](const PolicyExpert& expert) { return expert.name == name; };
  const auto found = std::find_if(policy.experts.begin(), policy.experts.end(), same);
  return static_cast<std::uint32_t>(found - policy.experts.begin());
}

void check(const Policy& policy, const std::string& name, const std::vector<ProbeOutcome>& probes) {
  const auto why = why_not_new(policy, name);
  if (!why.empty()) throw std::runtime_error(why);
  if (probes.size() < kProbesMin)
    throw std::runtime_error("`" + name + "` has " + std::to_string(probes.size()) +
                             " graded answers, at least " + std::to_string(kProbesMin) +
                             " are needed");
}

/// The policy that the newcomer is added to: without it, where probes put it there before.
Policy base_of(const Policy& policy, const std::string& name) {
  const auto place = place_of(policy, name);
  return place < policy.experts.size() ? without(policy, place) : policy;
}

/// What it would have been expected to do on the rows that the policy remembers, as far as the
/// average expert says.
std::uint8_t predict(const Policy& base, const std::vector<std::uint8_t>& predicted, double level,
                     std::size_t row) {
  const std::size_t experts = base.experts.size();
  double p = level;
  for (std::size_t e = 0; e < experts; ++e)
    p += (predicted[row * experts + e] / static_cast<double>(kPredictedSteps) -
          static_cast<double>(base.experts[e].mean)) /
         static_cast<double>(experts);
  return static_cast<std::uint8_t>(
      std::lround(std::clamp(p, 0.01, 0.99) * static_cast<double>(kPredictedSteps)));
}

}  // namespace

std::string why_not_new(const Policy& policy, const std::string& name) {
  if (policy.empty() || policy.declared)
    return "no learned policy runs that a newcomer could be added to: train one first";
  const auto place = place_of(policy, name);
  const bool trained =
      place < policy.experts.size() &&
      (policy.memory.rows == 0 || is_remembered(policy, place) || policy.experts.size() == 1);
  if (!trained) return "";
  return "the policy knows `" + name +
         "` from its training already: train again to change what it knows";
}

Newcomer add_newcomer(const Policy& policy, const std::string& name,
                      const std::vector<ProbeOutcome>& probes) {
  check(policy, name, probes);
  const Policy base = base_of(policy, name);
  const std::size_t experts = base.experts.size(), skills = base.skills.size();
  const Pooled pooled = pool_of(base);
  const Seen seen = read(base, pooled, probes);
  const Fitted fitted = fit(pooled, seen);

  const double level = pooled.level + fitted.mean[0];
  const auto count = static_cast<Eigen::Index>(skills);
  const Eigen::VectorXd needs = needs_of(base);
  const Eigen::VectorXd strengths =
      Eigen::Map<const Eigen::VectorXd>(pooled.gain.data(), count) + fitted.mean.tail(count);
  const double usual =
      needs.dot(strengths);  // of the strengths, over queries like the policy's own
  Eigen::VectorXd whole(count + 1);
  whole << 1, needs;

  Newcomer out;
  out.raw = seen.score.mean();
  out.mean = std::clamp(level + usual, 0.0, 1.0);
  out.error = std::sqrt(whole.dot(fitted.covariance * whole));
  out.policy = base;
  Policy& made = out.policy;
  made.version = 0;
  widen_columns(made, base);
  PolicyExpert expert;
  expert.name = name;
  expert.mean = static_cast<float>(out.mean);
  expert.cost_usd = mean_reported(
      probes, [](const auto& p) { return p.cost_usd; }, -1);
  expert.latency_ms = mean_reported(
      probes, [](const auto& p) { return p.latency_ms; }, -1);
  expert.tokens_out = mean_reported(
      probes, [](const auto& p) { return p.tokens_out; }, expert.tokens_out);
  expert.outcomes = static_cast<std::uint32_t>(probes.size());
  made.experts.push_back(expert);
  for (std::size_t s = 0; s < skills; ++s) {
    const auto at = static_cast<Eigen::Index>(s);
    const double variance = fitted.covariance(0, 0) + fitted.covariance(at + 1, at + 1) +
                            2 * fitted.covariance(0, at + 1);
    out.skills.push_back({base.skills[s], seen.share.col(at).sum(),
                          std::clamp(level + strengths[at], 0.0, 1.0), std::sqrt(variance)});
  }
  const auto rate = [&](std::size_t s) { return static_cast<float>(out.skills[s].rate); };
  add_column(made.skill_gain, experts, [&](std::size_t s) {
    return static_cast<float>(strengths[static_cast<Eigen::Index>(s)] - usual);
  });
  add_column(made.profile, experts, rate);
  add_column(made.support, experts,
             [&](std::size_t s) { return static_cast<float>(out.skills[s].outcomes); });
  add_column(made.skill_cost, experts, [&](std::size_t) { return expert.cost_usd; });
  add_column(made.memory.score, experts, [](std::size_t) { return kUnknown; });
  for (const auto table : {&Memory::predicted, &Memory::predicted_by_words})
    add_column(made.memory.*table, experts,
               [&](std::size_t row) { return predict(base, base.memory.*table, out.mean, row); });
  if (made.panels.rows > 0) {
    const std::vector<float> weight = base.panels.weight;
    add_column(made.panels.weight, experts, [&](std::size_t s) {
      float sum = 0;
      for (std::size_t e = 0; e < experts; ++e) sum += weight[s * experts + e];
      return sum / static_cast<float>(experts);
    });
  }
  return out;
}

std::vector<ProbeOutcome> read_probes(const std::string& path, const std::string& expert) {
  OutcomeReader reader(path);
  OutcomeRow row;
  std::vector<ProbeOutcome> probes;
  while (reader.next(row)) {
    for (const Outcome& outcome : row.outcomes) {
      if (reader.experts()[outcome.expert] != expert) continue;
      probes.push_back(
          {row.text, outcome.score, outcome.cost_usd, outcome.latency_ms, outcome.tokens_out});
    }
  }
  refuse_faults(reader);
  return probes;
}

}  // namespace router
