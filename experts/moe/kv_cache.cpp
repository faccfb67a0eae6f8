#include "experts/moe/kv_cache.h"

#include <sys/mman.h>

#include <stdexcept>
#include <string>

namespace moe {

KvCache::Shape KvCache::Shape::of(const Config& config) {
  Shape shape;
  shape.layers = static_cast<std::size_t>(config.layers);
  if (config.latent.split) {
    // The compressed keys are also the values.
    shape.heads = 1;
    shape.k = static_cast<std::size_t>(config.latent.kv_rank + config.rope.dims);
    return shape;
  }
  shape.heads = static_cast<std::size_t>(config.heads_kv);
  shape.k = static_cast<std::size_t>(config.head_k);
  shape.v = static_cast<std::size_t>(config.head_v);
  return shape;
}

KvCache::KvCache(const Shape& shape, std::size_t pages)
    : shape_(shape), bytes_(shape.page_bytes() * pages), users_(pages, 0) {
  void* memory = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    throw std::runtime_error("the KV cache of " + std::to_string(bytes_ >> 20) +
                             " MiB cannot be had; lower kv_bytes_max");
  }
  memory_ = static_cast<float*>(memory);
  for (std::size_t i = pages; i > 0; --i) free_.push_back(static_cast<std::uint32_t>(i - 1));
}

KvCache::~KvCache() {
  ::munmap(memory_, bytes_);
}

std::uint32_t KvCache::take() {
  const std::uint32_t page = free_.back();
  free_.pop_back();
  users_[page] = 1;
  return page;
}

void KvCache::release(std::uint32_t page) {
  if (--users_[page] == 0) free_.push_back(page);
}

float* KvCache::keys(std::uint32_t page, std::size_t layer, std::size_t head) {
  return memory_ + page * shape_.page_floats() +
         (layer * shape_.heads + head) * (shape_.k + shape_.v) * kPagePositions;
}

float* KvCache::values(std::uint32_t page, std::size_t layer, std::size_t head) {
  return keys(page, layer, head) + shape_.k * kPagePositions;
}

}  // namespace moe
