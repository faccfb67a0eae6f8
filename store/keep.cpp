#include "store/keep.h"

#include <algorithm>

namespace store {
namespace {

constexpr std::int64_t kMicro = 1'000'000;

/// Deletes the oldest `rows_max` rows of `table` that came in before `before_us`.
std::int64_t drop_old(Db& db, const char* select, const char* remove, std::int64_t before_us,
                      std::int64_t rows_max) {
  // The log is in order of arrival up to the length of a request, so the first young row ends it.
  Statement oldest = db.prepare(select);
  oldest.bind(1, rows_max);
  std::int64_t last = 0;
  while (oldest.step()) {
    if (oldest.integer(1) >= before_us) break;
    last = oldest.integer(0);
  }
  oldest.reset();
  if (last == 0) return 0;
  Statement statement = db.prepare(remove);
  statement.bind(1, last);
  statement.run();
  return db.changes();
}

constexpr const char* kOldestTexts =
    "SELECT t.seq, d.unix_us FROM texts t JOIN decisions d ON d.seq = t.seq ORDER BY t.seq LIMIT ?";
constexpr const char* kDropTexts = "DELETE FROM texts WHERE seq <= ?";
constexpr const char* kOldestRows = "SELECT seq, unix_us FROM decisions ORDER BY seq LIMIT ?";
constexpr const char* kDropRows = "DELETE FROM decisions WHERE seq <= ?";

/// How many of the oldest rows are too many, by number and by bytes.
std::int64_t surplus(Db& db, const Retention& retention) {
  const std::int64_t rows = db.integer(
      "SELECT ifnull((SELECT max(seq) FROM decisions) - min(seq) + 1, 0) FROM decisions");
  std::int64_t too_many = 0;
  if (retention.rows_max > 0) too_many = std::max(too_many, rows - retention.rows_max);
  const std::int64_t bytes = bytes_in_use(db);
  if (retention.bytes_max > 0 && bytes > retention.bytes_max) {
    // Rows are of about one size: this share of them holds the surplus.
    const double share =
        static_cast<double>(bytes - retention.bytes_max) / static_cast<double>(bytes);
    too_many = std::max(too_many, static_cast<std::int64_t>(share * static_cast<double>(rows)) + 1);
  }
  return std::min(too_many, rows);
}

std::uint64_t give_back(Db& db, int pages_max) {
  const std::int64_t before = db.integer("PRAGMA freelist_count");
  if (before == 0) return 0;
  Statement vacuum = db.prepare("PRAGMA incremental_vacuum(" + std::to_string(pages_max) + ")");
  vacuum.run();
  return static_cast<std::uint64_t>(before - db.integer("PRAGMA freelist_count"));
}

}  // namespace

std::int64_t bytes_in_use(Db& db) {
  const std::int64_t pages = db.integer("PRAGMA page_count") - db.integer("PRAGMA freelist_count");
  return pages * db.integer("PRAGMA page_size");
}

Expired expire_step(Db& db, const Retention& retention, std::int64_t now_unix_us) {
  Expired expired;
  Transaction transaction(db);
  if (retention.text_age_s_max > 0) {
    expired.texts = static_cast<std::uint64_t>(
        drop_old(db, kOldestTexts, kDropTexts, now_unix_us - retention.text_age_s_max * kMicro,
                 retention.step_rows));
  }
  if (retention.age_s_max > 0) {
    expired.rows = static_cast<std::uint64_t>(drop_old(db, kOldestRows, kDropRows,
                                                       now_unix_us - retention.age_s_max * kMicro,
                                                       retention.step_rows));
  }
  const std::int64_t too_many = std::min<std::int64_t>(surplus(db, retention), retention.step_rows);
  if (expired.rows == 0 && too_many > 0) {
    expired.rows =
        static_cast<std::uint64_t>(drop_old(db, kOldestRows, kDropRows, INT64_MAX, too_many));
  }
  expired.pages = give_back(db, retention.step_pages);
  transaction.commit();
  const auto step_rows = static_cast<std::uint64_t>(retention.step_rows);
  expired.more = expired.rows == step_rows || expired.texts == step_rows ||
                 expired.pages == static_cast<std::uint64_t>(retention.step_pages);
  return expired;
}

}  // namespace store
