// Limits of one engine. The initialisers are the documented defaults.
#pragma once

#include <cstddef>
#include <cstdint>

namespace moe {

struct EngineOptions {
  int threads = 0;                                  // 0: one per processor
  std::size_t kv_bytes_max = std::size_t{1} << 30;  // keys and values; rounded down to whole pages
  int sequences_max = 64;                           // running at the same time
  int queue_max = 256;                              // waiting; a further request is refused
  int rows_per_step_max = 256;  // tokens of one forward step, prompts and replies
  bool prefix_reuse = true;     // keep the pages of past prompts while there is room
  bool warm = true;             // enter all weights into the page table in the background
};

/// Of the text side of one model.
struct TextOptions {
  int tokens_default = 1024;                             // of a reply whose request sets no limit
  std::size_t stops_max = 16;                            // stop strings of a request
  std::size_t stop_bytes_max = 1024;                     // of each
  std::size_t prompt_bytes_max = std::size_t{16} << 20;  // of all messages
};

}  // namespace moe
