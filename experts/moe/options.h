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
};

}  // namespace moe
