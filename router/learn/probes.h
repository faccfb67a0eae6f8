// Route unit tests: queries whose skill or expert is known beforehand. What an operator runs before
// a pool or a policy changes.
//
// JSON Lines, one probe a line; lines that are empty or begin with # are skipped:
//   {"query": "...", "skill": NAME | [NAMES], "expert": NAME | [NAMES], "not_expert": ...,
//    "quality": 0..1, "tags": [..], "id": "..."}
// At least one of `skill` (the largest share), `expert` (the first choice: one of them) and
// `not_expert` (none of them) is there; all that are must hold.
#pragma once

#include <iosfwd>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "router/policy.h"
#include "router/vectors.h"

namespace router {

inline constexpr std::size_t kProbesMax = 100'000;
inline constexpr std::size_t kProbeBytesMax = 1u << 20;  // of a line

struct Probe {
  std::string id, query;
  std::vector<std::string> skills, experts, not_experts, tags;
  std::optional<double> quality;
  std::size_t line = 0;
};

/// Throws std::runtime_error with every fault of the file, each with its line.
std::vector<Probe> read_probes(std::istream& in, const std::string& path);

struct ProbeOptions {
  std::vector<std::string> experts;            // only these may be chosen; empty: all of the policy
  std::vector<std::string> tags;               // only probes with one of these; empty: all
  double pass_min = 1;                         // share of all probes
  std::map<std::string, double> tag_pass_min;  // share of the probes with this tag
  VectorsOf vectors;  // for a policy that was trained with some; may be empty: by words alone
};

struct ProbeResult {
  std::size_t probe = 0;  // index into the list
  std::string skill, expert;
  float share = 0, p_correct = 0;  // of the skill, of the expert
  std::string failed;              // what was expected; empty: passed
};

struct ProbeReport {
  std::vector<ProbeResult> results;
  std::map<std::string, std::pair<std::size_t, std::size_t>> tags;  // passed, of
  std::size_t passed = 0;
  std::vector<std::string> shortfalls;  // which threshold is missed, and by what

  bool ok() const { return shortfalls.empty(); }
};

/// Throws std::runtime_error for a skill or expert that the policy does not have (the probe could
/// never pass), a tag without probes, or no probe at all.
ProbeReport run_probes(const Policy& policy, const std::vector<Probe>& probes,
                       const ProbeOptions& options);

std::string to_json(const ProbeReport& report, const std::vector<Probe>& probes);
void print(const ProbeReport& report, const std::vector<Probe>& probes, std::ostream& out);

}  // namespace router
