// `skillyard batch FILE`: a batch without a service.
#pragma once

#include <cstdint>
#include <string>

#include "http/net_thread.h"
#include "http/options.h"

namespace http {

struct OfflineReport {
  std::int64_t lines = 0, failed = 0;
  std::string errors_path;  // empty: no line failed
};

/// Asks the lines of `file` and writes `out` and, where lines failed, `out`.errors. What is done is
/// kept in `out`.progress until the end: a run that was killed goes on where it was when it is
/// started again with the same file. Blocks. Throws std::runtime_error when the file cannot be read
/// or is no batch, or the results cannot be written.
OfflineReport run_batch(const std::string& file, const std::string& out, const Options& options,
                        const MakeDoors& make_doors);

}  // namespace http
