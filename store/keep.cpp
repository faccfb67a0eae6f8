#include "store/keep.h"

#include <algorithm>

namespace store {
namespace {

constexpr std::int64_t kMicro = 1'000'000;

/// What expires on its own: how its oldest rows are found, with their times, and how they go.
struct Kind {
  const char* oldest;
  const char* remove;
};

constexpr Kind kTexts = {
    "SELECT t.seq, d.unix_us FROM texts t JOIN decisions d ON d.seq = t.seq ORDER BY t.seq LIMIT ?",
    "DELETE FROM texts WHERE seq <= ?"};
constexpr Kind kDecisions = {"SELECT seq, unix_us FROM decisions ORDER BY seq LIMIT ?",
                             "DELETE FROM decisions WHERE seq <= ?"};
constexpr Kind kOutcomes = {"SELECT seq, unix_us FROM outcomes ORDER BY seq LIMIT ?",
                            "DELETE FROM outcomes WHERE seq <= ?"};

/// Deletes at most `rows_max` of the oldest rows that came in before `before_us`.
std::uint64_t drop_oldest(Db& db, const Kind& kind, std::int64_t before_us, std::int64_t rows_max) {
  // Rows are in order of time up to the length of a request, so the first young one ends the
  // search.
  Statement oldest = db.prepare(kind.oldest);
  oldest.bind(1, rows_max);
  std::int64_t last = 0;
  while (oldest.step() && oldest.integer(1) < before_us) last = oldest.integer(0);
  oldest.reset();
  if (last == 0) return 0;
  Statement remove = db.prepare(kind.remove);
  remove.bind(1, last);
  remove.run();
  return static_cast<std::uint64_t>(db.changes());
}

/// How many of the oldest rows are too many, by number and by bytes.
std::int64_t surplus(Db& db, const Retention& retention) {
  const std::int64_t rows = decision_count(db);
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

/// Pages that stay free are filled by the next rows; giving them back would only move others
/// around.
std::int64_t spare_pages(Db& db) {
  return db.integer("PRAGMA freelist_count") - db.integer("PRAGMA page_count") / 10;
}

std::uint64_t give_back(Db& db, std::int64_t pages_max) {
  const std::int64_t pages = std::min(spare_pages(db), pages_max);
  if (pages <= 0) return 0;
  db.prepare("PRAGMA incremental_vacuum(" + std::to_string(pages) + ")").run();
  return static_cast<std::uint64_t>(pages);
}

}  // namespace

std::int64_t decision_count(Db& db) {
  return db.integer(
      "SELECT (SELECT ifnull(max(seq), 0) FROM decisions) - "
      "(SELECT ifnull(min(seq), 1) FROM decisions) + 1");
}

std::int64_t bytes_in_use(Db& db) {
  const std::int64_t pages = db.integer("PRAGMA page_count") - db.integer("PRAGMA freelist_count");
  return pages * db.integer("PRAGMA page_size");
}

Expired expire_step(Db& db, const Retention& retention, std::int64_t now_unix_us) {
  const auto drop_older = [&](const Kind& kind, std::int64_t age_s) -> std::uint64_t {
    if (age_s <= 0) return 0;
    return drop_oldest(db, kind, now_unix_us - age_s * kMicro, retention.step_rows);
  };
  Expired expired;
  Transaction transaction(db);
  expired.texts = drop_older(kTexts, retention.text_age_s_max);
  expired.outcomes = drop_older(kOutcomes, retention.outcome_age_s_max);
  expired.rows = drop_older(kDecisions, retention.age_s_max);
  if (expired.rows == 0) {
    const std::int64_t rows = std::min<std::int64_t>(surplus(db, retention), retention.step_rows);
    if (rows > 0) expired.rows = drop_oldest(db, kDecisions, INT64_MAX, rows);
  }
  expired.pages = give_back(db, retention.step_pages);
  transaction.commit();
  const auto whole_step = static_cast<std::uint64_t>(retention.step_rows);
  expired.more = expired.rows == whole_step || expired.texts == whole_step ||
                 surplus(db, retention) > 0 || expired.outcomes == whole_step ||
                 spare_pages(db) > 0;
  return expired;
}

}  // namespace store
