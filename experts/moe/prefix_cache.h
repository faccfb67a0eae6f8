// Remembers which page holds the keys and values of which token prefix, so that a prompt that
// begins like an earlier one (a system prompt, a chat's history) need not be computed again.
//
// A tree of whole pages: a node is a page of kPagePositions tokens behind the node of the tokens
// before it. Nodes are found by comparing the tokens themselves, never by a hash alone. The cache
// holds one reference on each page; pages that nobody else uses are given up, least recently used
// first. Only rows routed by the model's own gate may be stored: another policy gives other keys
// and values.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "experts/moe/kv_cache.h"

namespace moe {

class PrefixCache {
 public:
  using NodeId = std::uint64_t;
  static constexpr NodeId kRoot = 0;

  explicit PrefixCache(KvCache& pages) : pages_(pages) {}

  struct Match {
    std::vector<std::uint32_t> pages;  // each with a reference for the caller
    NodeId node = kRoot;               // of the last page
  };

  /// The longest stored prefix of whole pages, at most `pages_max` of them.
  Match find(std::span<const std::int32_t> tokens, std::size_t pages_max);

  /// Stores the page that follows `parent`; returns its node, which is the older one if these
  /// tokens are already there.
  NodeId insert(NodeId parent, std::span<const std::int32_t> page_tokens, std::uint32_t page);

  /// Pages that could be given up now.
  std::size_t evictable() const;

  /// Gives up pages until `wanted` are free in the pool or nothing is left to give.
  void make_room(std::size_t wanted);

 private:
  using Tokens = std::array<std::int32_t, kPagePositions>;
  using Key = std::pair<NodeId, Tokens>;

  struct Node {
    NodeId id = 0;
    std::uint32_t page = 0;
    std::uint64_t used = 0;  // when last found; a parent's is never older than its child's
  };

  std::map<Key, Node>::iterator look_up(NodeId parent, std::span<const std::int32_t> page_tokens);

  KvCache& pages_;
  std::map<Key, Node> nodes_;
  NodeId last_id_ = kRoot;
  std::uint64_t clock_ = 0;
};

}  // namespace moe
