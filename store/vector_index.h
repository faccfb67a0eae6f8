// Vectors of passages in memory, searched exactly: every vector is compared. Immutable; a refreshed
// one shares what did not change.
//
// A vector is kept as int8: each number times 127 over the largest of its vector, rounded. The
// cosine of two such vectors is computed from the integers and has no further error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/db.h"

namespace store {

/// One byte for each number; empty where all are zero or one is not finite.
std::string quantise(std::span<const float> values);

/// Passages from `first` to `last`.
struct PassageRange {
  std::int64_t first = 0;
  std::int64_t last = INT64_MAX;
};

class VectorIndex {
 public:
  struct Hit {
    std::int64_t passage = 0;
    float similarity = 0;  // cosine, -1 to 1
  };

  /// Nothing yet. Holds vectors of `encoder` only, at most so many bytes of them.
  VectorIndex(std::string encoder, std::size_t bytes_max);
  ~VectorIndex();

  /// `old` with what `db` has beyond it; `old` itself when that is nothing. Made anew where an
  /// eighth of it is gone or the dimension changed. Of collections whose vectors differ in length
  /// the shortest count. Throws DbError.
  static std::shared_ptr<const VectorIndex> refreshed(std::shared_ptr<const VectorIndex> old,
                                                      Db& db);

  /// The most similar ones, best first. Nothing for a query of another dimension. Passages that
  /// were deleted since may be among them.
  std::vector<Hit> search(std::string_view query, std::span<const PassageRange> ranges,
                          std::size_t limit) const;

  std::size_t size() const { return size_; }

  std::size_t dimension() const { return dimension_; }

  /// Not all vectors had room.
  bool full() const { return full_; }

 private:
  struct Block;

  VectorIndex(const VectorIndex& other);
  void add(std::int64_t passage, std::string_view vector);

  std::string encoder_;
  std::size_t bytes_max_;
  std::size_t dimension_ = 0, stride_ = 0, size_ = 0;
  std::int64_t seen_ = 0;  // passage_vectors.seq
  bool full_ = false;
  std::vector<std::shared_ptr<const Block>> blocks_;  // full ones, but the last
  std::shared_ptr<Block> open_;                       // while it is made; then it is in blocks_
};

}  // namespace store
