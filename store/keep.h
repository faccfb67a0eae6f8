// What is forgotten, in small steps: rows by age, number and bytes, texts earlier than rows, and
// the freed pages given back to the file system. Runs on the writer's thread between two batches.
#pragma once

#include <cstdint>

#include "store/db.h"
#include "store/options.h"

namespace store {

struct Expired {
  std::uint64_t rows = 0;  // decisions, and their feedback with them
  std::uint64_t texts = 0;
  std::uint64_t outcomes = 0;
  std::uint64_t pages = 0;  // given back
  bool more = false;        // a limit is still exceeded: worth another step soon
};

/// At most Retention::step_rows of each kind and step_pages. Oldest first. Throws DbError.
Expired expire_step(Db& db, const Retention& retention, std::int64_t now_unix_us);

/// Without a scan: `seq` has no gaps, only the oldest rows are ever deleted.
std::int64_t decision_count(Db& db);

/// Bytes of the pages in use (the file without its free pages, without the WAL).
std::int64_t bytes_in_use(Db& db);

}  // namespace store
