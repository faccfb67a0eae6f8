// Annotation: has an expert name the skills of questions, for outcome files that have no domains or
// coarse ones. Used by `skillyard annotate`. The rules: router/learn/skill_names.h.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "router/interview_calls.h"
#include "router/learn/skill_names.h"

namespace router {

struct NamingTask {
  std::vector<std::string> texts;  // of the rows
  std::string expert;
  NamingRules rules;
  int passes = 5;            // over each text
  double temperature = 0.7;  // of a pass: they must be able to differ
  int concurrency_max = 4;
  int tokens_max = 64;
  int call_ms_max = 120'000;
  std::int64_t cost_microusd_max = 0;  // as InterviewTask's
};

struct NamingReport {
  std::vector<std::vector<std::string>> names;  // of each row: what its passes agree on
  std::size_t calls = 0, failed = 0;
  std::string error;  // why the first of these failed
  std::int64_t cost_microusd = 0;
  bool stopped = false;  // the rows from some on were not asked, or not by all passes
};

/// Most that it could cost at the roster's prices. Throws std::runtime_error for an expert that the
/// roster lacks.
double naming_cost_usd_max(const NamingTask& task, const experts::Roster& roster);

/// Blocks. `go_on` as interview()'s; throws as naming_cost_usd_max().
NamingReport name_skills(const NamingTask& task, const InterviewDoors& doors,
                         const std::function<bool(std::size_t done, std::size_t calls)>& go_on);

/// The outcome file `path` with `names` as the skills of its rows; a row without a name loses what
/// it had. Rows that the reader refuses must not be there.
std::string annotated_lines(const std::string& path,
                            const std::vector<std::vector<std::string>>& names);

}  // namespace router
