// What changed from one policy to another: who is in it, what it believes, and, on outcomes that
// neither was trained on, whom it asks and what that gains.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "router/learn/evaluate.h"
#include "router/policy.h"

namespace router {

/// A success rate that both policies have.
struct ProfileChange {
  std::string skill, expert;
  double before = 0, after = 0;
  double z = 0;  // of the difference, by the outcomes behind both; the rows overlap as a rule, so
                 // this is an order of importance and not a test
};

struct SkillGain {
  std::string skill;
  std::size_t rows = 0;
  Interval gain;  // after minus before
};

/// The same rows decided by both.
struct ReplayDiff {
  std::size_t rows = 0;
  std::size_t by_words = 0;      // decisions of both that lack a vector which their policy needs
  double before = 0, after = 0;  // mean score
  Interval gain;                 // after minus before, paired, 95%
  std::optional<double> cost_before, cost_after;
  double same = 0;  // share of the rows that ask the same expert
  std::vector<std::string> experts;
  std::vector<double> share_before, share_after;  // [experts]
  std::vector<SkillGain> skills;

  /// Skills of at least `rows_min` rows whose interval lies below zero.
  std::size_t worse(std::size_t rows_min) const;
};

struct PolicyDiff {
  std::uint64_t before = 0, after = 0;  // versions
  std::vector<std::string> experts_added, experts_removed, skills_added, skills_removed;
  std::vector<ProfileChange> changes;  // the largest |z| first
  std::optional<ReplayDiff> replay;    // when there were outcome files
};

/// `options`: files, experts, split, quality, seed as for evaluate(); no files: no replay. Throws
/// std::runtime_error as evaluate() does, and when the two have no expert in common.
PolicyDiff diff_policies(const Policy& before, const Policy& after, const EvaluateOptions& options);

std::string to_json(const PolicyDiff& diff);
void print(const PolicyDiff& diff, std::ostream& out);

}  // namespace router
