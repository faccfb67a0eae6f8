// Limits of one engine. The initialisers are the documented defaults.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace moe {

/// Which expert makes room for another one.
enum class Evict : std::uint8_t {
  lfu,  // the one of the least use, decayed
  lru,  // the one that was not used for the longest time
};

/// Routed experts in memory of their own (expert_store.h) instead of the file's mapping.
struct StoreOptions {
  std::size_t bytes_max = 0;  // of all slots; 0: no store, experts stay mapped
  Evict evict = Evict::lfu;
  bool prefetch = true;                                 // read what the next layer probably needs
  std::vector<std::pair<int, std::uint32_t>> pinned{};  // (layer, expert): read once, never go
};

struct EngineOptions {
  int threads = 0;                                  // 0: one per processor
  std::size_t kv_bytes_max = std::size_t{1} << 30;  // keys and values; rounded down to whole pages
  int sequences_max = 64;                           // running at the same time
  int queue_max = 256;                              // waiting; a further request is refused
  bool coarse = false;          // K-quants meet activations of 8 bits instead of 16 (kernels.h)
  int rows_per_step_max = 256;  // tokens of one forward step, prompts and replies
  bool prefix_reuse = true;     // keep the pages of past prompts while there is room
  bool warm = true;             // enter all weights into the page table in the background
  StoreOptions store{};
  std::size_t trace_bytes_max = 0;  // of the newest routing kept for take_trace(); 0: none
};

/// Of the text side of one model.
struct TextOptions {
  int tokens_default = 1024;                             // of a reply whose request sets no limit
  std::size_t stops_max = 16;                            // stop strings of a request
  std::size_t stop_bytes_max = 1024;                     // of each
  std::size_t prompt_bytes_max = std::size_t{16} << 20;  // of all messages
};

}  // namespace moe
