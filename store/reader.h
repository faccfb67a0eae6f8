// The log's way out: queries by purpose, on a read-only connection of their own (WAL: readers and
// the writer do not wait for each other). One Reader belongs to one thread at a time; it blocks on
// the disk, so net threads do not call it.
//
// A row is seen once it is committed, about Options::group_wait_ms after put(). Who must see it at
// once calls Journal::flush() first.
//
// Every call throws std::runtime_error when the file cannot be read (missing, damaged, another
// version). Damage inside one row is a value: Stored::fault.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/db.h"
#include "store/rows.h"

namespace store {

inline constexpr int kPageRowsMax = 1'000;   // rows that one call returns
inline constexpr int kPageScanMax = 20'000;  // rows that one call looks at

struct Stored {
  Decision row;
  std::string fault;  // what of the row is damaged and was left out; empty: nothing
};

/// Which decisions to list; empty or 0 does not restrict.
struct DecisionFilter {
  std::string pool{};
  std::string expert{};       // whose words the client got
  std::int64_t since_us = 0;  // came in at or after
  std::string before{};       // the `next` of the page before
  int limit = 20;             // at most kPageRowsMax
};

struct DecisionPage {
  std::vector<Stored> rows;  // newest first, in the order in which they were logged
  std::string next;  // for DecisionFilter::before; empty: nothing older. A page may hold fewer
                     // rows than asked for, even none, and still have a next one.
};

/// Rows that came after a place in the table, oldest first: for who reads along.
struct FeedbackPage {
  std::vector<Feedback> rows;
  std::int64_t last = 0;  // the place to go on from
};

struct OutcomePage {
  std::vector<Outcome> rows;
  std::int64_t last = 0;
};

struct StoreCounts {
  std::int64_t decisions = 0;
  std::int64_t texts = 0;
  std::int64_t feedback = 0;
  std::int64_t outcomes = 0;
  std::int64_t policies = 0;
  std::int64_t rows_lost = 0;     // sum over `losses`
  std::int64_t bytes_in_use = 0;  // without free pages and WAL
};

class Reader {
 public:
  /// `path` was opened by a Journal before.
  explicit Reader(const std::string& path);

  std::optional<Stored> decision(std::string_view id);
  DecisionPage decisions(const DecisionFilter& filter);

  /// What was said about one decision, oldest first, at most kPageRowsMax.
  std::vector<Feedback> feedback_of(std::string_view decision_id);
  FeedbackPage feedback_after(std::int64_t place, int limit);
  OutcomePage outcomes_after(std::int64_t place, int limit);

  /// All versions, newest first, without their bytes.
  std::vector<PolicyRow> policies();
  /// One version with its bytes.
  std::optional<PolicyRow> policy(std::uint64_t version);

  /// The gaps of the log, newest first, at most kPageRowsMax.
  std::vector<Loss> losses();

  /// Reads through the smaller tables: for a person or a scrape every few seconds.
  StoreCounts counts();

 private:
  std::int64_t place_before(const std::string& before);

  Db db_;
  Statement by_id_, list_;
};

}  // namespace store
