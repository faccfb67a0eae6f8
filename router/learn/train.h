// Outcome files -> a policy. Deterministic: the same files, options and program give the same
// bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "router/learn/unseen.h"
#include "router/policy.h"
#include "router/vectors.h"

namespace router {

/// What `skillyard train` may set. The learner itself has one set of defaults (learn/settings.h).
struct TrainOptions {
  std::vector<std::string> files;
  std::string out;                   // path of the policy; empty: keep it in memory only
  std::vector<std::string> experts;  // empty: all that cover half of the rows
  std::size_t limit = 0;             // rows drawn by the seed; 0: all
  std::uint64_t seed = 0;
  double share = 1;     // train on rows whose split_point(id, seed) is below
  std::string encoder;  // whose vectors are learned from, too (router/learn/dense.h); empty: none
  VectorsOf vectors;    // gives them, where `encoder` is set
  std::function<void(const std::string& stage, double done)> progress;  // may be empty
};

/// A (skill, expert) cell that is worse than guessing: almost always a fault of the grading.
struct Alarm {
  std::string skill, expert;
  std::uint32_t outcomes = 0;
  double score = 0, chance = 0;  // chance: mean of 1 / options over the rows of the cell
};

struct TrainReport {
  std::size_t rows = 0, rows_read = 0;

  struct Expert {
    std::string name;
    double score = 0, cost_usd = -1;
    std::size_t outcomes = 0;
  };

  std::vector<Expert> experts;
  std::vector<std::string> left_out;  // experts that cover too few rows
  std::vector<std::string> skills;
  double skill_accuracy = 0;     // held out, top 1
  double calibration_error = 0;  // of p_correct, held out, 15 equal-width bins
  std::string best_single;
  double gain[3] = {0, 0, 0};  // over best_single, held out: mean and 95% interval
  bool guarded = false;        // the guard found no gain to trust on the whole pool
  std::size_t vectors = 0;     // rows with a vector, where training had an encoder
  bool vectors_help = false;   // they say what the n-grams do not: the policy needs the encoder
  double gain_by_words = 0;    // then: mean gain of the n-grams alone
  UnseenDomains unseen;        // what that is worth in domains held out whole; unless guarded
  std::vector<Alarm> alarms;
  std::uint64_t policy_version = 0;
  std::size_t policy_bytes = 0;
  double seconds = 0;
};

/// Throws std::runtime_error for files or options that cannot be used; writes nothing then.
/// `policy`, when given, receives the policy.
TrainReport train(const TrainOptions& options, PolicyPtr* policy = nullptr);

/// The report for people, a page of text.
void print(const TrainReport& report, std::ostream& out);

}  // namespace router
