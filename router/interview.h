// Probing: puts graded questions to experts and grades what they say, for outcome files that
// `skillyard train` reads. Used by `skillyard expert probe` and by jobs of the administration.
//
// On a Pool of its own over the roster of the house: native models and the memory that experts
// share are shared with the service, and a call counts for breaker, load and metrics as any other;
// but it goes as a call of a batch, so that clients come first where experts wait for memory.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "router/interview_calls.h"
#include "router/learn/interview_plan.h"

namespace router {

struct InterviewTask {
  std::vector<GradedQuestion> questions;
  InterviewOptions options;
  int concurrency_max = 4;             // calls at once
  int tokens_max = 1'024;              // of a reply
  int call_ms_max = 120'000;           // of one call, the wait for a load included
  std::int64_t cost_microusd_max = 0;  // no call is begun once so much was spent; 0: no limit
};

/// The plan of a task with its price, before anything is asked.
struct InterviewQuote {
  std::size_t experts = 0, skills = 0;
  std::size_t calls = 0;    // exact, but for calls that a limit of cost leaves out
  double cost_usd_max = 0;  // at the roster's prices, every reply as long as it may be
};

struct InterviewReport {
  struct Said {
    std::uint32_t expert = 0;    // index into InterviewOptions::experts
    std::uint32_t question = 0;  // index into InterviewTask::questions
    Graded graded;
    std::int64_t cost_microusd = -1;  // -1: its price or its usage is not known
    double latency_ms = 0;
    std::int64_t tokens_in = -1, tokens_out = -1;  // -1: it did not say
  };

  std::vector<std::string> experts;  // of the task
  std::vector<Said> said;            // by expert, then question
  std::size_t calls = 0;             // begun
  std::vector<std::size_t> failed;   // by expert: calls without a reply
  std::vector<std::string> errors;   // by expert: why the first of these failed; later ones
                                     // may only say that its breaker is open
  std::int64_t cost_microusd = 0;
  bool stopped = false;  // by `go_on`, or by the limit of cost
};

/// Throws std::runtime_error as InterviewPlan does, and for an expert that the roster lacks.
InterviewQuote quote(const InterviewTask& task, const experts::Roster& roster);

/// Called after every call, and now and then while calls run, with how many are done, of how many;
/// false: no further one is begun, and those that run are cancelled. Must not throw.
using GoOn = std::function<bool(std::size_t done, std::size_t calls)>;

/// Blocks until all calls have ended; runs a loop of its own. What an expert does wrong is in the
/// report. Throws as quote() does.
InterviewReport interview(const InterviewTask& task, const InterviewDoors& doors,
                          const GoOn& go_on);

/// One line of an outcome file per question that somebody answered, in the order of the questions.
std::string outcome_lines(const InterviewTask& task, const InterviewReport& report);

/// The outcome file `old` with the report's outcomes added to its rows; of an expert that was there
/// already the new ones count. Throws as OutcomeReader, and with every fault of the file.
std::string merged_lines(const std::string& old, const InterviewTask& task,
                         const InterviewReport& report);

}  // namespace router
