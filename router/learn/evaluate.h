// Judges a policy, and other ways of routing beside it, on outcomes that it was not trained on.
// evaluate() makes the numbers; report.h writes them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "router/learn/metrics.h"
#include "router/policy.h"
#include "router/vectors.h"

namespace router {

struct EvaluateOptions {
  std::vector<std::string> files;
  std::vector<std::string> experts;  // --experts, --pool: only these may be chosen; empty: those of
                                     // the policy that cover half of the rows
  std::string exclude_domain;        // rows of this skill are left out
  std::string strong, weak;    // both or none: the pair of APGR and CPT; default for two experts:
                               // the one with the better training mean is the strong one
  double share = 1;            // of the split that training used; see `part`
  bool held_out_part = false;  // judge the rows that training with --share left out
  std::uint64_t seed = 0;      // of the split, the random baseline and the bootstrap
  bool allow_overlap = false;  // judge rows that the policy was trained on (the report shouts)
  std::optional<double> quality;       // the knob for the `policy` row
  bool baselines = false;              // the rows of baselines.h, too
  int k = 3;                           // of the panels: experts asked at most, 1..8
  bool rewordings = false;             // the flip table
  std::size_t resident = 0;            // experts that fit in memory; 0: loads are not counted
  bool aggregate = false;              // the rows of play_panels.h, too; their files have answers
  std::vector<std::string> fit_files;  // where the training rows are; empty: among `files`
  VectorsOf vectors;  // for a policy that was trained with some; may be empty: by words alone
  std::string json, picks, csv, html;  // output paths; empty: none
  std::function<void(const std::string& stage, double done)> progress;
};

/// One way of routing. Every figure is over the same rows; intervals are 95%, paired by row.
struct PolicyRow {
  std::string name;
  double score = 0;
  std::optional<double> cost;       // mean usd per query
  std::optional<double> calls;      // mean experts asked per query, of a panel
  std::optional<double> flip_rate;  // share of a panel's answers that are not the first expert's
  std::optional<double> flip_gain;  // mean gain over the first expert's answer where it is not
  Interval gain;                    // over best_single
  std::map<std::string, double> shares;
  std::optional<double> apgr, cpt50, cpt80, cpt95, aiq;
  std::vector<CostPoint> curve;      // cost-quality points, by rising cost
  std::vector<CostPoint> recovered;  // share of strong calls and gap recovered, of a pair
  std::vector<double> skill_score;   // parallel to EvaluateReport::skills
  // Per 1,000 queries in the order of the rows, one by one and kQueriesTogether at a time; where
  // options.resident is set and one expert a row is asked.
  std::optional<double> loads, loads_collated;
  std::optional<double> agreement;  // share of rows on which it asks the expert that `policy` asks
};

struct SkillRow {
  std::string skill;
  std::size_t rows = 0;
  double policy = 0, best_single = 0, oracle = 0;
  Interval gain;          // of the policy over best_single on these rows
  std::string favourite;  // most chosen expert
  double favourite_share = 0;
};

/// An expert alone, and where the policy chose it.
struct ExpertRow {
  std::string expert;
  double score = 0;            // over all rows where it has an outcome
  std::optional<double> cost;  // mean usd per query
  double share = 0;            // of the rows on which the policy chose it
  double score_chosen = 0;     // on those rows
};

/// Rows on which the policy lost something although an expert that did better was estimated within
/// kNearMiss of the one that it chose.
struct NearMisses {
  std::size_t lost = 0;  // rows with a regret above zero
  std::size_t near = 0;  // of these
  double gap = 0;        // mean p_correct by which the better expert was behind on them
  std::vector<std::string> examples;  // ids, the closest first
};

inline constexpr double kNearMiss = 0.05;

/// One line of the flip table (rewordings.h), over all judged rows.
struct FlipRow {
  std::string name;
  double changed = 0;  // share of the rows whose text the rewording changes
  double flipped = 0;  // share of the changed rows that go to another expert
  double score = 0;    // mean over all rows, the outcomes being those of the text as it was
};

struct EvaluateReport {
  std::uint64_t policy_version = 0, seed = 0;
  std::string source;  // file names, for people
  std::size_t rows = 0, rows_overlapping = 0, rows_excluded = 0;
  std::vector<std::string> experts, left_out;
  std::string best_single, strong, weak;
  std::vector<PolicyRow> policies;  // policy, random, best_single, oracle, cheapest, fixed_mix, ...
  std::vector<std::string> notes;   // what was left out, and why
  std::vector<SkillRow> skills;
  std::vector<ExpertRow> alone;
  double headroom = 0;   // (policy - best_single) / (oracle - best_single)
  double abstained = 0;  // share of rows on which the guard kept the default
  double calibration_error = 0;
  std::vector<ReliabilityBin> reliability;
  std::vector<double>
      regret_by_right;  // [r]: mean (oracle - policy) on rows where r experts are right
  std::vector<std::size_t> rows_by_right;
  NearMisses near_misses;
  std::vector<FlipRow> flips;                  // where asked for
  std::vector<std::string> agreement_names;    // the policies that ask one expert a row
  std::vector<std::vector<double>> agreement;  // [names][names] share of rows with the same expert
  double seconds = 0;  // of the run; the one number that another run need not repeat

  const PolicyRow& row(const std::string& name) const;
};

/// Throws std::runtime_error: bad files, an unknown expert, no rows, rows that the policy was
/// trained on (unless allow_overlap), or an output path that cannot be written.
EvaluateReport evaluate(const Policy& policy, const EvaluateOptions& options);

}  // namespace router
