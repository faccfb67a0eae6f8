// What administrators changed, and who may ask: resources that belong to the database, the versions
// that led there, API keys and their spend. In the log's file, on a connection of its own.
//
// Documents are text to this room; it neither reads nor checks them. Every call blocks on the disk
// and returns after what it wrote was synced; each is one transaction. Any thread: calls are
// serialised. Throws DbError when SQLite refuses.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/db.h"

namespace store {

/// Versions that are kept; the oldest go. A rollback reaches back that far.
inline constexpr std::int64_t kAdminVersionsMax = 10'000;

/// A resource that belongs to the database. A document of `null`: removed, whatever the file says.
struct OwnedResource {
  std::string kind, name, document;
  std::int64_t version = 0;  // that last changed it
};

/// What one version did to one resource. `before` and `after`: what the database says of it,
/// nullopt: nothing, it belongs to the file. `*_seen`: the document in force, nullopt: none.
struct ResourceChange {
  std::string kind, name;
  std::optional<std::string> before, after;
  std::optional<std::string> before_seen, after_seen;
};

struct AdminVersion {
  std::int64_t number = 0;  // 1, 2, 3 ...
  std::int64_t unix_us = 0;
  std::string author, verb, comment;
  std::vector<ResourceChange> changes;  // empty in lists
};

struct KeyRow {
  std::string id;      // `key_` and 26 characters
  std::string hash;    // SHA-256 of the key, 64 hex digits
  std::string prefix;  // what may be shown of it
  std::string role;    // client, admin
  std::int64_t created_us = 0;
  std::int64_t expires_us = 0;  // 0: never
  std::int64_t revoked_us = 0;  // 0: not
  std::string terms;            // name, models, limits: JSON
};

struct SpendRow {
  std::string key_id;
  std::int64_t day = 0;  // since 1970-01-01, UTC
  std::int64_t microusd = 0;
};

class AdminBook {
 public:
  /// Opens, creates and migrates as Journal does; both may have the file open.
  explicit AdminBook(const std::string& path);

  std::vector<OwnedResource> resources();

  /// Writes the version and what it changes; returns its number, one above the last.
  std::int64_t append(const AdminVersion& version);

  /// 0: none yet.
  std::int64_t last_version();

  /// Newest first, below `before` (0: from the newest), at most `limit`, without their changes.
  std::vector<AdminVersion> versions(std::int64_t before, int limit);

  std::optional<AdminVersion> version(std::int64_t number);

  /// All versions above `number` with their changes, newest first; nullopt when they do not reach
  /// back that far.
  std::optional<std::vector<AdminVersion>> versions_above(std::int64_t number);

  std::vector<KeyRow> keys();
  /// Inserts, or replaces the row of the same id.
  void put(const KeyRow& key);

  /// From `since_day` on.
  std::vector<SpendRow> spend(std::int64_t since_day);
  /// Replaces what was there for these keys and days.
  void put(const std::vector<SpendRow>& rows);

 private:
  AdminVersion read_version(Statement& row);
  void read_changes(AdminVersion& version);

  std::mutex mutex_;
  Db db_;
};

}  // namespace store
