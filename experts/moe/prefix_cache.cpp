#include "experts/moe/prefix_cache.h"

#include <algorithm>

namespace moe {

std::map<PrefixCache::Key, PrefixCache::Node>::iterator PrefixCache::look_up(
    NodeId parent, std::span<const std::int32_t> page_tokens) {
  Key key{parent, {}};
  std::copy_n(page_tokens.begin(), kPagePositions, key.second.begin());
  return nodes_.find(key);
}

PrefixCache::Match PrefixCache::find(std::span<const std::int32_t> tokens, std::size_t pages_max) {
  Match match;
  std::vector<Node*> path;
  while (match.pages.size() < pages_max) {
    const std::size_t at = match.pages.size() * kPagePositions;
    if (at + kPagePositions > tokens.size()) break;
    const auto node = look_up(match.node, tokens.subspan(at, kPagePositions));
    if (node == nodes_.end()) break;
    pages_.share(node->second.page);
    match.pages.push_back(node->second.page);
    match.node = node->second.id;
    path.push_back(&node->second);
  }
  for (auto node = path.rbegin(); node != path.rend(); ++node) (*node)->used = ++clock_;
  return match;
}

PrefixCache::NodeId PrefixCache::insert(NodeId parent, std::span<const std::int32_t> page_tokens,
                                        std::uint32_t page) {
  const auto there = look_up(parent, page_tokens);
  if (there != nodes_.end()) return there->second.id;
  Key key{parent, {}};
  std::copy_n(page_tokens.begin(), kPagePositions, key.second.begin());
  pages_.share(page);
  nodes_.emplace(key, Node{++last_id_, page, ++clock_});
  return last_id_;
}

std::size_t PrefixCache::evictable() const {
  return static_cast<std::size_t>(
      std::count_if(nodes_.begin(), nodes_.end(),
                    [&](const auto& entry) { return pages_.users(entry.second.page) == 1; }));
}

void PrefixCache::make_room(std::size_t wanted) {
  if (pages_.pages_free() >= wanted) return;
  std::vector<std::map<Key, Node>::iterator> idle;
  for (auto it = nodes_.begin(); it != nodes_.end(); ++it) {
    if (pages_.users(it->second.page) == 1) idle.push_back(it);
  }
  std::sort(idle.begin(), idle.end(),
            [](const auto& a, const auto& b) { return a->second.used < b->second.used; });
  for (const auto& it : idle) {
    if (pages_.pages_free() >= wanted) return;
    pages_.release(it->second.page);
    nodes_.erase(it);
  }
}

}  // namespace moe
