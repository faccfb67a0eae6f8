// What may be set about the log of decisions. The initialisers are the documented defaults.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace store {

/// What is thrown away, oldest first; 0 means "no limit of this kind".
struct Retention {
  std::int64_t age_s_max = 90 * 86'400;      // decisions, with their feedback
  std::int64_t text_age_s_max = 7 * 86'400;  // the words of a query go earlier than its decision
  std::int64_t outcome_age_s_max = 2 * 365 * 86'400;  // graded results are what is learned from
  std::int64_t rows_max = 20'000'000;                 // decisions
  std::int64_t bytes_max = 8LL << 30;  // pages in use, in bytes (the WAL is not counted)
  int step_rows = 5'000;               // deleted at most in one transaction
  int step_pages = 1'024;              // given back to the file system at most in one step
  int every_ms = 10'000;               // between steps while there is nothing left to delete
};

struct Options {
  std::string path = "skillyard.db";

  /// Whether the words of queries are stored. Off: Decision::text is ignored.
  bool keep_text = false;

  // Group commit: a transaction closes when either is reached.
  std::size_t group_rows = 1'000;
  int group_wait_ms = 50;

  // The queue in front of the writer; beyond these rows are dropped and counted. Texts are shed
  // before rows, from half of queue_bytes_max on.
  std::size_t queue_rows_max = 16'384;
  std::size_t queue_bytes_max = 16u << 20;

  // One row; longer parts are clipped and counted (half a route is worth nothing: it goes whole).
  std::size_t text_bytes_max = 16'384;
  std::size_t route_bytes_max = 8'192;
  std::size_t calls_max = 64;

  // A disk that is full or locked: waits between tries double from min to max.
  int busy_wait_ms = 250;
  int retry_wait_ms_min = 50;
  int retry_wait_ms_max = 2'000;
  int stop_wait_ms_max = 5'000;  // stop() gives up a database that fails for so long
  int warn_every_s = 60;         // at most one warning in this time

  // The write-ahead log: copied into the database from here on, and cut back to this size.
  std::int64_t wal_bytes = 16 << 20;

  Retention retention;
};

/// How documents are cut into passages.
struct ChunkRules {
  std::size_t bytes_max = 1'600;    // of a passage, its overlap included; at least 64
  std::size_t overlap_bytes = 160;  // of the passage before, repeated; at most half of bytes_max
  std::size_t heading_bytes_max = 200;  // the path of headings that a passage stands under
};

struct KnowledgeOptions {
  std::string path = "knowledge.sqlite";
  ChunkRules chunks;

  // What is taken in; what is larger is skipped and named.
  std::size_t document_bytes_max = 8u << 20;
  std::size_t files_max = 1'000'000;   // of one `add`
  std::size_t name_bytes_max = 1'024;  // of a source or a title

  // A transaction closes when either is reached.
  std::size_t batch_documents = 256;
  std::size_t batch_bytes = 4u << 20;

  int busy_wait_ms = 10'000;  // for another import to finish its batch
  std::int64_t wal_bytes = 16 << 20;
};

/// Bounds of one search: its cost grows with the passages that hold one of the terms.
struct SearchRules {
  std::size_t query_bytes_max = 4'096;  // of a longer query the first bytes are read
  std::size_t terms_max = 16;           // the rarest terms of the query are searched for
  std::int64_t postings_max = 2'000;    // passages that hold them, summed over the terms
  int passages_max = 50;                // that one search returns
};

}  // namespace store
