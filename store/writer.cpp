#include "store/writer.h"

#include "store/decision_columns.h"
#include "store/schema.h"

namespace store {
namespace {

Db open(const Options& options, BatchRows& rows) {
  Db db(options.path, Access::read_write, options.busy_wait_ms);
  prepare_writer(db, options.wal_bytes);
  migrate(db, migrations());
  add_batch_table(db, rows);
  return db;
}

std::string insert_decisions() {
  const std::string names = decision_column_names();
  // Every column, in the table's order: SQLite then builds a row where it was fetched, uncopied.
  return "INSERT OR IGNORE INTO decisions(seq, " + names + ") SELECT NULL, " + names +
         " FROM batch";
}

bool run_or_refuse(Statement& statement) {
  try {
    statement.run();
    return true;
  } catch (const DbError& error) {
    if (!error.of_row()) throw;
    return false;
  }
}

}  // namespace

void Batch::clear() {
  decisions.clear();
  feedback.clear();
  outcomes.clear();
  policies.clear();
  loss = {};
  bytes = 0;
  last_ticket = 0;
}

Writer::Writer(const Options& options)
    : keep_text_(options.keep_text),
      db_(open(options, rows_)),
      decisions_(db_.prepare(insert_decisions())),
      // CROSS JOIN: the order of the loops is ours, one look-up for each waiting text.
      texts_(db_.prepare("INSERT OR IGNORE INTO texts(seq, text) SELECT d.seq, batch.text FROM "
                         "batch CROSS JOIN decisions d ON d.id = batch.id "
                         "WHERE batch.text IS NOT NULL")),
      feedback_(db_.prepare("INSERT INTO feedback(decision_id, unix_us, score, correct_answer, "
                            "comment, user_hash) VALUES(?, ?, ?, ?, ?, ?)")),
      outcome_(db_.prepare("INSERT INTO outcomes(decision_id, unix_us, query_hash, expert, score, "
                           "weight, kind, grader) VALUES(?, ?, ?, ?, ?, ?, ?, ?)")),
      policy_(db_.prepare("INSERT OR REPLACE INTO policies(version, parent, status, created_us, "
                          "path, bytes, sha256, metrics_json, note) "
                          "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)")),
      loss_(db_.prepare("INSERT INTO losses(since_us, until_us, rows) VALUES(?, ?, ?)")) {}

std::size_t Writer::commit(const Batch& batch) {
  Transaction transaction(db_);
  // Decisions first: the feedback of the same batch refers to them.
  std::size_t stored = insert(batch.decisions);
  for (const Feedback& row : batch.feedback) stored += insert(row) ? 1 : 0;
  for (const Outcome& row : batch.outcomes) stored += insert(row) ? 1 : 0;
  for (const PolicyRow& row : batch.policies) stored += insert(row) ? 1 : 0;
  if (batch.loss.rows > 0) {
    loss_.bind(1, batch.loss.since_us);
    loss_.bind(2, batch.loss.until_us);
    loss_.bind(3, batch.loss.rows);
    loss_.run();
  }
  transaction.commit();
  return stored;
}

std::size_t Writer::insert(const std::vector<Decision>& rows) {
  if (rows.empty()) return 0;
  rows_.decisions = &rows;
  decisions_.run();
  const std::int64_t stored = db_.changes();
  if (keep_text_) texts_.run();
  rows_.decisions = nullptr;
  return static_cast<std::size_t>(stored);
}

bool Writer::insert(const Feedback& row) {
  feedback_.bind_text(1, row.decision_id);
  feedback_.bind(2, row.unix_us);
  feedback_.bind(3, row.score);
  feedback_.bind_text_or_null(4, row.correct_answer);
  feedback_.bind_text_or_null(5, row.comment);
  feedback_.bind_text_or_null(6, row.user_hash);
  return run_or_refuse(feedback_);
}

bool Writer::insert(const Outcome& row) {
  outcome_.bind_text_or_null(1, row.decision_id);
  outcome_.bind(2, row.unix_us);
  outcome_.bind(3, static_cast<std::int64_t>(row.query_hash));
  outcome_.bind_text_or_null(4, row.expert);
  outcome_.bind(5, row.score);
  outcome_.bind(6, row.weight);
  outcome_.bind_text(7, row.kind);
  outcome_.bind_text_or_null(8, row.grader);
  return run_or_refuse(outcome_);
}

bool Writer::insert(const PolicyRow& row) {
  policy_.bind(1, static_cast<std::int64_t>(row.version));
  row.parent == 0 ? policy_.bind_null(2) : policy_.bind(2, static_cast<std::int64_t>(row.parent));
  policy_.bind_text(3, row.status);
  policy_.bind(4, row.created_us);
  policy_.bind_text_or_null(5, row.path);
  row.bytes.empty() ? policy_.bind_null(6) : policy_.bind_bytes(6, row.bytes);
  policy_.bind_text_or_null(7, row.sha256);
  policy_.bind_text_or_null(8, row.metrics_json);
  policy_.bind_text_or_null(9, row.note);
  return run_or_refuse(policy_);
}

}  // namespace store
