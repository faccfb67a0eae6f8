#include "store/eval_book.h"

#include "store/options.h"
#include "store/schema.h"

namespace store {

namespace {

constexpr int kEvalWaitMs = 10'000;  // for the log's writer, which commits every few milliseconds

using Lock = std::lock_guard<std::mutex>;

EvalRun read_run(const Statement& row, bool whole) {
  EvalRun run{.id = row.text(0),
              .status = row.text(1),
              .created_us = row.integer(2),
              .started_us = row.integer(3),
              .finished_us = row.integer(4),
              .request = row.text(5),
              .error = row.text(6),
              .report = "",
              .html = ""};
  if (whole) run.report = row.text(7), run.html = row.text(8);
  return run;
}

}  // namespace

EvalBook::EvalBook(const std::string& path, std::int64_t now_us)
    : db_(path, Access::read_write, kEvalWaitMs) {
  prepare_writer(db_, Options{}.wal_bytes);
  migrate(db_, migrations());
  auto stale = db_.prepare(
      "UPDATE eval_runs SET status='failed', finished_us=?1, error='the service ended while this "
      "run was under way' WHERE status IN ('queued','running')");
  stale.bind(1, now_us);
  stale.run();
}

void EvalBook::put(const EvalRun& run) {
  const Lock lock(mutex_);
  Transaction transaction(db_);
  auto insert = db_.prepare("REPLACE INTO eval_runs VALUES(?,?,?,?,?,?,?,?,?)");
  insert.bind_text(1, run.id);
  insert.bind_text(2, run.status);
  insert.bind(3, run.created_us);
  insert.bind(4, run.started_us);
  insert.bind(5, run.finished_us);
  insert.bind_text(6, run.request);
  insert.bind_text(7, run.error);
  insert.bind_text(8, run.report);
  insert.bind_text(9, run.html);
  insert.run();
  auto prune = db_.prepare(
      "DELETE FROM eval_runs WHERE id NOT IN (SELECT id FROM eval_runs ORDER BY id DESC LIMIT ?1)");
  prune.bind(1, kEvalRunsMax);
  prune.run();
  transaction.commit();
}

std::optional<EvalRun> EvalBook::find(const std::string& id) {
  const Lock lock(mutex_);
  auto row = db_.prepare("SELECT * FROM eval_runs WHERE id=?1");
  row.bind_text(1, id);
  if (!row.step()) return std::nullopt;
  return read_run(row, true);
}

std::vector<EvalRun> EvalBook::list(int limit) {
  const Lock lock(mutex_);
  auto row = db_.prepare(
      "SELECT id, status, created_us, started_us, finished_us, request, error FROM eval_runs "
      "ORDER BY id DESC LIMIT ?1");
  row.bind(1, std::int64_t{limit});
  std::vector<EvalRun> runs;
  while (row.step()) runs.push_back(read_run(row, false));
  return runs;
}

}  // namespace store
