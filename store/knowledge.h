// What can be looked up: collections of documents, cut into passages (store/knowledge_chunks.h) and
// indexed by words. A SQLite file of its own: an import of hours never holds the log's lock, and
// the file can be copied or rebuilt without the log.
//
// This is the way in. One Knowledge belongs to one thread at a time and blocks on the disk; several
// processes may write to one file, batch by batch. store/knowledge_reader.h is the way out.
//
// Everything throws std::runtime_error with an operator's sentence when the file cannot be read or
// written. What is wrong with one document is a value: the others of its batch are filed.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/db.h"
#include "store/knowledge_chunks.h"
#include "store/options.h"

namespace store {

struct Document {
  std::string source;  // what a person finds it by; one document per source in a collection
  std::string title{};
  Format format = Format::text;
  std::string text{};
};

/// What became of a document.
enum class Filed : std::uint8_t {
  added,
  replaced,   // the source was there with other content
  unchanged,  // the source was there with this content
  duplicate,  // another source of the collection has this content: left out
  empty,      // no visible byte
  binary,     // holds NUL bytes
  not_utf8,
  too_large,  // text, title or source over their limits
};

std::string_view name_of(Filed filed);

/// Whether the document is not in the collection now, and was not before: worth a line.
inline bool is_left_out(Filed filed) {
  return filed >= Filed::duplicate;
}

struct Removed {
  std::int64_t documents = 0;
  std::int64_t passages = 0;
};

class Knowledge {
 public:
  using Clock = std::function<std::int64_t()>;  // microseconds since 1970

  Knowledge(const KnowledgeOptions& options, Clock clock);

  /// Files a batch in one transaction: after a crash all of it is there or none. The collection is
  /// made when it is new; names are 1 to 64 of [a-z0-9._-]. One entry per document; `passages`
  /// grows by those that were written.
  std::vector<Filed> file(std::string_view collection, std::span<const Document> batch,
                          std::int64_t& passages);

  /// One document; nothing when it is not there.
  Removed remove(std::string_view collection, std::string_view source);

  /// A collection with all it holds, some documents per transaction: after a crash some are left,
  /// whole, and the next call removes them. `progress` gets the sum so far. Deleted words leave the
  /// file.
  Removed remove_collection(std::string_view collection,
                            const std::function<void(const Removed&)>& progress);

  const KnowledgeOptions& options() const { return options_; }

 private:
  struct Place;  // where the next passage of a collection goes

  Place open_collection(std::string_view name);
  std::int64_t find_collection(std::string_view name);
  Filed file_one(Place& place, const Document& document);
  std::int64_t insert(Place& place, const Document& document, std::string_view hash);
  Removed remove_some(Statement& statement);
  void forget_words();

  KnowledgeOptions options_;
  Clock clock_;
  Db db_;
  Statement by_source_, by_hash_, insert_document_, insert_passage_, delete_document_;
};

}  // namespace store
