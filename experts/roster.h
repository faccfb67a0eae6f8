// Who is in the pool: an immutable snapshot, made by one thread, swapped whole while others serve.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "experts/options.h"
#include "experts/standing.h"
#include "experts/target.h"

namespace experts {

struct Entry {
  ExpertOptions options;
  std::shared_ptr<const Target> target;  // null unless kind is remote
  std::shared_ptr<Standing> standing;    // survives a swap when the entry did not change
};

struct Roster {
  std::vector<Entry> entries;  // in configuration order, names unique

  const Entry* find(std::string_view name) const;
};

/// The experts that are enabled. Entries of `previous` (may be null) whose options and key did not
/// change are taken over whole, so that their breaker, counters and connections live on. Throws
/// std::runtime_error that names every expert that is no good: duplicate or empty names, bad urls,
/// missing keys.
std::shared_ptr<const Roster> make_roster(const std::vector<ExpertOptions>& experts,
                                          const Roster* previous);

/// The one place where the current Roster hangs. Any thread may publish or read.
class RosterBoard {
 public:
  explicit RosterBoard(std::shared_ptr<const Roster> roster) : current_(std::move(roster)) {}

  std::shared_ptr<const Roster> current() const { return current_.load(); }

  /// Changes with every publish: the cheap question "is there anything new?".
  std::uint64_t version() const { return version_.load(std::memory_order_acquire); }

  void publish(std::shared_ptr<const Roster> roster) {
    current_.store(std::move(roster));
    version_.fetch_add(1, std::memory_order_release);
  }

 private:
  std::atomic<std::shared_ptr<const Roster>> current_;
  std::atomic<std::uint64_t> version_{1};
};

}  // namespace experts
