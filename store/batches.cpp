#include "store/batches.h"

#include <array>
#include <stdexcept>

#include "store/schema.h"

namespace store {
namespace {

constexpr int kBatchesWaitMs = 5'000;
constexpr std::int64_t kWalBytes = 16 << 20;

// An output file has no content of its own: it is the lines of `batch` that failed or did not.
constexpr std::string_view kBatchTables = R"sql(
CREATE TABLE files(
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  purpose TEXT NOT NULL,
  created_s INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  batch TEXT,
  failed INTEGER,
  content BLOB
) STRICT;

CREATE TABLE batches(
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  input_file TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  window TEXT NOT NULL,
  status TEXT NOT NULL,
  metadata TEXT,
  errors TEXT,
  output_file TEXT,
  error_file TEXT,
  created_s INTEGER NOT NULL,
  expires_s INTEGER NOT NULL,
  in_progress_s INTEGER NOT NULL DEFAULT 0,
  finalizing_s INTEGER NOT NULL DEFAULT 0,
  completed_s INTEGER NOT NULL DEFAULT 0,
  failed_s INTEGER NOT NULL DEFAULT 0,
  expired_s INTEGER NOT NULL DEFAULT 0,
  cancelling_s INTEGER NOT NULL DEFAULT 0,
  cancelled_s INTEGER NOT NULL DEFAULT 0,
  total INTEGER NOT NULL DEFAULT 0,
  completed INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE lines(
  batch TEXT NOT NULL,
  line INTEGER NOT NULL,
  custom_id TEXT NOT NULL,
  body TEXT NOT NULL,
  failed INTEGER,
  outcome TEXT,
  PRIMARY KEY(batch, line)
) STRICT, WITHOUT ROWID;
)sql";

constexpr std::string_view kOwners = R"sql(
ALTER TABLE files ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE batches ADD COLUMN owner TEXT NOT NULL DEFAULT '';
)sql";

constexpr std::array kSteps = {kBatchTables, kOwners};

constexpr std::string_view kBatchColumns =
    "id, input_file, endpoint, window, status, metadata, errors, output_file, error_file, "
    "created_s, expires_s, in_progress_s, finalizing_s, completed_s, failed_s, expired_s, "
    "cancelling_s, cancelled_s, total, completed, failed, owner";

constexpr std::string_view kUnfinished = "status IN ('validating', 'in_progress', 'cancelling')";

BatchRow batch_of(const Statement& row) {
  BatchRow batch;
  int column = 0;
  for (std::string* text :
       {&batch.id, &batch.input_file, &batch.endpoint, &batch.window, &batch.status,
        &batch.metadata, &batch.errors, &batch.output_file, &batch.error_file}) {
    *text = row.text(column++);
  }
  for (std::int64_t* number :
       {&batch.created_s, &batch.expires_s, &batch.in_progress_s, &batch.finalizing_s,
        &batch.completed_s, &batch.failed_s, &batch.expired_s, &batch.cancelling_s,
        &batch.cancelled_s, &batch.total, &batch.completed, &batch.failed}) {
    *number = row.integer(column++);
  }
  batch.owner = row.text(column);
  return batch;
}

FileRow file_of(const Statement& row) {
  return {row.text(0), row.text(1), row.text(2), row.integer(3), row.integer(4), row.text(5)};
}

std::string select_batches(std::string_view rest) {
  return "SELECT " + std::string(kBatchColumns) + " FROM batches " + std::string(rest);
}

}  // namespace

Batches::Batches(const std::string& path) : db_(path, Access::read_write, kBatchesWaitMs) {
  prepare_writer(db_, kWalBytes, kBatchMark);
  migrate(db_, kSteps, kBatchMark);
}

/// So many bytes more fit under the limits of bytes.
bool Batches::has_room(std::int64_t bytes, std::string_view owner, const FileLimits& limits) {
  if (db_.integer("SELECT coalesce(sum(bytes), 0) FROM files") + bytes > limits.bytes_max)
    return false;
  if (owner.empty()) return true;
  Statement held = db_.prepare("SELECT coalesce(sum(bytes), 0) FROM files WHERE owner = ?");
  held.bind_text(1, owner);
  held.step();
  return held.integer(0) + bytes <= limits.owner_bytes_max;
}

bool Batches::add_file(const FileRow& file, std::string_view content, const FileLimits& limits) {
  const std::scoped_lock lock(mutex_);
  Transaction transaction(db_);
  const auto bytes = static_cast<std::int64_t>(content.size());
  if (!has_room(bytes, file.owner, limits)) return false;
  if (db_.integer("SELECT count(*) FROM files") >= limits.files_max) return false;
  Statement insert = db_.prepare(
      "INSERT INTO files(id, name, purpose, created_s, bytes, content, owner) "
      "VALUES(?, ?, ?, ?, ?, ?, ?)");
  insert.bind_text(1, file.id);
  insert.bind_text(2, file.name);
  insert.bind_text(3, file.purpose);
  insert.bind(4, file.created_s);
  insert.bind(5, bytes);
  insert.bind_bytes(6, content);
  insert.bind_text(7, file.owner);
  insert.run();
  transaction.commit();
  return true;
}

std::optional<FileRow> Batches::find_file(std::string_view id) {
  Statement row =
      db_.prepare("SELECT id, name, purpose, created_s, bytes, owner FROM files WHERE id = ?");
  row.bind_text(1, id);
  if (!row.step()) return std::nullopt;
  return file_of(row);
}

std::optional<FileRow> Batches::file(std::string_view id) {
  const std::scoped_lock lock(mutex_);
  return find_file(id);
}

std::vector<FileRow> Batches::files(std::string_view purpose, std::string_view owner,
                                    std::string_view after, int rows_max) {
  const std::scoped_lock lock(mutex_);
  Statement rows = db_.prepare(
      "SELECT id, name, purpose, created_s, bytes, owner FROM files WHERE "
      "(?1 = '' OR purpose = ?1) AND (?4 = '' OR owner = ?4) AND "
      "(?2 = '' OR seq < (SELECT seq FROM files WHERE id = ?2)) ORDER BY seq DESC LIMIT ?3");
  rows.bind_text(1, purpose);
  rows.bind_text(2, after);
  rows.bind(3, std::int64_t{rows_max});
  rows.bind_text(4, owner);
  std::vector<FileRow> found;
  while (rows.step()) found.push_back(file_of(rows));
  return found;
}

std::optional<std::string> Batches::content(std::string_view id) {
  const std::scoped_lock lock(mutex_);
  Statement row = db_.prepare("SELECT content, batch, failed FROM files WHERE id = ?");
  row.bind_text(1, id);
  if (!row.step()) return std::nullopt;
  if (row.is_null(1)) return row.text(0);
  Statement lines = db_.prepare(
      "SELECT outcome FROM lines WHERE batch = ? AND failed = ? AND outcome IS NOT NULL "
      "ORDER BY line");
  const std::string batch = row.text(1);
  lines.bind_text(1, batch);
  lines.bind(2, row.integer(2));
  std::string content;
  while (lines.step()) content.append(lines.text(0)).push_back('\n');
  return content;
}

bool Batches::remove_file(std::string_view id) {
  const std::scoped_lock lock(mutex_);
  Statement gone = db_.prepare("DELETE FROM files WHERE id = ?");
  gone.bind_text(1, id);
  gone.run();
  const bool removed = db_.changes() > 0;
  // Lines whose batch has ended and that no file shows any more.
  db_.exec(
      "DELETE FROM lines WHERE batch IN (SELECT id FROM batches WHERE status IN ('completed', "
      "'cancelled', 'expired', 'failed')) AND batch NOT IN (SELECT batch FROM files WHERE batch IS "
      "NOT NULL)");
  return removed;
}

bool Batches::in_use(std::string_view file) {
  const std::scoped_lock lock(mutex_);
  Statement row =
      db_.prepare("SELECT 1 FROM batches WHERE input_file = ? AND status = 'validating' LIMIT 1");
  row.bind_text(1, file);
  return row.step();
}

bool Batches::add_batch(const BatchRow& batch, const FileLimits& limits) {
  const std::scoped_lock lock(mutex_);
  if (!has_room(1, batch.owner, limits)) return false;
  const std::int64_t made = 2 * db_.integer("SELECT count(*) FROM batches WHERE " +
                                            std::string(kUnfinished));  // an output, an error file
  if (db_.integer("SELECT count(*) FROM files") + made >= limits.files_max) return false;
  Statement insert = db_.prepare(
      "INSERT INTO batches(id, input_file, endpoint, window, status, metadata, created_s, "
      "expires_s, owner) VALUES(?, ?, ?, ?, 'validating', ?, ?, ?, ?)");
  insert.bind_text(1, batch.id);
  insert.bind_text(2, batch.input_file);
  insert.bind_text(3, batch.endpoint);
  insert.bind_text(4, batch.window);
  insert.bind_text_or_null(5, batch.metadata);
  insert.bind(6, batch.created_s);
  insert.bind(7, batch.expires_s);
  insert.bind_text(8, batch.owner);
  insert.run();
  return true;
}

std::optional<BatchRow> Batches::batch(std::string_view id) {
  const std::scoped_lock lock(mutex_);
  Statement row = db_.prepare(select_batches("WHERE id = ?"));
  row.bind_text(1, id);
  if (!row.step()) return std::nullopt;
  return batch_of(row);
}

std::vector<BatchRow> Batches::batches(std::string_view owner, std::string_view after,
                                       int rows_max) {
  const std::scoped_lock lock(mutex_);
  Statement rows = db_.prepare(select_batches(
      "WHERE (?3 = '' OR owner = ?3) AND "
      "(?1 = '' OR seq < (SELECT seq FROM batches WHERE id = ?1)) ORDER BY seq DESC LIMIT ?2"));
  rows.bind_text(1, after);
  rows.bind(2, std::int64_t{rows_max});
  rows.bind_text(3, owner);
  std::vector<BatchRow> found;
  while (rows.step()) found.push_back(batch_of(rows));
  return found;
}

std::vector<BatchRow> Batches::unfinished() {
  const std::scoped_lock lock(mutex_);
  Statement rows =
      db_.prepare(select_batches("WHERE " + std::string(kUnfinished) + " ORDER BY seq"));
  std::vector<BatchRow> found;
  while (rows.step()) found.push_back(batch_of(rows));
  return found;
}

std::int64_t Batches::count_unfinished(std::string_view owner) {
  const std::scoped_lock lock(mutex_);
  Statement count =
      db_.prepare("SELECT count(*) FROM batches WHERE owner = ? AND " + std::string(kUnfinished));
  count.bind_text(1, owner);
  count.step();
  return count.integer(0);
}

void Batches::plan(std::string_view id, std::span<const BatchLine> lines,
                   std::span<const LineOutcome> refused, std::int64_t now_s) {
  const std::scoped_lock lock(mutex_);
  Transaction transaction(db_);
  Statement insert = db_.prepare(
      "INSERT INTO lines(batch, line, custom_id, body, failed, outcome) VALUES(?, ?, ?, ?, ?, ?)");
  const auto put = [&](std::int64_t line, std::string_view custom_id, std::string_view body,
                       const std::string* outcome) {
    insert.bind_text(1, id);
    insert.bind(2, line);
    insert.bind_text(3, custom_id);
    insert.bind_text(4, body);
    insert.bind_null(5);
    insert.bind_null(6);
    if (outcome != nullptr) {
      insert.bind(5, std::int64_t{1});
      insert.bind_text(6, *outcome);
    }
    insert.run();
  };
  for (const BatchLine& line : lines) put(line.line, line.custom_id, line.body, nullptr);
  for (const LineOutcome& line : refused) put(line.line, "", "", &line.row);
  Statement begin = db_.prepare(
      "UPDATE batches SET status = 'in_progress', in_progress_s = ?, total = ?, failed = ? WHERE "
      "id = ? AND status = 'validating'");
  begin.bind(1, now_s);
  begin.bind(2, static_cast<std::int64_t>(lines.size() + refused.size()));
  begin.bind(3, static_cast<std::int64_t>(refused.size()));
  begin.bind_text(4, id);
  begin.run();
  if (db_.changes() == 1) transaction.commit();  // cancelled meanwhile: nothing to do
}

void Batches::fail(std::string_view id, std::string_view errors, std::int64_t now_s) {
  const std::scoped_lock lock(mutex_);
  Statement update = db_.prepare(
      "UPDATE batches SET status = 'failed', failed_s = ?, errors = ? WHERE id = ? AND status = "
      "'validating'");
  update.bind(1, now_s);
  update.bind_text(2, errors);
  update.bind_text(3, id);
  update.run();
}

std::vector<BatchLine> Batches::open_lines(std::string_view id) {
  const std::scoped_lock lock(mutex_);
  Statement rows = db_.prepare(
      "SELECT line, custom_id, body FROM lines WHERE batch = ? AND outcome IS NULL ORDER BY line");
  rows.bind_text(1, id);
  std::vector<BatchLine> lines;
  while (rows.step()) lines.push_back({rows.integer(0), rows.text(1), rows.text(2)});
  return lines;
}

void Batches::settle(std::string_view id, std::span<const LineOutcome> outcomes) {
  const std::scoped_lock lock(mutex_);
  Transaction transaction(db_);
  Statement update = db_.prepare(
      "UPDATE lines SET failed = ?, outcome = ? WHERE batch = ? AND line = ? AND outcome IS NULL");
  std::int64_t completed = 0, failed = 0;
  for (const LineOutcome& outcome : outcomes) {
    update.bind(1, std::int64_t{outcome.failed});
    update.bind_text(2, outcome.row);
    update.bind_text(3, id);
    update.bind(4, outcome.line);
    update.run();
    (outcome.failed ? failed : completed) += db_.changes();
  }
  Statement count =
      db_.prepare("UPDATE batches SET completed = completed + ?, failed = failed + ? WHERE id = ?");
  count.bind(1, completed);
  count.bind(2, failed);
  count.bind_text(3, id);
  count.run();
  transaction.commit();
}

bool Batches::cancel(std::string_view id, std::int64_t now_s) {
  const std::scoped_lock lock(mutex_);
  Statement update = db_.prepare(
      "UPDATE batches SET status = 'cancelling', cancelling_s = ? WHERE id = ? AND status IN "
      "('validating', 'in_progress')");
  update.bind(1, now_s);
  update.bind_text(2, id);
  update.run();
  return db_.changes() > 0;
}

void Batches::close(std::string_view id, std::string_view status, std::int64_t now_s) {
  const std::scoped_lock lock(mutex_);
  Transaction transaction(db_);
  for (const bool failed : {false, true}) {
    Statement sizes = db_.prepare(
        "SELECT count(*), coalesce(sum(length(CAST(outcome AS BLOB)) + 1), 0) FROM lines WHERE "
        "batch = ? AND failed = ? AND outcome IS NOT NULL");
    sizes.bind_text(1, id);
    sizes.bind(2, std::int64_t{failed});
    if (!sizes.step() || sizes.integer(0) == 0) continue;
    const std::string file = "file-" + std::string(id) + (failed ? "-errors" : "-output");
    Statement insert = db_.prepare(
        "INSERT OR IGNORE INTO files(id, name, purpose, created_s, bytes, batch, failed, owner) "
        "SELECT ?1, ?2, 'batch_output', ?3, ?4, ?5, ?6, owner FROM batches WHERE id = ?5");
    insert.bind_text(1, file);
    const std::string name = std::string(id) + (failed ? "_error.jsonl" : "_output.jsonl");
    insert.bind_text(2, name);
    insert.bind(3, now_s);
    insert.bind(4, sizes.integer(1));
    insert.bind_text(5, id);
    insert.bind(6, std::int64_t{failed});
    insert.run();
    Statement name_it = db_.prepare(failed ? "UPDATE batches SET error_file = ? WHERE id = ?"
                                           : "UPDATE batches SET output_file = ? WHERE id = ?");
    name_it.bind_text(1, file);
    name_it.bind_text(2, id);
    name_it.run();
  }
  const std::string column = std::string(status) + "_s";  // one of ours, not a client's word
  Statement update = db_.prepare("UPDATE batches SET status = ?1, " + column +
                                 " = ?2, finalizing_s = ?2 WHERE id = ?3");
  update.bind_text(1, status);
  update.bind(2, now_s);
  update.bind_text(3, id);
  update.run();
  // The questions are not needed any more.
  Statement clear = db_.prepare("UPDATE lines SET body = '' WHERE batch = ?");
  clear.bind_text(1, id);
  clear.run();
  transaction.commit();
}

}  // namespace store
