// The experts of one net thread: finds them by name, lets calls in (breaker, concurrency, queue),
// counts.
//
// One Pool per net thread, used on that thread only. The set of experts comes from the RosterBoard
// and is looked at again with every call: when it changed, unchanged experts keep their
// connections, the others go as soon as their calls have ended.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "experts/expert.h"
#include "experts/net_thread.h"
#include "experts/roster.h"

namespace experts {

/// What the router needs to know about an expert now. Views live as long as the roster version.
struct ExpertView {
  std::string_view name;
  const ExpertOptions* options = nullptr;  // prices, context, capabilities, skills
  bool healthy = true;                     // breaker not open, not cooling down after a 429
  BreakerState breaker = BreakerState::closed;
  int inflight = 0;  // all net threads together
  int queued = 0;
  std::int64_t total_us = 0;       // expected duration of a call; 0: not known yet
  std::int64_t first_byte_us = 0;  // expected, streamed; 0: not known yet
  std::int64_t tokens_out = 0;     // mean length of its replies; 0: not known yet
  std::int64_t load_wait_us = 0;   // expected wait for it to be loaded; 0: it is in memory
};

/// Makes the experts that are not remote; the Pool is given one by whoever knows them.
using ExpertMaker = std::function<std::unique_ptr<Expert>(NetThread& thread, const Entry& entry)>;

/// Puts something in front of an expert that was made, which then bounds how many calls wait and
/// run, or gives it back as it is.
using ExpertWrapper = std::function<std::unique_ptr<Expert>(NetThread& thread, const Entry& entry,
                                                            std::unique_ptr<Expert> expert)>;

/// What was put in front may be this, too: an expert that is not always in memory.
class Foreseen {
 public:
  virtual ~Foreseen() = default;

  /// It may be asked soon, with a probability of `chance`; taken back by the same below zero.
  virtual void expect(double chance) = 0;
};

class Foresight;

class Pool {
 public:
  /// `io` and `board` outlive the Pool; no call may be running when it is destroyed.
  Pool(boost::asio::io_context& io, const RosterBoard& board, const PoolOptions& options,
       ExpertMaker maker = {}, ExpertWrapper wrapper = {});
  ~Pool();

  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// In configuration order. Valid until the next call of describe() or ask() on this Pool.
  const std::vector<ExpertView>& describe();

  /// Changes when the experts do: whatever was derived from describe()'s fixed parts is stale then.
  std::uint64_t version() const { return version_; }

  /// Asks one expert. Never throws for what an expert can do wrong; a name that is not in the pool
  /// is Outcome::unreachable. `call` and `sink` outlive the coroutine. Cancellation as Expert::ask.
  boost::asio::awaitable<Reply> ask(std::string_view name, const Call& call, Sink* sink);

 private:
  friend class Foresight;
  struct Seat;  // one expert on this thread
  class Stay;   // one call that was let in

  void refresh();
  std::shared_ptr<Seat> find(std::string_view name) const;
  boost::asio::awaitable<bool> enter(Seat& seat, const Call& call, Reply& reply);
  void settle(Seat& seat, Stay& stay, const Call& call, Reply& reply);
  void check_health(const std::shared_ptr<Seat>& seat);

  const std::shared_ptr<NetThread> thread_;  // shared with the seats: a health check may outlive us
  const RosterBoard& board_;
  const ExpertMaker maker_;
  const ExpertWrapper wrapper_;
  std::uint64_t version_ = 0;
  std::shared_ptr<const Roster> roster_;
  std::vector<std::shared_ptr<Seat>> seats_;  // as roster_->entries
  std::vector<ExpertView> views_;
};

/// As long as it lives, an expert is likely to be asked: where not all fit in memory, it may be
/// loaded ahead. On the Pool's thread.
class Foresight {
 public:
  Foresight(const Pool& pool, std::string_view name, double chance);
  ~Foresight();
  Foresight(const Foresight&) = delete;
  Foresight& operator=(const Foresight&) = delete;

 private:
  Foreseen* foreseen() const;  // null: always in memory

  const std::shared_ptr<Pool::Seat> seat_;  // null: no such expert
  const double chance_;
};

}  // namespace experts
