// Routed experts in slots of memory under a hard budget of bytes, read from the model's files when
// they are needed or likely to be.
//
// The store moves bytes and never changes a result: Forward gets the same weights at another
// address. What a step needs is read before it is used; what the next layer probably needs is read
// meanwhile by a thread of the store (hint), and a wrong guess only costs the reading. When an
// expert has to go, it is the one of the least decayed use, or the least recently used (Evict).
//
// One caller (the engine's thread, through Forward) for everything but stats().
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "experts/moe/model.h"
#include "experts/moe/options.h"
#include "experts/moe/store_stats.h"
#include "experts/moe/usage.h"

namespace moe {

/// Bytes of one matrix in the model's files.
struct FilePart {
  std::uint32_t shard = 0;
  std::uint64_t offset = 0;
  std::size_t bytes = 0;
};

class ExpertStore {
 public:
  /// Reads `part` to `to`; false: it could not be read. Called from several threads.
  using Read = std::function<bool(const FilePart& part, std::byte* to)>;

  /// `model` outlives the store. Throws std::runtime_error when the budget holds not one expert of
  /// every size, when too many are pinned, or the memory cannot be had.
  ExpertStore(const Model& model, const StoreOptions& options);
  ExpertStore(const Model& model, const StoreOptions& options, Read read);
  ~ExpertStore();
  ExpertStore(const ExpertStore&) = delete;
  ExpertStore& operator=(const ExpertStore&) = delete;

  /// A forward step begins.
  void begin_step();

  /// Sets slots aside for as many of `experts` (ascending, no duplicates) as have room together,
  /// in order, and has the missing ones read. Returns how many, at least one; never waits for
  /// bytes. The rest is for the next call, after release().
  std::size_t reserve(std::size_t layer, std::span<const std::uint32_t> experts);

  /// Until everything reserved is there. Throws std::runtime_error when it cannot be read.
  void wait();

  /// Where a reserved expert lies; valid from wait() to release().
  const Expert& expert(std::size_t layer, std::uint32_t index) const;

  /// The step is done with what was reserved.
  void release();

  /// Experts that `layer` will probably need, the surest first; takes the place of earlier hints.
  /// Never waits.
  void hint(std::size_t layer, std::span<const std::uint32_t> experts);

  bool takes_hints() const { return options_.prefetch; }

  StoreStats stats() const;  // any thread

 private:
  enum class State : std::uint8_t { absent, queued, reading, resident };

  struct Home;  // one routed expert of one layer
  struct Slot;
  struct Pool;  // slots of one size

  void lay_out(std::size_t budget);
  void map_slots();
  void pin();
  Home& home(std::size_t layer, std::uint32_t expert);
  void fill(Home& home, std::unique_lock<std::mutex>& lock);
  void work();
  bool begin_hinted();
  Slot* find_slot(const Home& home, bool demanded);
  void give(Slot& slot, Home& home);
  bool is_wanted(const Home& home) const;

  const Model& model_;
  const StoreOptions options_;
  const Read read_;
  std::byte* memory_ = nullptr;
  std::size_t memory_bytes_ = 0;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable work_, arrived_;
  std::vector<std::size_t> first_home_;  // per layer, into homes_
  std::vector<Home> homes_;
  std::vector<Pool> pools_;
  Usage usage_;
  std::vector<Home*> reserved_;
  std::deque<Home*> demanded_, hinted_;
  std::uint64_t step_ = 1;
  std::uint64_t hint_round_ = 0;
  std::uint64_t want_round_ = 0;
  StoreStats stats_;
  bool failed_ = false;
  bool stopping_ = false;

  std::thread thread_;
};

/// Reads from the model's own files, past the page cache where the file system can: the budget
/// would be a lie if the kernel kept a second copy.
ExpertStore::Read read_from_files(const Model& model);

}  // namespace moe
