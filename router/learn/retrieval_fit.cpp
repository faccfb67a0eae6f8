#include "router/learn/retrieval_fit.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <vector>

namespace router {
namespace {

using Vector = Eigen::Vector4d;

Vector vector_of(const ProbeFeatures& values) {
  return Vector::Map(values.data());
}

/// Expected counts of one pass over the rows of an arm.
struct ArmCounts {
  double helped = 0, wrong_alone = 0;   // among relevant
  double spoiled = 0, right_alone = 0;  // among the others
};

double ratio(double part, double whole) {
  return whole > 0 ? part / whole : 0;
}

/// The posterior relevance of a row; adds its expected counts.
double expect(const RetrievalRow& row, const RetrievalArm& arm, ArmCounts& counts) {
  const double r = relevance(arm, row.probe);
  const double c0 = std::clamp(row.c0, 0.0, 1.0);
  const double right_if = c0 + (1 - c0) * arm.helps;  // relevant
  const double right_else = c0 * (1 - arm.spoils);    // not
  double posterior = 0;
  const auto add = [&](double weight, double if_relevant, double if_not, double helped,
                       double wrong_alone, double spoiled, double right_alone) {
    const double q = ratio(r * if_relevant, r * if_relevant + (1 - r) * if_not);
    posterior += weight * q;
    counts.helped += weight * q * helped;
    counts.wrong_alone += weight * q * wrong_alone;
    counts.spoiled += weight * (1 - q) * spoiled;
    counts.right_alone += weight * (1 - q) * right_alone;
  };
  const double helped = ratio((1 - c0) * arm.helps, right_if);
  const double spoiled = ratio(c0 * arm.spoils, 1 - right_else);
  const double score = std::clamp(row.score, 0.0, 1.0);
  add(score, right_if, right_else, helped, helped, 0, 1);
  add(1 - score, 1 - right_if, 1 - right_else, 0, 1, spoiled, spoiled);
  return posterior;
}

/// Newton steps of the penalised logistic likelihood with soft targets.
Vector fit_weights(const std::vector<Vector>& features, const std::vector<double>& target,
                   const Vector& start, const Vector& prior, double ridge) {
  constexpr int kNewtonSteps = 4;
  Vector weight = start;
  for (int step = 0; step < kNewtonSteps; ++step) {
    Eigen::Matrix4d curvature = ridge * Eigen::Matrix4d::Identity();
    Vector slope = -ridge * (weight - prior);
    for (std::size_t i = 0; i < features.size(); ++i) {
      const double p = 1 / (1 + std::exp(-weight.dot(features[i])));
      slope += (target[i] - p) * features[i];
      curvature += p * (1 - p) * features[i] * features[i].transpose();
    }
    Vector move = curvature.ldlt().solve(slope);
    constexpr double kMoveMax = 2;  // far from the optimum a full step may overshoot
    if (const double length = move.norm(); length > kMoveMax) move *= kMoveMax / length;
    weight += move;
  }
  return weight;
}

RetrievalArm fit_arm(std::span<const RetrievalRow> rows, int passages, const RetrievalArm& prior,
                     const RetrievalFitRules& rules) {
  std::vector<const RetrievalRow*> shown;
  std::vector<Vector> features;
  for (const RetrievalRow& row : rows) {
    if (row.passages != passages || row.probe.found == 0) continue;
    shown.push_back(&row);
    features.push_back(vector_of(features_of(row.probe)));
  }
  RetrievalArm arm = prior;
  if (shown.empty()) return arm;
  std::vector<double> posterior(shown.size());
  for (int round = 0; round < rules.rounds_max; ++round) {
    ArmCounts counts;
    for (std::size_t i = 0; i < shown.size(); ++i) posterior[i] = expect(*shown[i], arm, counts);
    RetrievalArm next = arm;
    const double ballast = std::max(rules.prior_rows, 1e-9);
    next.helps = (counts.helped + ballast * prior.helps) / (counts.wrong_alone + ballast);
    next.spoils = (counts.spoiled + ballast * prior.spoils) / (counts.right_alone + ballast);
    const Vector weight = fit_weights(features, posterior, vector_of(arm.weight),
                                      vector_of(prior.weight), rules.ridge);
    Vector::Map(next.weight.data()) = weight;
    const double change =
        std::max({std::abs(next.helps - arm.helps), std::abs(next.spoils - arm.spoils),
                  (weight - vector_of(arm.weight)).cwiseAbs().maxCoeff()});
    arm = next;
    if (change < rules.enough) break;
  }
  return arm;
}

}  // namespace

RetrievalModel fit_retrieval(std::span<const RetrievalRow> rows, const RetrievalModel& prior,
                             const RetrievalFitRules& rules) {
  RetrievalModel model;
  for (std::size_t i = 0; i < kPassages.size(); ++i)
    model.arms[i] = fit_arm(rows, kPassages[i], prior.arms[i], rules);
  return model;
}

}  // namespace router
