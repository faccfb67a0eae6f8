#include "store/db.h"

#include <sqlite3.h>

namespace store {
namespace {

[[noreturn]] void fail(sqlite3* db, const std::string& path, std::string_view what) {
  const int code = db != nullptr ? sqlite3_extended_errcode(db) : SQLITE_NOMEM;
  const char* said = db != nullptr ? sqlite3_errmsg(db) : "out of memory";
  std::string sentence = "database ";
  sentence += path.empty() ? "(in memory)" : path;
  sentence.append(": cannot ").append(what).append(": ").append(said);
  sentence += " (SQLite code " + std::to_string(code) + ")";
  if ((code & 0xff) == SQLITE_NOTADB || (code & 0xff) == SQLITE_CORRUPT) {
    sentence += "; move the file and its -wal away to start an empty one, or restore a copy";
  }
  throw DbError(code & 0xff, sentence);
}

[[noreturn]] void fail(sqlite3_stmt* statement) {
  sqlite3* db = sqlite3_db_handle(statement);
  const char* path = sqlite3_db_filename(db, "main");
  std::string what = "run `";
  what += sqlite3_sql(statement);
  constexpr std::size_t kShown = 80;
  if (what.size() > kShown) what.replace(kShown, std::string::npos, "...");
  fail(db, path == nullptr ? "" : path, what + "`");
}

}  // namespace

bool DbError::passing() const {
  return code_ == SQLITE_BUSY || code_ == SQLITE_LOCKED || code_ == SQLITE_FULL ||
         code_ == SQLITE_NOMEM;
}

bool DbError::of_row() const {
  return code_ == SQLITE_CONSTRAINT || code_ == SQLITE_MISMATCH || code_ == SQLITE_TOOBIG;
}

Statement::Statement(sqlite3* db, std::string_view sql) {
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v3(db, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
  statement_.reset(raw);
  if (code != SQLITE_OK) {
    const char* path = sqlite3_db_filename(db, "main");
    fail(db, path == nullptr ? "" : path, "prepare `" + std::string(sql.substr(0, 80)) + "`");
  }
}

void Statement::Finalize::operator()(sqlite3_stmt* statement) const noexcept {
  sqlite3_finalize(statement);
}

void Statement::bind(int place, std::int64_t value) {
  if (sqlite3_bind_int64(statement_.get(), place, value) != SQLITE_OK) fail(statement_.get());
}

void Statement::bind(int place, double value) {
  if (sqlite3_bind_double(statement_.get(), place, value) != SQLITE_OK) fail(statement_.get());
}

void Statement::bind_text(int place, std::string_view text) {
  const char* start = text.data() == nullptr ? "" : text.data();
  const int code = sqlite3_bind_text(statement_.get(), place, start, static_cast<int>(text.size()),
                                     SQLITE_STATIC);
  if (code != SQLITE_OK) fail(statement_.get());
}

void Statement::bind_bytes(int place, std::string_view bytes) {
  const char* start = bytes.data() == nullptr ? "" : bytes.data();
  const int code = sqlite3_bind_blob(statement_.get(), place, start, static_cast<int>(bytes.size()),
                                     SQLITE_STATIC);
  if (code != SQLITE_OK) fail(statement_.get());
}

void Statement::bind_null(int place) {
  if (sqlite3_bind_null(statement_.get(), place) != SQLITE_OK) fail(statement_.get());
}

void Statement::bind_text_or_null(int place, std::string_view text) {
  text.empty() ? bind_null(place) : bind_text(place, text);
}

bool Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    sqlite3_reset(statement_.get());
    return false;
  }

  // The message belongs to the connection and is gone after a reset: take it first.
  const ResetOnExit done{*this};

  fail(statement_.get());
}

void Statement::reset() noexcept {
  sqlite3_reset(statement_.get());
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

double Statement::real(int column) const {
  return sqlite3_column_double(statement_.get(), column);
}

std::string Statement::text(int column) const {
  const auto* start = static_cast<const char*>(sqlite3_column_blob(statement_.get(), column));
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return start == nullptr ? std::string() : std::string(start, static_cast<std::size_t>(size));
}

Db::Db(const std::string& path, Access access, int busy_wait_ms) : path_(path) {
  // For the whole process, before SQLite's first use: its memory statistics cost a mutex on every
  // allocation, one instruction in twenty of an insert, and nobody reads them.
  [[maybe_unused]] static const int configured = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  const int flags = access == Access::read_only ? SQLITE_OPEN_READONLY
                                                : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  sqlite3* raw = nullptr;
  // No mutex inside: a connection belongs to one thread at a time (head comment).
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  db_.reset(raw);
  if (code != SQLITE_OK) fail(raw, path_, "open the file");
  sqlite3_busy_timeout(raw, busy_wait_ms);
}

void Db::Close::operator()(sqlite3* db) const noexcept {
  sqlite3_close_v2(db);
}

void Db::exec(std::string_view sql) {
  const int code = sqlite3_exec(db_.get(), std::string(sql).c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(db_.get(), path_, "run `" + std::string(sql.substr(0, 80)) + "`");
}

std::int64_t Db::integer(std::string_view sql) {
  Statement statement = prepare(sql);
  return statement.step() ? statement.integer(0) : 0;
}

std::int64_t Db::changes() const {
  return sqlite3_changes64(db_.get());
}

std::int64_t Db::last_rowid() const {
  return sqlite3_last_insert_rowid(db_.get());
}

Transaction::~Transaction() {
  if (!open_) return;
  try {
    db_.exec("ROLLBACK");
  } catch (const DbError&) {
    // SQLite has rolled back by itself (full disk, I/O error): there is nothing left to undo.
  }
}

void Transaction::commit() {
  db_.exec("COMMIT");
  open_ = false;
}

}  // namespace store
