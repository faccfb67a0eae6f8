// The columns of the table `decisions`, once: name, field, and both ways between them.
#pragma once

#include <span>
#include <string>

#include "store/db.h"
#include "store/rows.h"

struct sqlite3_context;

namespace store {

struct Column {
  const char* name;
  /// Hands the field to SQLite as a result; `row` and `scratch` must live until its row is stored.
  void (*give)(sqlite3_context* to, const Decision& row, std::string& scratch);
  /// Reads the field; false: damaged.
  bool (*take)(const Statement& from, int column, Decision& row);
};

/// In the order of the table; `seq` is not among them.
std::span<const Column> decision_columns();

/// Their names, separated by commas.
std::string decision_column_names();

/// Reads all of them from column `first` on; leaves `text` alone. Returns what is damaged, empty:
/// nothing.
std::string read_decision(const Statement& from, int first, Decision& row);

}  // namespace store
