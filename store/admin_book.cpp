#include "store/admin_book.h"

#include <algorithm>

#include "store/options.h"
#include "store/schema.h"

namespace store {

namespace {

constexpr int kAdminWaitMs = 10'000;  // for the log's writer, which commits every few milliseconds

using Lock = std::lock_guard<std::mutex>;

void bind_maybe(Statement& statement, int place, const std::optional<std::string>& text) {
  if (text) {
    statement.bind_text(place, *text);
  } else {
    statement.bind_null(place);
  }
}

std::optional<std::string> maybe_text(const Statement& statement, int column) {
  if (statement.is_null(column)) return std::nullopt;
  return statement.text(column);
}

void bind_or_null(Statement& statement, int place, std::int64_t value) {
  if (value == 0) {
    statement.bind_null(place);
  } else {
    statement.bind(place, value);
  }
}

void write_change(Db& db, std::int64_t number, const ResourceChange& change) {
  auto insert = db.prepare("INSERT INTO admin_changes VALUES(?,?,?,?,?,?,?)");
  insert.bind(1, number);
  insert.bind_text(2, change.kind);
  insert.bind_text(3, change.name);
  bind_maybe(insert, 4, change.before);
  bind_maybe(insert, 5, change.after);
  bind_maybe(insert, 6, change.before_seen);
  bind_maybe(insert, 7, change.after_seen);
  insert.run();
  auto apply = db.prepare(change.after ? "REPLACE INTO admin_resources VALUES(?1,?2,?3,?4)"
                                       : "DELETE FROM admin_resources WHERE kind=?1 AND name=?2");
  apply.bind_text(1, change.kind);
  apply.bind_text(2, change.name);
  if (change.after) {
    apply.bind_text(3, *change.after);
    apply.bind(4, number);
  }
  apply.run();
}

}  // namespace

AdminBook::AdminBook(const std::string& path) : db_(path, Access::read_write, kAdminWaitMs) {
  prepare_writer(db_, Options{}.wal_bytes);
  migrate(db_, migrations());
}

std::vector<OwnedResource> AdminBook::resources() {
  const Lock lock(mutex_);
  std::vector<OwnedResource> found;
  auto rows = db_.prepare(
      "SELECT kind, name, document, version FROM admin_resources "
      "ORDER BY version, kind, name");
  while (rows.step()) {
    found.push_back({rows.text(0), rows.text(1), rows.text(2), rows.integer(3)});
  }
  return found;
}

std::int64_t AdminBook::append(const AdminVersion& version) {
  const Lock lock(mutex_);
  Transaction transaction(db_);
  const auto number = db_.integer("SELECT max(version) FROM admin_versions") + 1;
  auto insert = db_.prepare("INSERT INTO admin_versions VALUES(?,?,?,?,?)");
  insert.bind(1, number);
  insert.bind(2, version.unix_us);
  insert.bind_text(3, version.author);
  insert.bind_text(4, version.verb);
  insert.bind_text(5, version.comment);
  insert.run();
  for (const auto& change : version.changes) write_change(db_, number, change);
  auto expire = db_.prepare("DELETE FROM admin_versions WHERE version <= ?");
  expire.bind(1, number - kAdminVersionsMax);
  expire.run();
  transaction.commit();
  return number;
}

std::int64_t AdminBook::last_version() {
  const Lock lock(mutex_);
  return db_.integer("SELECT max(version) FROM admin_versions");
}

AdminVersion AdminBook::read_version(Statement& row) {
  AdminVersion version;
  version.number = row.integer(0);
  version.unix_us = row.integer(1);
  version.author = row.text(2);
  version.verb = row.text(3);
  version.comment = row.text(4);
  return version;
}

void AdminBook::read_changes(AdminVersion& version) {
  auto rows = db_.prepare(
      "SELECT kind, name, before, after, before_seen, after_seen "
      "FROM admin_changes WHERE version = ? ORDER BY kind, name");
  rows.bind(1, version.number);
  while (rows.step()) {
    version.changes.push_back({rows.text(0), rows.text(1), maybe_text(rows, 2), maybe_text(rows, 3),
                               maybe_text(rows, 4), maybe_text(rows, 5)});
  }
}

std::vector<AdminVersion> AdminBook::versions(std::int64_t before, int limit) {
  const Lock lock(mutex_);
  std::vector<AdminVersion> found;
  auto rows = db_.prepare(
      "SELECT * FROM admin_versions WHERE version < ? "
      "ORDER BY version DESC LIMIT ?");
  rows.bind(1, before > 0 ? before : INT64_MAX);
  rows.bind(2, std::int64_t{std::max(0, limit)});
  while (rows.step()) found.push_back(read_version(rows));
  return found;
}

std::optional<AdminVersion> AdminBook::version(std::int64_t number) {
  const Lock lock(mutex_);
  auto rows = db_.prepare("SELECT * FROM admin_versions WHERE version = ?");
  rows.bind(1, number);
  const ResetOnExit done{rows};
  if (!rows.step()) return std::nullopt;
  auto found = read_version(rows);
  read_changes(found);
  return found;
}

std::optional<std::vector<AdminVersion>> AdminBook::versions_above(std::int64_t number) {
  const Lock lock(mutex_);
  std::vector<AdminVersion> found;
  auto rows = db_.prepare("SELECT * FROM admin_versions WHERE version > ? ORDER BY version DESC");
  rows.bind(1, number);
  while (rows.step()) {
    found.push_back(read_version(rows));
    read_changes(found.back());
  }
  const bool reaches = found.empty()
                           ? db_.integer("SELECT max(version) FROM admin_versions") == number
                           : found.back().number == number + 1;
  if (!reaches) return std::nullopt;
  return found;
}

std::vector<KeyRow> AdminBook::keys() {
  const Lock lock(mutex_);
  std::vector<KeyRow> found;
  auto rows = db_.prepare(
      "SELECT id, hash, prefix, role, created_us, expires_us, revoked_us, terms "
      "FROM keys ORDER BY created_us, id");
  while (rows.step()) {
    found.push_back({rows.text(0), rows.text(1), rows.text(2), rows.text(3), rows.integer(4),
                     rows.integer(5), rows.integer(6), rows.text(7)});
  }
  return found;
}

void AdminBook::put(const KeyRow& key) {
  const Lock lock(mutex_);
  Transaction transaction(db_);
  auto insert = db_.prepare(
      "INSERT INTO keys VALUES(?,?,?,?,?,?,?,?) ON CONFLICT(id) DO UPDATE SET hash=excluded.hash, "
      "prefix=excluded.prefix, role=excluded.role, expires_us=excluded.expires_us, "
      "revoked_us=excluded.revoked_us, terms=excluded.terms");
  insert.bind_text(1, key.id);
  insert.bind_text(2, key.hash);
  insert.bind_text(3, key.prefix);
  insert.bind_text(4, key.role);
  insert.bind(5, key.created_us);
  bind_or_null(insert, 6, key.expires_us);
  bind_or_null(insert, 7, key.revoked_us);
  insert.bind_text(8, key.terms);
  insert.run();
  transaction.commit();
}

std::vector<SpendRow> AdminBook::spend(std::int64_t since_day) {
  const Lock lock(mutex_);
  std::vector<SpendRow> found;
  auto rows = db_.prepare("SELECT key_id, day, microusd FROM key_spend WHERE day >= ?");
  rows.bind(1, since_day);
  while (rows.step()) found.push_back({rows.text(0), rows.integer(1), rows.integer(2)});
  return found;
}

void AdminBook::put(const std::vector<SpendRow>& rows) {
  if (rows.empty()) return;
  const Lock lock(mutex_);
  Transaction transaction(db_);
  auto insert = db_.prepare("REPLACE INTO key_spend VALUES(?,?,?)");
  for (const auto& row : rows) {
    insert.bind_text(1, row.key_id);
    insert.bind(2, row.day);
    insert.bind(3, row.microusd);
    insert.run();
  }
  transaction.commit();
}

}  // namespace store
