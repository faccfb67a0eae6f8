// The way from a net thread to the knowledge and back: a few threads that block on the disk, each
// with a store::KnowledgeReader, and one bounded queue in front of them. Shared by all net threads.
//
// A search never breaks an answer: a full queue, a search that takes too long and a file that
// cannot be read are outcomes, counted, and (the last) warned of. While there is no file, or
// nothing in it, has_passages() is false and nobody should search; it is looked for every
// LookupOptions::check_every.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "experts/call.h"
#include "router/options.h"
#include "store/knowledge_reader.h"

namespace router {

enum class LookupOutcome : std::uint8_t {
  found,   // searched; what was found may be nothing
  full,    // too many searches wait
  late,    // not found in time
  failed,  // the file cannot be read
  cancelled
};

inline constexpr std::size_t kLookupOutcomes = 5;

std::string_view name_of(LookupOutcome outcome);

class Lookup {
 public:
  using Warn = std::function<void(std::string_view sentence)>;

  struct Result {
    LookupOutcome outcome = LookupOutcome::failed;
    store::Found found;
  };

  /// Looks at the file before it returns. `warn` is called on the lookup threads, at most once a
  /// minute.
  /// `encoder` says what vectors of the configured expert are recorded under (encoder_name()), now;
  /// empty: there is no such expert. Null where none is configured.
  Lookup(LookupOptions options, Warn warn, std::function<std::string()> encoder = nullptr);

  /// Nobody searches any more.
  ~Lookup();
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

  /// Any thread; one load.
  bool has_passages() const noexcept { return passages_.load(std::memory_order_relaxed) > 0; }

  /// Whether a search is better with the query's vector. Any thread; two loads.
  bool wants_vector() const noexcept {
    return vectors_.load(std::memory_order_relaxed) > 0 &&
           experts::Clock::now().time_since_epoch().count() >=
               encode_again_.load(std::memory_order_relaxed);
  }

  /// The encoder failed or was late: for some seconds no query waits for it.
  void pause_encoding() noexcept;

  const LookupOptions& options() const noexcept { return options_; }

  /// Passages with a vector that searches compare.
  std::int64_t vectors() const noexcept { return vectors_.load(std::memory_order_relaxed); }

  /// `vector`: the query's, by store::quantise(); empty: by words alone.
  /// Resumes on the caller's thread, at the latest at `deadline` or after wait_max. Never throws
  /// for what the file can do wrong; cancelled: an outcome.
  boost::asio::awaitable<Result> search(std::string text, std::vector<std::string> collections,
                                        int limit, experts::Clock::time_point deadline,
                                        std::string vector = {});

  /// By outcome.
  std::array<std::uint64_t, kLookupOutcomes> counts() const;

 private:
  struct Job;
  class Shelf;
  class Waiting;

  bool push(const std::shared_ptr<Job>& job);
  void work(const std::stop_token& stop, bool checks);
  void run(Shelf& shelf, Job& job);
  void check(Shelf& shelf);
  void refresh_index(store::KnowledgeReader& reader, const std::string& file);
  std::shared_ptr<const store::VectorIndex> index();
  void warn(std::string_view sentence);

  const LookupOptions options_;
  const Warn warn_;
  const std::function<std::string()> encoder_;
  std::atomic<std::int64_t> passages_{0}, vectors_{0};
  std::atomic<experts::Clock::rep> encode_again_{0};
  std::array<std::atomic<std::uint64_t>, kLookupOutcomes> counts_{};
  std::mutex mutex_;
  std::condition_variable_any news_;
  std::deque<std::shared_ptr<Job>> queue_;           // guarded by mutex_
  std::shared_ptr<const store::VectorIndex> index_;  // guarded by mutex_
  std::string indexed_;  // the checking thread's: encoder and file whose vectors are in index_
  experts::Clock::time_point quiet_until_{};  // guarded by mutex_: no further warning before
  std::vector<std::jthread> threads_;         // last: they run on everything above
};

}  // namespace router
