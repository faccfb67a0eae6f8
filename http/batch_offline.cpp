#include "http/batch_offline.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "http/batch_desk.h"

namespace http {

namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kPoll{50};
constexpr std::int64_t kYearS = 366 * 86'400;

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(path + ": cannot be read");
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// Whole or not at all.
void write_file(const std::string& path, const std::string& content) {
  const std::string fresh = path + ".new";
  std::ofstream outfile(fresh, std::ios::binary | std::ios::trunc);
  outfile << content;
  outfile.close();
  if (!outfile) throw std::runtime_error(fresh + ": cannot be written: is the disk full?");
  fs::rename(fresh, path);
}

/// The batch of this content; new unless an earlier run has begun it.
std::string find_batch(store::Batches& store, const std::string& name, const std::string& content,
                       const Options& options) {
  char hash[17];
  std::snprintf(hash, sizeof hash, "%016llx",
                static_cast<unsigned long long>(XXH3_64bits(content.data(), content.size())));
  store::BatchRow batch;
  batch.id = std::string("batch_") + hash;
  if (store.batch(batch.id)) return batch.id;
  batch.input_file = std::string("file-") + hash;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  batch.created_s = std::chrono::duration_cast<std::chrono::seconds>(now).count();
  batch.expires_s = batch.created_s + kYearS;
  batch.endpoint = "/v1/chat/completions";
  batch.window = "24h";
  const store::FileRow file = {batch.input_file, name, "batch", batch.created_s, 0, ""};
  const store::FileLimits limits = {options.batches.files_bytes_max, options.batches.files_max, 0};
  const bool added = (store.file(batch.input_file) || store.add_file(file, content, limits)) &&
                     store.add_batch(batch, limits);
  if (!added)
    throw std::runtime_error(name + ": is over batches.files_bytes_max or batches.files_max");
  return batch.id;
}

}  // namespace

OfflineReport run_batch(const std::string& file, const std::string& out, const Options& options,
                        const MakeDoors& make_doors) {
  const std::string content = read_file(file);
  const std::string progress = out + ".progress";
  OfflineReport report;
  {
    BatchDesk desk(progress, options, make_doors);
    const std::string id =
        find_batch(desk.store(), fs::path(file).filename().string(), content, options);
    desk.runner().wake();
    auto batch = desk.store().batch(id);
    while (batch->status == "validating" || batch->status == "in_progress") {
      std::this_thread::sleep_for(kPoll);
      batch = desk.store().batch(id);
    }
    if (batch->status == "failed") throw std::runtime_error(file + ": " + batch->errors);
    report.lines = batch->total;
    report.failed = batch->failed;
    write_file(out, batch->output_file.empty() ? "" : *desk.store().content(batch->output_file));
    if (!batch->error_file.empty()) {
      report.errors_path = out + ".errors";
      write_file(report.errors_path, *desk.store().content(batch->error_file));
    }
  }
  for (const char* end : {"", "-wal", "-shm"}) fs::remove(progress + end);
  return report;
}

}  // namespace http
