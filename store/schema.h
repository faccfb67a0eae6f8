// The tables, as numbered migrations. PRAGMA user_version holds how many of them a file has seen.
#pragma once

#include <span>
#include <string_view>

#include "store/db.h"

namespace store {

/// All migrations of this build, in order; number n is at place n - 1. Published ones never change.
std::span<const std::string_view> migrations();

/// Brings the file to the last of `steps`, one transaction per step, each whole or not at all.
/// Throws std::runtime_error for a file that is not ours, is damaged, or was written by a newer
/// build.
void migrate(Db& db, std::span<const std::string_view> steps);

/// Settings of a writing connection: WAL, full sync, foreign keys. Before migrate().
void prepare_writer(Db& db, std::int64_t wal_bytes);

/// Refuses what this build cannot read, with the same sentences as migrate(). For readers.
void check_readable(Db& db);

}  // namespace store
