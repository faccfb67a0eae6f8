// Vectors of passages, into the knowledge file: which passages have none yet, and putting them
// there, a batch a transaction. One KnowledgeVectors belongs to one thread at a time and blocks on
// the disk. Everything throws std::runtime_error with an operator's sentence.
//
// A collection's vectors are of one encoder and of one length, which are recorded with the first of
// them: vectors of two models cannot be compared. Another encoder is refused until they are
// forgotten.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/db.h"
#include "store/options.h"

namespace store {

/// A passage without a vector.
struct BarePassage {
  std::int64_t id = 0;
  std::string text;  // with its heading above
};

/// A passage's vector by quantise(); empty: there is none to be had, and nobody should ask again.
struct PassageVector {
  std::int64_t passage = 0;
  std::string vector;
};

class KnowledgeVectors {
 public:
  /// Brings the file up to date; makes it when there is none.
  explicit KnowledgeVectors(const KnowledgeOptions& options);

  /// Passages that lack one, of one collection, at most `limit`; none: all that `encoder` may fill
  /// are filled. `refused` gets a sentence for each collection whose vectors are of another
  /// encoder.
  std::vector<BarePassage> next(std::string_view encoder, std::int64_t limit,
                                std::vector<std::string>& refused);

  /// Passages that are gone are passed over. Throws when the collection's vectors are of another
  /// encoder or length; nothing is written then.
  void put(std::string_view encoder, std::size_t dimension, std::span<const PassageVector> vectors);

  /// All vectors of a collection and what they were made by; how many.
  std::int64_t forget(std::string_view collection);

 private:
  void record(std::int64_t collection, std::string_view encoder, std::size_t dimension);

  Db db_;
  std::map<std::int64_t, std::int64_t> after_;  // by collection: the passage that next() came to
};

}  // namespace store
