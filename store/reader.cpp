#include "store/reader.h"

#include "store/decision_row.h"
#include "store/schema.h"

namespace store {
namespace {

constexpr int kBusyWaitMs = 1'000;  // only while another process recovers the WAL

Db open(const std::string& path) {
  Db db(path, Access::read_only, kBusyWaitMs);
  check_readable(db);
  return db;
}

/// `text` (or NULL) first, then the columns of a decision.
std::string select_decision(std::string_view rest) {
  std::string sql = "SELECT (SELECT text FROM texts t WHERE t.seq = decisions.seq), ";
  sql += kDecisionColumns;
  sql += " FROM decisions ";
  sql += rest;
  return sql;
}

Stored read_stored(const Statement& statement) {
  Stored stored;
  stored.row.text = statement.text(0);
  stored.fault = read_decision(statement, 1, stored.row);
  return stored;
}

}  // namespace

Reader::Reader(const std::string& path)
    : db_(open(path)), by_id_(db_.prepare(select_decision("WHERE id = ?"))) {}

std::optional<Stored> Reader::decision(std::string_view id) {
  by_id_.bind_text(1, id);
  std::optional<Stored> found;
  if (by_id_.step()) found = read_stored(by_id_);
  by_id_.reset();
  return found;
}

}  // namespace store
