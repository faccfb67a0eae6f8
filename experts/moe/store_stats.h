// What an expert store did.
#pragma once

#include <cstddef>
#include <cstdint>

namespace moe {

/// Since the start. A load is an expert read into a slot.
struct StoreStats {
  std::size_t slot_bytes = 0;      // of all slots: what the store ever takes
  std::uint64_t uses = 0;          // (layer, expert) that steps needed
  std::uint64_t hits = 0;          // ... and that were there without waiting
  std::uint64_t hinted_hits = 0;   // of these, brought by a hint
  std::uint64_t late_hits = 0;     // a hint was reading it already: part of the wait was saved
  std::uint64_t hinted_waits = 0;  // hinted, but not begun when it was needed
  std::uint64_t hint_loads = 0;    // experts that hints read
  std::uint64_t hint_wasted = 0;   // ... and that went before any use
  std::uint64_t bytes_read = 0;
  std::uint64_t wait_ns = 0;  // of steps, for bytes
};

}  // namespace moe
