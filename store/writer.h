// Writes batches of rows, one transaction each. Used by the journal's thread only; not a door.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "store/batch_table.h"
#include "store/db.h"
#include "store/options.h"
#include "store/rows.h"

namespace store {

/// What waits between two commits. Within a kind, rows keep the order in which they came.
struct Batch {
  std::vector<Decision> decisions;
  std::vector<Feedback> feedback;
  std::vector<Outcome> outcomes;
  std::vector<PolicyRow> policies;
  Loss loss;                      // rows that were dropped since the last commit; rows == 0: none
  std::size_t bytes = 0;          // memory of the rows, about
  std::uint64_t last_ticket = 0;  // of its newest row

  std::size_t rows() const {
    return decisions.size() + feedback.size() + outcomes.size() + policies.size();
  }

  bool empty() const { return rows() == 0 && loss.rows == 0; }

  /// Forgets the rows, keeps the memory for the next ones.
  void clear();
};

class Writer {
 public:
  /// Opens, creates and migrates. Throws std::runtime_error.
  explicit Writer(const Options& options);
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  /// One transaction, on disk when this returns. Rows that SQLite refuses (a decision's id twice,
  /// feedback on an unknown decision) are left out; returns how many it took. Throws DbError when
  /// nothing of the batch was written.
  std::size_t commit(const Batch& batch);

  Db& db() { return db_; }

 private:
  std::size_t insert(const std::vector<Decision>& rows);
  bool insert(const Feedback& row);
  bool insert(const Outcome& row);
  bool insert(const PolicyRow& row);

  bool keep_text_;
  BatchRows rows_;
  Db db_;
  Statement decisions_, texts_, feedback_, outcome_, policy_, loss_;
};

}  // namespace store
