// Which expert should read the others' answers and make one of them: a test, and a choice only
// where the test is clear.
//
// Symbolic-MoE (arXiv 2503.05641) shows each candidate one right and two wrong answers. A vote then
// scores nothing by construction, and whoever contradicts most wins. Corrected: items are drawn by
// how many of their answers are right (the strata), and each stratum counts as often as it occurs;
// what is solved with no right answer to copy from is told apart; every item is asked in several
// orders, and how often the order changes the outcome is told; a candidate is compared with what
// aggregates now on the same items, price included, and picked only when the interval of the gain
// lies above zero (95% for all candidates together, by Bonferroni's rule).
//
// A reading that failed, said nothing or named an answer that was not shown costs its call and
// leaves the first seat's answer, as in service.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "aggregator/answer.h"
#include "aggregator/synthesis.h"
#include "experts/call.h"
#include "router/learn/metrics.h"
#include "router/learn/reader_items.h"

namespace router {

inline constexpr std::string_view kVote = "vote";  // the incumbent where no expert reads

struct ReaderCandidate {
  std::string name;
  std::int64_t price_in_microusd = 0, price_out_microusd = 0;  // a million tokens
};

struct ReaderBenchOptions {
  ReaderItemOptions items;
  std::vector<ReaderCandidate> candidates;
  std::string incumbent{kVote};                     // or a candidate's name
  aggregator::Task task = aggregator::Task::write;  // or choose
  std::size_t orders = 2;   // of each item's answers, as many as there are at most
  double value_usd = 0.01;  // of a right answer over a wrong one, which the price is weighed by
  std::int64_t tokens_out = 256;  // expected of a reply, for the estimate
};

/// What a run will take, told before it is made.
struct ReaderBenchPlan {
  ReaderItems drawn;
  std::size_t calls = 0;                                     // of each candidate
  std::vector<double> cost_usd;                              // by candidate, estimated
  std::vector<std::vector<aggregator::Synthesis>> readings;  // [items][orders]
};

ReaderBenchPlan plan_readers(const ReaderBenchOptions& options);

struct ReaderResult {
  std::string name;
  Interval accuracy;               // in service: strata as often as they occur
  std::vector<double> by_stratum;  // -1: no items
  double order_sensitive = 0;      // share of the items whose outcome hangs on the order
  double mute = 0;                 // share of the readings that gave no outcome
  double cost_usd = 0;             // mean of a reading
  double latency_ms = 0;           // likewise
  Interval gain;                   // over the incumbent, price included
};

struct ReaderBenchReport {
  std::vector<std::string> panel;
  std::vector<std::size_t> strata;
  std::size_t items = 0, orders = 0;
  std::string incumbent;
  std::vector<ReaderResult> results;  // the incumbent first
  std::string pick;                   // the incumbent's name where nobody clearly beats it
  aggregator::Mode mode = aggregator::Mode::weighted;  // that goes with the pick
};

/// Asks one candidate everything and returns as many replies, failures included.
using AskReader = std::function<std::vector<experts::Reply>(const std::string& name,
                                                            const std::vector<experts::Call>&)>;

/// Throws std::runtime_error when the incumbent is nobody.
ReaderBenchReport run_readers(const ReaderBenchOptions& options, const ReaderBenchPlan& plan,
                              const AskReader& ask);

void print(const ReaderBenchOptions& options, const ReaderBenchPlan& plan, std::ostream& out);
void print(const ReaderBenchReport& report, std::ostream& out);
std::string to_json(const ReaderBenchReport& report);

}  // namespace router
