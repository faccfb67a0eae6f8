// Judges a policy, and the baselines beside it, on outcomes that it was not trained on.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "router/learn/metrics.h"
#include "router/policy.h"

namespace router {

struct EvaluateOptions {
  std::vector<std::string> files;
  std::vector<std::string> experts;  // --experts, --pool: only these may be chosen; empty: those of
                                     // the policy that cover half of the rows
  std::string exclude_domain;  // rows of this skill are left out
  std::string strong, weak;    // both or none: the pair of APGR and CPT; default for two experts:
                               // the one with the better training mean is the strong one
  double share = 1;            // of the split that training used; see `part`
  bool held_out_part = false;  // judge the rows that training with --share left out
  std::uint64_t seed = 0;      // of the split, the random baseline and the bootstrap
  bool allow_overlap = false;  // judge rows that the policy was trained on (the report shouts)
  std::string json, picks;     // output paths; empty: none
  std::optional<double> quality;  // the knob for the `policy` row
  std::function<void(const std::string& stage, double done)> progress;
};

struct PolicyRow {
  std::string name;
  double score = 0;
  std::optional<double> cost;  // mean usd per query
  Interval gain;               // over best_single, paired
  std::map<std::string, double> shares;
  std::optional<double> apgr, cpt50, cpt80, cpt95, aiq;
  std::vector<CostPoint> curve;  // cost-quality points, by rising cost
};

struct SkillRow {
  std::string skill;
  std::size_t rows = 0;
  double policy = 0, best_single = 0, oracle = 0;
  std::string favourite;  // most chosen expert
  double favourite_share = 0;
};

struct ReliabilityBin {
  double predicted = 0, observed = 0;
  std::size_t count = 0;
};

struct EvaluateReport {
  std::size_t rows = 0, rows_overlapping = 0, rows_excluded = 0;
  std::vector<std::string> experts, left_out;
  std::string best_single, strong, weak;
  std::vector<PolicyRow> policies;  // policy, random, best_single, oracle, cheapest, fixed_mix
  std::vector<SkillRow> skills;
  double headroom = 0;   // (policy - best_single) / (oracle - best_single)
  double abstained = 0;  // share of rows on which the guard kept the default
  double calibration_error = 0;
  std::vector<ReliabilityBin> reliability;
  std::vector<double>
      regret_by_right;  // [r]: mean (oracle - policy) on rows where r experts are right
  std::vector<std::size_t> rows_by_right;
  double seconds = 0;

  const PolicyRow& row(const std::string& name) const;
};

/// Throws std::runtime_error: bad files, an unknown expert, no rows, rows that the policy was
/// trained on (unless allow_overlap), or an output path that cannot be written.
EvaluateReport evaluate(const Policy& policy, const EvaluateOptions& options);

/// {"rows":N,"policies":{NAME:{"score","cost","gain":[mean,lo,hi],"shares",...}}, ...}
std::string to_json(const EvaluateReport& report);

/// The report for people.
void print(const EvaluateReport& report, std::ostream& out);

}  // namespace router
