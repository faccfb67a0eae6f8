// Files and batches of the batch API, in a database of their own: a batch that fills the disk or
// holds a long transaction must not cost a row of the log.
//
// A line of a batch gets its outcome once: settle() writes a group of them in one transaction and
// leaves alone what has one already, so that after a kill -9 no line is lost and none is there
// twice. Output files are not written, they are read from the lines.
//
// One connection under a lock; every call may wait for the disk, so none belongs on a net thread.
// Throws DbError; DbError::passing() (disk full, locked) is worth another try.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/db.h"

namespace store {

struct FileRow {
  std::string id, name, purpose;
  std::int64_t created_s = 0;
  std::int64_t bytes = 0;
  std::string owner;  // the key that it belongs to; empty: the service's
};

/// What may be in the store.
struct FileLimits {
  std::int64_t bytes_max = 0;  // of all files together
  std::int64_t files_max = 0;
  std::int64_t owner_bytes_max = 0;  // of those of one owner that is a key
};

/// Times are Unix seconds, 0: did not happen.
struct BatchRow {
  std::string id, input_file, endpoint, window, status;
  std::string metadata, errors;  // JSON, or empty
  std::string output_file, error_file;
  std::int64_t created_s = 0, expires_s = 0, in_progress_s = 0, finalizing_s = 0, completed_s = 0,
               failed_s = 0, expired_s = 0, cancelling_s = 0, cancelled_s = 0;
  std::int64_t total = 0, completed = 0, failed = 0;
  std::string owner;  // as FileRow's; its files have it too
};

struct BatchLine {
  std::int64_t line = 0;  // of the input file, from 1
  std::string custom_id;
  std::string body;  // the request
};

struct LineOutcome {
  std::int64_t line = 0;
  bool failed = false;  // goes to the error file
  std::string row;      // as it stands there, one line without its end
};

class Batches {
 public:
  /// Creates or opens `path`. Throws std::runtime_error as migrate().
  explicit Batches(const std::string& path);

  /// False: `limits` would be passed.
  bool add_file(const FileRow& file, std::string_view content, const FileLimits& limits);
  std::optional<FileRow> file(std::string_view id);
  /// Newest first, those after `after` (an id; empty: from the newest), of `purpose` and of `owner`
  /// when not empty.
  std::vector<FileRow> files(std::string_view purpose, std::string_view owner,
                             std::string_view after, int rows_max);
  std::optional<std::string> content(std::string_view id);
  bool remove_file(std::string_view id);
  bool in_use(std::string_view file);  // an unfinished batch reads it

  /// False: `limits` leaves no room for its files beside those that there are and that unfinished
  /// batches are going to make.
  bool add_batch(const BatchRow& batch, const FileLimits& limits);
  std::optional<BatchRow> batch(std::string_view id);
  /// Newest first, as files().
  std::vector<BatchRow> batches(std::string_view owner, std::string_view after, int rows_max);
  std::vector<BatchRow> unfinished();  // oldest first
  std::int64_t count_unfinished(std::string_view owner);

  /// validating -> in_progress: all lines at once, those refused with their outcome.
  void plan(std::string_view id, std::span<const BatchLine> lines,
            std::span<const LineOutcome> refused, std::int64_t now_s);
  /// validating -> failed.
  void fail(std::string_view id, std::string_view errors, std::int64_t now_s);
  /// Lines without an outcome.
  std::vector<BatchLine> open_lines(std::string_view id);
  void settle(std::string_view id, std::span<const LineOutcome> outcomes);
  /// To cancelling; false: it had ended.
  bool cancel(std::string_view id, std::int64_t now_s);
  /// To `status` (completed, cancelled, expired) with its files, as far as they have lines.
  void close(std::string_view id, std::string_view status, std::int64_t now_s);

 private:
  std::optional<FileRow> find_file(std::string_view id);
  bool has_room(std::int64_t bytes, std::string_view owner, const FileLimits& limits);

  std::mutex mutex_;
  Db db_;
};

}  // namespace store
