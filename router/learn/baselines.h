// Other ways of routing, as rows beside the policy's: for the sceptic. Each is as simple as its
// source describes it and has no guard. README.md, "How a router is measured", says what each does.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "router/learn/play.h"

namespace router {

struct EvaluateOptions;

/// The two experts of a strong-or-weak decision; columns of the judged table.
struct Pair {
  std::uint32_t strong = 0, weak = 1;
};

/// The pair that the options name; with two experts the one with the better training mean is the
/// strong one; else nullopt. Throws for a name that is not there.
std::optional<Pair> find_pair(const Policy& policy, const EvaluateOptions& options,
                              const Trial& trial);

/// Symbolic-MoE's profile (arXiv 2503.05641, as its code works): +1 for every right and -1 for
/// every wrong answer on a skill, no counts, no smoothing. Rows with a score of 0.5 or more are
/// right.
struct SymbolicProfile {
  std::vector<std::vector<double>> score;  // [skills][experts]
  std::vector<double> gamma;               // [experts] squared global sums, normalised

  /// Probability of each expert per recruited slot for a query with these skills; slots are drawn
  /// with replacement. Experts with a sum above zero only; when there is none all sums are shifted.
  std::vector<double> recruit(const std::vector<std::uint32_t>& skills,
                              const std::vector<std::uint8_t>& eligible) const;
};

/// gamma from the sums in `score`; one below zero shifts all of them to a least one of 1.
SymbolicProfile make_symbolic(std::vector<std::vector<double>> score);

/// round_robin, knn, length, routellm_threshold, symbolic_moe, best_per_skill, as far as the rows
/// allow. `notes` gets a sentence for each that is left out. Reads the training rows (`fit_files`,
/// or those of `files` that the policy was trained on). Throws std::runtime_error for bad files.
std::vector<Play> play_baselines(const Policy& policy, const EvaluateOptions& options,
                                 const Trial& trial, std::vector<std::string>& notes);

}  // namespace router
