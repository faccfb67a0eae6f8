// rooms: store
// What a decision costs the log, and how many of them a second it holds.
//
//   bench_store                    the journal beside one commit per row, in one run
//   bench_store --smoke            the same, small
//   bench_store --writer N         only N rows through the writer, for an instruction count:
//     valgrind --tool=callgrind --toggle-collect='store::Writer::commit*' bench_store --writer
//     20000
//   [--dir DIR] where the database is made (default .), [--route-bytes N], [--text-bytes N]
//
// Rows a second depend on the disk (each group waits for one sync), CPU us a row do not.
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "store/journal.h"
#include "store/writer.h"

namespace {

using Steady = std::chrono::steady_clock;

struct Setup {
  std::filesystem::path dir = ".";
  std::size_t rows = 300'000;
  std::size_t rows_baseline = 500;
  int rounds = 3;
  std::size_t route_bytes = 320;  // 5 skills and 8 candidates
  std::size_t text_bytes = 0;
};

double seconds_since(Steady::time_point start) {
  return std::chrono::duration<double>(Steady::now() - start).count();
}

double cpu_seconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

store::Decision make_row(std::uint64_t number, const Setup& setup) {
  store::Decision row;
  char id[40];
  std::snprintf(id, sizeof id, "dec_%010llu%016llx", static_cast<unsigned long long>(number / 100),
                static_cast<unsigned long long>(number * 0x9e3779b97f4a7c15u));
  row.id = id;
  row.unix_us = 1'700'000'000'000'000 + static_cast<std::int64_t>(number) * 30;
  row.query_hash = number * 0x9e3779b97f4a7c15u;
  row.features_hash = ~row.query_hash;
  row.seed = row.query_hash >> 1;
  row.policy_version = 12;
  row.model = "skillyard/auto";
  row.pool = "auto";
  row.route.assign(setup.route_bytes, static_cast<char>(number));
  row.text.assign(setup.text_bytes, 'x');
  row.reason = "learned";
  row.propensity = 0.97;
  row.expert = "qwen2.5-7b-instruct";
  row.mode = "single";
  row.outcome = "ok";
  row.finish_reason = "stop";
  row.calls.push_back({.expert = row.expert,
                       .outcome = "ok",
                       .status = 200,
                       .attempts = 1,
                       .usage_known = true,
                       .prompt_tokens = 420,
                       .completion_tokens = 96,
                       .cached_tokens = 0,
                       .cost_microusd = 310,
                       .queued_us = 4,
                       .first_byte_us = 21'000,
                       .total_us = 480'000});
  row.prompt_tokens = 420;
  row.completion_tokens = 96;
  row.cost_microusd = 310;
  row.decide_us = 22;
  row.first_byte_us = 21'100;
  row.total_us = 480'200;
  return row;
}

store::Options options_in(const Setup& setup) {
  store::Options options;
  options.path = (setup.dir / "bench_store.db").string();
  options.keep_text = setup.text_bytes > 0;
  options.retention = {.age_s_max = 0, .text_age_s_max = 0, .rows_max = 0, .bytes_max = 0};
  for (const char* tail : {"", "-wal", "-shm"}) std::filesystem::remove(options.path + tail);
  return options;
}

struct Figures {
  double rows_a_second = 0;
  double cpu_us_a_row = 0;  // of the writer
  double put_ns = 0;        // of the caller, wall
  double bytes_a_row = 0;
  double rows_a_commit = 0;
};

/// Rows come as fast as the queue takes them; a full queue makes the producer wait.
Figures run_journal(const Setup& setup) {
  const store::Options options = options_in(setup);
  std::vector<store::Decision> rows;
  rows.reserve(setup.rows);
  for (std::size_t i = 0; i < setup.rows; ++i) rows.push_back(make_row(i, setup));
  double put_seconds = 0;
  std::size_t puts = 0;
  store::Journal journal(options, {});
  const auto start = Steady::now();
  const double process_before = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
  const double caller_before = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
  constexpr std::size_t kBurst = 256;
  for (std::size_t i = 0; i < rows.size();) {
    while (journal.counts().queue_rows > options.queue_rows_max / 2) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    const auto burst = Steady::now();
    for (std::size_t n = 0; n < kBurst && i < rows.size(); ++n, ++i, ++puts) {
      if (journal.put(std::move(rows[i])) == 0) std::abort();
    }
    put_seconds += seconds_since(burst);
  }
  if (!journal.flush(Steady::now() + std::chrono::minutes(1))) std::abort();
  Figures figures;
  const double seconds = seconds_since(start);
  const double writer_cpu = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - process_before -
                            (cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - caller_before);
  const auto n = static_cast<double>(setup.rows);
  figures.rows_a_second = n / seconds;
  figures.cpu_us_a_row = 1e6 * writer_cpu / n;
  figures.put_ns = 1e9 * put_seconds / static_cast<double>(puts);
  figures.rows_a_commit = n / static_cast<double>(journal.counts().commits);
  journal.stop();
  figures.bytes_a_row = static_cast<double>(std::filesystem::file_size(options.path)) / n;
  return figures;
}

/// The baseline: what a log without groups does, one commit and one sync for each row.
Figures run_row_by_row(const Setup& setup) {
  store::Writer writer(options_in(setup));
  store::Batch batch;
  const auto start = Steady::now();
  const double before = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
  for (std::size_t i = 0; i < setup.rows_baseline; ++i) {
    batch.clear();
    batch.decisions.push_back(make_row(i, setup));
    writer.commit(batch);
  }
  const auto n = static_cast<double>(setup.rows_baseline);
  Figures figures;
  figures.rows_a_second = n / seconds_since(start);
  figures.cpu_us_a_row = 1e6 * (cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - before) / n;
  figures.rows_a_commit = 1;
  return figures;
}

void run_writer(const Setup& setup) {
  store::Writer writer(options_in(setup));
  store::Batch batch;
  for (std::size_t i = 0; i < setup.rows;) {
    batch.clear();
    for (int n = 0; n < 1'000 && i < setup.rows; ++n) {
      batch.decisions.push_back(make_row(i++, setup));
    }
    writer.commit(batch);
  }
}

void print(const char* name, const Figures& figures) {
  std::printf(
      "%-16s %10.0f rows/s %8.2f CPU us/row %8.0f ns/put %7.0f bytes/row %7.0f rows/commit\n", name,
      figures.rows_a_second, figures.cpu_us_a_row, figures.put_ns, figures.bytes_a_row,
      figures.rows_a_commit);
}

}  // namespace

int main(int argc, char** argv) {
  Setup setup;
  bool writer_only = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "0";
    if (flag == "--smoke") {
      setup.rows = 5'000;
      setup.rows_baseline = 20;
      setup.rounds = 1;
      continue;
    }
    if (flag == "--writer") writer_only = true, setup.rows = std::strtoull(value, nullptr, 10);
    if (flag == "--rows") setup.rows = std::strtoull(value, nullptr, 10);
    if (flag == "--dir") setup.dir = value;
    if (flag == "--route-bytes") setup.route_bytes = std::strtoull(value, nullptr, 10);
    if (flag == "--text-bytes") setup.text_bytes = std::strtoull(value, nullptr, 10);
    ++i;
  }
  if (writer_only) {
    run_writer(setup);
  } else {
    for (int round = 0; round < setup.rounds; ++round) {
      print("journal", run_journal(setup));
      print("row by row", run_row_by_row(setup));
    }
  }
  options_in(setup);  // removes the files
}
