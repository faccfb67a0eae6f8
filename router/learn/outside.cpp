#include "router/learn/outside.h"

#include <algorithm>

#include "router/competence.h"

namespace router {
namespace {

constexpr std::size_t kRowsMin = 200;

/// Rows with each bucket, by the fold that holds them out.
class Counts {
 public:
  Counts(const Table& table, const std::vector<int>& fold, int folds)
      : folds_(static_cast<std::size_t>(folds)),
        in_(std::size_t{kBuckets} * folds_),
        all_(kBuckets) {
    for (std::size_t r = 0; r < table.rows(); ++r) {
      for (const std::uint32_t bucket : table.features[r].buckets) {
        ++in_[bucket * folds_ + static_cast<std::size_t>(fold[r])];
        ++all_[bucket];
      }
    }
  }

  std::uint32_t beside(std::uint32_t bucket, int fold) const {
    return all_[bucket] - in_[bucket * folds_ + static_cast<std::size_t>(fold)];
  }

 private:
  std::size_t folds_;
  std::vector<std::uint32_t> in_, all_;
};

/// The share of unseen weight that a row would have had without its fold.
float unseen_of(const Features& features, int fold, const Counts& counts, std::size_t rows_min,
                const Policy& policy) {
  float seen = 0, unseen = 0;
  for (const std::uint32_t bucket : features.buckets) {
    if (counts.beside(bucket, fold) >= rows_min) {
      seen += policy.mass[bucket];
    } else {
      unseen += policy.unseen_mass;
    }
  }
  return seen + unseen > 0 ? unseen / (seen + unseen) : 1;
}

float at_share(std::vector<float> values, double share) {
  const auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}

}  // namespace

void bound_outside(const Table& table, const SkillHead& head, const std::vector<int>& fold,
                   const Settings& settings, Policy& policy) {
  if (table.rows() < kRowsMin || table.skills.empty()) return;
  const Counts counts(table, fold, settings.folds);
  std::vector<float> unseen, top;
  for (std::size_t r = 0; r < table.rows(); ++r) {
    unseen.push_back(
        unseen_of(table.features[r], fold[r], counts, settings.bucket_rows_min, policy));
    top.push_back(head.score.row(static_cast<Eigen::Index>(r)).maxCoeff());
  }
  policy.unseen_max = at_share(std::move(unseen), 1 - settings.outside_share);
  policy.skill_score_min = at_share(std::move(top), settings.outside_share);
}

}  // namespace router
