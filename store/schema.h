// The tables, as numbered migrations. PRAGMA user_version holds how many of them a file has seen.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "store/db.h"

namespace store {

/// PRAGMA application_id of our four kinds of file.
inline constexpr std::int64_t kLogMark = 0x534b5944;        // "SKYD"
inline constexpr std::int64_t kKnowledgeMark = 0x534b594b;  // "SKYK"
inline constexpr std::int64_t kBatchMark = 0x534b5942;      // "SKYB"
inline constexpr std::int64_t kVectorsMark = 0x534b5956;    // "SKYV"

/// All migrations of the log in this build, in order; number n is at place n - 1. Published ones
/// never change.
std::span<const std::string_view> migrations();

/// Brings the file to the last of `steps`, one transaction per step, each whole or not at all.
/// Throws std::runtime_error for a file that is not of this kind, is damaged, or was written by a
/// newer build.
void migrate(Db& db, std::span<const std::string_view> steps, std::int64_t mark = kLogMark);

/// Settings of a writing connection: WAL, full sync, foreign keys. Before migrate().
void prepare_writer(Db& db, std::int64_t wal_bytes, std::int64_t mark = kLogMark);

/// Refuses what this build cannot read, with the same sentences as migrate(). For readers.
void check_readable(Db& db, std::span<const std::string_view> steps = migrations(),
                    std::int64_t mark = kLogMark);

}  // namespace store
