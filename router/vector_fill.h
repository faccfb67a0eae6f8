// Gives the passages of the knowledge their vectors, in the background: a thread of its own with a
// Pool of its own asks the encoder for some passages at a time and writes each batch in one
// transaction. What was killed in the middle goes on where it was; what an import adds is noticed
// within seconds. An encoder that fails is asked again, ever more rarely. A passage that it refuses
// alone is not asked about again.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>

#include "experts/pool.h"
#include "router/options.h"
#include "store/knowledge_vectors.h"

namespace router {

class VectorFill {
 public:
  using MakePool = std::function<std::unique_ptr<experts::Pool>(boost::asio::io_context& io)>;
  using Warn = std::function<void(std::string_view sentence)>;

  /// `options.encoder` names an expert of the board, which outlives this. `warn` is called on the
  /// thread, for each sentence once until all is filled.
  VectorFill(LookupOptions options, const experts::RosterBoard& board, MakePool make_pool,
             Warn warn);

  /// Cancels the call that runs; what was written stays.
  ~VectorFill();
  VectorFill(const VectorFill&) = delete;
  VectorFill& operator=(const VectorFill&) = delete;

  /// Vectors written since the start. Any thread.
  std::int64_t written() const { return written_.load(std::memory_order_relaxed); }

 private:
  class Asker;
  enum class Step : std::uint8_t { wrote, nothing_left, failed };

  void work(const std::stop_token& stop);
  Step fill_some(Asker& asker);
  bool write(Asker& asker, const std::string& encoder, const std::vector<store::BarePassage>& bare);
  bool write_singly(Asker& asker, const std::string& encoder,
                    const std::vector<store::BarePassage>& bare);
  void put(const std::string& encoder, std::size_t dimension,
           const std::vector<store::PassageVector>& vectors);
  void warn_once(const std::string& sentence);

  const LookupOptions options_;
  const experts::RosterBoard& board_;
  const MakePool make_pool_;
  const Warn warn_;
  std::unique_ptr<store::KnowledgeVectors> vectors_;  // the thread's; null: no file yet
  std::set<std::string> warned_;                      // likewise
  std::atomic<std::int64_t> written_{0};
  std::mutex mutex_;
  std::condition_variable_any stopped_;
  std::jthread thread_;  // last: runs on everything above
};

}  // namespace router
