// Files and streams into a collection: text, Markdown (.md, .markdown) and JSON Lines (.jsonl,
// .ndjson; one document a row: {"text"}, optionally "id", "title", "format").
//
// What cannot be taken in (binary, not UTF-8, over a limit, unreadable, gone since it was listed, a
// row that is no JSON object with a text) is told in one line each and left out; the rest goes on.
// Documents go in by batches (Knowledge::file): after a crash, adding the same again completes it.
#pragma once

#include <cstdint>
#include <functional>
#include <istream>
#include <string>
#include <string_view>

#include "store/knowledge.h"

namespace store {

struct ImportCounts {
  std::int64_t added = 0;
  std::int64_t replaced = 0;
  std::int64_t unchanged = 0;
  std::int64_t left_out = 0;
  std::int64_t passages = 0;  // written
  std::int64_t bytes = 0;     // read
};

struct ImportHooks {
  /// "path: why".
  std::function<void(std::string_view line)> left_out;
  /// After each batch. `share` of the files, 0..1; below 0 for a stream.
  std::function<void(const ImportCounts& counts, double share)> progress;
};

enum class Reading : std::uint8_t { automatic, text, markdown, json_lines };

/// A file, or the files of a folder and its folders in order of their paths. Left out silently:
/// names that begin with a dot, what is no regular file, links to folders. The source of a document
/// is its absolute path, that of a row its "id", or `path:line`.
/// Throws std::runtime_error when `path` itself cannot be read.
ImportCounts import_path(Knowledge& knowledge, std::string_view collection, const std::string& path,
                         Reading reading, const ImportHooks& hooks);

/// A stream to its end. Automatic: JSON Lines when the first visible byte is `{`, else text.
ImportCounts import_stream(Knowledge& knowledge, std::string_view collection, std::istream& in,
                           std::string_view name, Reading reading, const ImportHooks& hooks);

}  // namespace store
