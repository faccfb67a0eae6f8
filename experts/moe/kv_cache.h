// Keys and values of past tokens, in pages of kPagePositions that sequences share by reference
// count.
//
// A page holds every layer's keys and values of its positions, f32. Memory is one anonymous mapping
// of the whole budget; a page costs physical memory only once it has been written.
// Page numbers are given out and taken back by one thread (the engine's); pages of different rows
// may be written and read by several.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "experts/moe/config.h"

namespace moe {

constexpr int kPagePositions = 32;

class KvCache {
 public:
  /// Floats of one position and head; head counts and sizes as they are cached.
  struct Shape {
    std::size_t layers = 0, heads = 0, k = 0, v = 0;

    static Shape of(const Config& config);

    std::size_t page_floats() const { return layers * heads * (k + v) * kPagePositions; }

    std::size_t page_bytes() const { return page_floats() * sizeof(float); }
  };

  /// Throws std::runtime_error when the memory cannot be had.
  KvCache(const Shape& shape, std::size_t pages);
  ~KvCache();
  KvCache(const KvCache&) = delete;
  KvCache& operator=(const KvCache&) = delete;

  const Shape& shape() const { return shape_; }

  std::size_t pages() const { return users_.size(); }

  std::size_t pages_free() const { return free_.size(); }

  /// A page with one user; pages_free() must not be 0.
  std::uint32_t take();

  void share(std::uint32_t page) { ++users_[page]; }

  void release(std::uint32_t page);

  std::uint32_t users(std::uint32_t page) const { return users_[page]; }

  // [kPagePositions, shape.k] and [kPagePositions, shape.v], contiguous
  float* keys(std::uint32_t page, std::size_t layer, std::size_t head);
  float* values(std::uint32_t page, std::size_t layer, std::size_t head);

 private:
  Shape shape_;
  std::size_t bytes_ = 0;
  float* memory_ = nullptr;
  std::vector<std::uint32_t> users_;
  std::vector<std::uint32_t> free_;
};

}  // namespace moe
