// Questions with several experts' recorded answers and the right one: what an expert that reads
// answers is tested on (router/learn/reader_bench.h).
//
// From outcome files that keep answers, or from the service's log: there the answers are the votes
// of panels, and only decisions count whose feedback says what the right answer was. A grade alone
// would not do: it tells what is right only where the panel was.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "aggregator/canonical.h"

namespace router {

struct ReaderItem {
  std::string text;                        // the question
  aggregator::Question question;           // as it is read
  std::vector<std::string> answers, keys;  // shown, by seat; what each says
  std::vector<double> competence;          // by seat: success rate over all rows
  std::string right;                       // key of the right answer
  std::size_t right_count = 0;             // of those shown: the item's stratum
};

struct ReaderItemOptions {
  std::vector<std::string> files;  // outcome files; or
  std::string log;                 // the service's database
  std::vector<std::string> panel;  // whose answers; empty: the k experts with the best mean score
  std::size_t k = 3;               // answers shown; of a log: at least two, at most k
  std::size_t items_max = 200;     // in all, the same number of each stratum as far as there are
  std::uint64_t seed = 0;
};

struct ReaderItems {
  std::vector<std::string> panel;   // empty: as the log has it
  std::vector<ReaderItem> items;    // in an order that depends on the seed only
  std::vector<std::size_t> strata;  // [k + 1] rows with so many right answers, drawn or not
  std::size_t rows_read = 0, rows_usable = 0;
};

/// Throws std::runtime_error: files that cannot be read, an expert without answers, no usable row.
ReaderItems draw_items(const ReaderItemOptions& options);

}  // namespace router
