// SQLite with owners: a connection, a prepared statement, a transaction. Nothing clever.
//
// Every call that SQLite refuses throws DbError, whose text an operator understands (file, what was
// tried, what SQLite said). One connection belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace store {

class DbError : public std::runtime_error {
 public:
  DbError(int code, const std::string& sentence) : std::runtime_error(sentence), code_(code) {}

  /// Worth trying again as it is: somebody holds the lock, or the disk is full.
  bool passing() const;
  /// The row itself is at fault (constraint, type, size); others of the same batch are not.
  bool of_row() const;

 private:
  int code_;  // SQLite's primary result code
};

/// A prepared statement. Bound views must live until reset() or the next bind of the same place.
/// Places and columns are numbered as SQLite does: places from 1, columns from 0.
class Statement {
 public:
  Statement() = default;
  Statement(sqlite3* db, std::string_view sql);
  Statement(Statement&&) = default;
  Statement& operator=(Statement&&) = default;

  void bind(int place, std::int64_t value);
  void bind(int place, double value);
  void bind_text(int place, std::string_view text);
  void bind_bytes(int place, std::string_view bytes);
  void bind_null(int place);
  /// NULL when empty.
  void bind_text_or_null(int place, std::string_view text);

  /// True: a row is there. False: done, and the statement is ready for the next use.
  bool step();

  /// step() of a statement that returns no rows.
  void run() {
    while (step()) {
    }
  }

  /// Forget the current row; never throws.
  void reset() noexcept;

  bool is_null(int column) const;
  std::int64_t integer(int column) const;
  double real(int column) const;
  std::string text(int column) const;  // also of a BLOB; empty for NULL

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const noexcept;
  };

  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

/// Ends a query when its reader is done with it, however that happens: until then it would hold on
/// to an old state of the database and keep the WAL from being cut back.
struct ResetOnExit {
  Statement& statement;

  ~ResetOnExit() { statement.reset(); }
};

enum class Access : std::uint8_t { read_write /* created when absent */, read_only };

class Db {
 public:
  Db(const std::string& path, Access access, int busy_wait_ms);

  Statement prepare(std::string_view sql) { return Statement(db_.get(), sql); }

  /// Runs statements that return nothing, separated by semicolons.
  void exec(std::string_view sql);
  /// First column of the first row; 0 when there is none.
  std::int64_t integer(std::string_view sql);
  std::int64_t changes() const;
  std::int64_t last_rowid() const;

  const std::string& path() const { return path_; }

  sqlite3* handle() { return db_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* db) const noexcept;
  };

  std::string path_;
  std::unique_ptr<sqlite3, Close> db_;
};

/// BEGIN IMMEDIATE now; rolled back unless commit() returned.
class Transaction {
 public:
  explicit Transaction(Db& db) : db_(db) { db_.exec("BEGIN IMMEDIATE"); }

  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  Db& db_;
  bool open_ = true;
};

}  // namespace store
