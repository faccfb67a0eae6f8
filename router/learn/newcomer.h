// An expert that a policy does not know becomes a column of it, from the outcomes of a few dozen
// probes, without training anything else: the skill classifier stays as it is, byte for byte.
//
// On query x the newcomer is taken for the pool's average expert with a level and strengths of its
// own:
//   p(x) = level + mean over experts of (bag score) + sum_s q_s(x) * (mean gain of s + strength[s])
// Level and strengths have normal priors whose variances are those of the experts that the policy
// knows, and are fitted to the outcomes by the posterior mean of this linear model (Lindley and
// Smith 1972): few probes say little, and then it is an average expert of an average level. What it
// is good at beyond its skills - its own words - is learned by the next training.
//
// Pure: the same policy and outcomes give the same bytes.
#pragma once

#include <string>
#include <vector>

#include "router/policy.h"

namespace router {

struct ProbeOutcome {
  std::string text;
  float score = 0;      // 0..1
  float cost_usd = -1;  // -1: not known
  float latency_ms = -1;
  std::int32_t tokens_out = -1;
};

struct NewcomerSkill {
  std::string skill;
  double outcomes = 0;  // shares of this skill over the probes
  double rate = 0;      // expected success
  double error = 0;     // its standard deviation
};

struct Newcomer {
  Policy policy;                      // `version` is set when it is encoded
  double raw = 0;                     // mean of the scores
  double mean = 0, error = 0;         // expected success on queries like the policy's own, and sd
  std::vector<NewcomerSkill> skills;  // of the policy, in its order
};

inline constexpr std::size_t kProbesMin = 8;

/// Why an expert of this name cannot be added, whatever it would answer; empty: it can.
std::string why_not_new(const Policy& policy, const std::string& name);

/// Throws std::runtime_error: nothing was learned yet, fewer than kProbesMin outcomes, or `name` is
/// known from training. One that is known from probes is made anew.
Newcomer add_newcomer(const Policy& policy, const std::string& name,
                      const std::vector<ProbeOutcome>& probes);

/// The outcomes of `expert` in a file (router/learn/outcomes.h). Throws with every fault.
std::vector<ProbeOutcome> read_probes(const std::string& path, const std::string& expert);

}  // namespace router
