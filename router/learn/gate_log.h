// The retrieval gate learned from the service's own log: graded decisions whose answers saw
// passages teach when passages hold what is needed, help, and spoil (router/learn/retrieval_fit.h).
//
// The file is JSON, to be read and corrected by people:
//   {"format": "skillyard-gate-1", "rows": 812,
//    "arms": [{"passages": 1, "weight": [4 numbers], "helps": 0.6, "spoils": 0.1}, ...]}
#pragma once

#include <array>
#include <cstddef>
#include <iosfwd>
#include <string>

#include "router/retrieval.h"

namespace router {

struct GateLearnOptions {
  std::string log;   // the service's database
  std::string gate;  // the file that serves now: what the fit starts from; empty: the guesses
  std::string out;
  std::size_t rows_min = 100;  // drawn ones of an arm; with fewer it stays as it was
};

struct GateLearnReport {
  std::size_t decisions = 0;                          // graded, the gate having been asked
  std::size_t alone = 0;                              // of them, without passages
  double score_alone = 0;                             // mean grade of those
  std::array<std::size_t, kPassages.size()> rows{};   // with the passages of each arm
  std::array<double, kPassages.size()> score{};       // mean grade of those
  std::array<std::size_t, kPassages.size()> drawn{};  // of the rows: not by the gate's choice alone
  std::array<bool, kPassages.size()> learned{};       // enough of them
  RetrievalModel before, after;
};

/// Writes `out`. An arm stays as it was where too few of its rows were drawn. The gate's own sure
/// choices have a low c0 and a good search: a fit to them alone was worse than none on everything
/// else, and so was one to fewer than about a hundred (router/README.md, "Retrieval gate"). Throws
/// std::runtime_error: the log cannot be read, or no graded decision was shown passages.
GateLearnReport learn_gate(const GateLearnOptions& options);

void print(const GateLearnReport& report, std::ostream& out);

/// Both throw std::runtime_error with an operator's sentence.
RetrievalModel load_gate(const std::string& path);
void save_gate(const RetrievalModel& model, std::size_t rows, const std::string& path);

/// The text of the file, and back: throws like load_gate(); `path` is for the sentence.
std::string encode_gate(const RetrievalModel& model, std::size_t rows);
RetrievalModel decode_gate_file(const std::string& text, const std::string& path);

}  // namespace router
