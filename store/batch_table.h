// The waiting decisions as a table that SQL can read: `INSERT INTO decisions SELECT ... FROM batch`
// stores them all in one statement. SQLite fetches the fields (a virtual table,
// sqlite.org/vtab.html) instead of being called some thirty times a row, which saves a quarter of a
// row's instructions (store/README.md).
//
// Columns: those of decision_columns(), then `text`.
#pragma once

#include <vector>

#include "store/db.h"
#include "store/rows.h"

namespace store {

/// The rows that `batch` shows. Belongs to the writer, outlives the connection.
struct BatchRows {
  const std::vector<Decision>* decisions = nullptr;
};

/// Makes the table known to this connection.
void add_batch_table(Db& db, BatchRows& rows);

}  // namespace store
