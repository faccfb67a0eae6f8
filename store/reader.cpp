#include "store/reader.h"

#include <algorithm>

#include "store/decision_columns.h"
#include "store/keep.h"
#include "store/schema.h"

namespace store {
namespace {

constexpr int kRecoveryWaitMs = 1'000;  // only while another process recovers the WAL

// Rows are logged when their answer is done, so `unix_us` is out of order by the longest answer.
constexpr std::int64_t kDisorderUs = 3'600'000'000;

Db open(const std::string& path) {
  Db db(path, Access::read_only, kRecoveryWaitMs);
  check_readable(db);
  return db;
}

/// The text (or NULL), then the columns of a decision.
std::string select_decisions(std::string_view rest) {
  return "SELECT (SELECT text FROM texts t WHERE t.seq = decisions.seq), " +
         decision_column_names() + " FROM decisions " + std::string(rest);
}

Stored read_stored(const Statement& from) {
  Stored stored;
  stored.row.text = from.text(0);
  stored.fault = read_decision(from, 1, stored.row);
  return stored;
}

constexpr std::string_view kFeedbackColumns =
    "decision_id, unix_us, score, correct_answer, comment, user_hash";

Feedback read_feedback(const Statement& from, int first) {
  Feedback row;
  row.decision_id = from.text(first);
  row.unix_us = from.integer(first + 1);
  row.score = from.real(first + 2);
  row.correct_answer = from.text(first + 3);
  row.comment = from.text(first + 4);
  row.user_hash = from.text(first + 5);
  return row;
}

Outcome read_outcome(const Statement& from, int first) {
  Outcome row;
  row.decision_id = from.text(first);
  row.unix_us = from.integer(first + 1);
  row.query_hash = static_cast<std::uint64_t>(from.integer(first + 2));
  row.expert = from.text(first + 3);
  row.score = from.real(first + 4);
  row.weight = from.real(first + 5);
  row.kind = from.text(first + 6);
  row.grader = from.text(first + 7);
  return row;
}

/// `bytes` is the caller's: it is the one column that only policy() selects.
PolicyRow read_policy(const Statement& from) {
  PolicyRow row;
  row.version = static_cast<std::uint64_t>(from.integer(0));
  row.parent = static_cast<std::uint64_t>(from.integer(1));
  row.status = from.text(2);
  row.created_us = from.integer(3);
  row.path = from.text(4);
  row.sha256 = from.text(5);
  row.metrics_json = from.text(6);
  row.note = from.text(7);
  return row;
}

constexpr std::string_view kPolicyColumns =
    "version, parent, status, created_us, path, sha256, metrics_json, note";

int page_of(int limit) {
  return std::clamp(limit, 1, kPageRowsMax);
}

}  // namespace

Reader::Reader(const std::string& path)
    : db_(open(path)),
      by_id_(db_.prepare(select_decisions("WHERE id = ?"))),
      list_(db_.prepare(select_decisions(
          "WHERE seq < ?1 AND seq >= ?2 AND (?3 IS NULL OR pool = ?3) AND "
          "(?4 IS NULL OR expert = ?4) AND unix_us >= ?5 ORDER BY seq DESC LIMIT ?6"))) {}

std::optional<Stored> Reader::decision(std::string_view id) {
  const ResetOnExit done{by_id_};
  by_id_.bind_text(1, id);
  if (!by_id_.step()) return std::nullopt;
  return read_stored(by_id_);
}

/// The place that a page ends before; 0 when the row of the cursor is gone, and with it all older
/// ones.
std::int64_t Reader::place_before(const std::string& before) {
  if (before.empty()) return db_.integer("SELECT ifnull(max(seq), 0) + 1 FROM decisions");
  Statement find = db_.prepare("SELECT seq FROM decisions WHERE id = ?");
  const ResetOnExit done{find};
  find.bind_text(1, before);
  return find.step() ? find.integer(0) : 0;
}

DecisionPage Reader::decisions(const DecisionFilter& filter) {
  DecisionPage page;
  const std::int64_t top = place_before(filter.before);
  const std::int64_t bottom = std::max<std::int64_t>(top - kPageScanMax, 0);
  const int limit = page_of(filter.limit);
  {
    const ResetOnExit done{list_};
    list_.bind(1, top);
    list_.bind(2, bottom);
    list_.bind_text_or_null(3, filter.pool);
    list_.bind_text_or_null(4, filter.expert);
    list_.bind(5, filter.since_us);
    list_.bind(6, std::int64_t{limit});
    while (list_.step()) page.rows.push_back(read_stored(list_));
  }
  if (static_cast<int>(page.rows.size()) == limit) {
    page.next = page.rows.back().row.id;
    return page;
  }
  // The scan ended before the page was full: go on from its lowest row, unless nothing lies below
  // it or all of that came in too early.
  Statement lowest = db_.prepare(
      "SELECT id, unix_us, seq > (SELECT min(seq) FROM decisions) FROM decisions "
      "WHERE seq >= ? AND seq < ? ORDER BY seq LIMIT 1");
  const ResetOnExit done{lowest};
  lowest.bind(1, bottom);
  lowest.bind(2, top);
  if (!lowest.step() || lowest.integer(2) == 0) return page;
  if (lowest.integer(1) >= filter.since_us - kDisorderUs) page.next = lowest.text(0);
  return page;
}

std::vector<Feedback> Reader::feedback_of(std::string_view decision_id) {
  Statement select = db_.prepare("SELECT " + std::string(kFeedbackColumns) +
                                 " FROM feedback WHERE decision_id = ? ORDER BY seq LIMIT ?");
  select.bind_text(1, decision_id);
  select.bind(2, std::int64_t{kPageRowsMax});
  std::vector<Feedback> rows;
  while (select.step()) rows.push_back(read_feedback(select, 0));
  return rows;
}

FeedbackPage Reader::feedback_after(std::int64_t place, int limit) {
  Statement select = db_.prepare("SELECT seq, " + std::string(kFeedbackColumns) +
                                 " FROM feedback WHERE seq > ? ORDER BY seq LIMIT ?");
  select.bind(1, place);
  select.bind(2, std::int64_t{page_of(limit)});
  FeedbackPage page{.rows = {}, .last = place};
  while (select.step()) {
    page.last = select.integer(0);
    page.rows.push_back(read_feedback(select, 1));
  }
  return page;
}

OutcomePage Reader::outcomes_after(std::int64_t place, int limit) {
  Statement select = db_.prepare(
      "SELECT seq, decision_id, unix_us, query_hash, expert, score, weight, kind, grader "
      "FROM outcomes WHERE seq > ? ORDER BY seq LIMIT ?");
  select.bind(1, place);
  select.bind(2, std::int64_t{page_of(limit)});
  OutcomePage page{.rows = {}, .last = place};
  while (select.step()) {
    page.last = select.integer(0);
    page.rows.push_back(read_outcome(select, 1));
  }
  return page;
}

std::vector<PolicyRow> Reader::policies() {
  Statement select = db_.prepare("SELECT " + std::string(kPolicyColumns) +
                                 " FROM policies ORDER BY version DESC LIMIT ?");
  select.bind(1, std::int64_t{kPageRowsMax});
  std::vector<PolicyRow> rows;
  while (select.step()) rows.push_back(read_policy(select));
  return rows;
}

std::optional<PolicyRow> Reader::policy(std::uint64_t version) {
  Statement select = db_.prepare("SELECT " + std::string(kPolicyColumns) +
                                 ", bytes FROM policies WHERE version = ?");
  select.bind(1, static_cast<std::int64_t>(version));
  if (!select.step()) return std::nullopt;
  PolicyRow row = read_policy(select);
  row.bytes = select.text(8);
  return row;
}

std::vector<Loss> Reader::losses() {
  Statement select =
      db_.prepare("SELECT since_us, until_us, rows FROM losses ORDER BY seq DESC LIMIT ?");
  select.bind(1, std::int64_t{kPageRowsMax});
  std::vector<Loss> rows;
  while (select.step()) {
    rows.push_back({select.integer(0), select.integer(1), select.integer(2)});
  }
  return rows;
}

StoreCounts Reader::counts() {
  StoreCounts counts;
  counts.decisions = decision_count(db_);
  counts.texts = db_.integer("SELECT count(*) FROM texts");
  counts.feedback = db_.integer("SELECT count(*) FROM feedback");
  counts.outcomes = db_.integer("SELECT count(*) FROM outcomes");
  counts.policies = db_.integer("SELECT count(*) FROM policies");
  counts.rows_lost = db_.integer("SELECT ifnull(sum(rows), 0) FROM losses");
  counts.bytes_in_use = bytes_in_use(db_);
  return counts;
}

}  // namespace store
