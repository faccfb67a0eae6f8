#include "experts/pool.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>
#include <deque>
#include <limits>
#include <stdexcept>

#include "experts/cost.h"
#include "experts/native_json.h"
#include "experts/remote.h"

namespace experts {

namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

using Gate = asio::basic_waitable_timer<Clock>;

int share_of(int limit, int threads) {
  return std::max(1, (limit + threads - 1) / threads);
}

/// Its server would say so, too, but in words that do not name what to configure.
void refuse_task(const Call& call, Reply& reply) {
  reply.outcome = Outcome::refused;
  reply.status = 400;
  reply.error = call.task == Task::embeddings
                    ? "`" + reply.expert + "` does not make embeddings (capabilities.embeddings)"
                    : "`" + reply.expert + "` makes embeddings and takes no chats";
  reply.wire = refusal_json(reply.error, "unsupported_by_expert");
}

}  // namespace

struct Pool::Seat {
  /// `limited`: by concurrency_max; what was put in front of the expert may see to that itself.
  Seat(const Entry& roster_entry, std::shared_ptr<NetThread> on, std::unique_ptr<Expert> made,
       bool limited)
      : entry(roster_entry),
        thread(std::move(on)),
        expert(std::move(made)),
        places(limited ? share_of(entry.options.concurrency_max, thread->limits.net_threads)
                       : std::numeric_limits<int>::max()),
        queue_places(share_of(entry.options.queue_max, thread->limits.net_threads)) {}

  const Entry entry;
  const std::shared_ptr<NetThread> thread;
  const std::unique_ptr<Expert> expert;
  const int places;
  const int queue_places;
  int inside = 0;
  bool checking = false;    // a health check is running
  std::deque<Gate*> queue;  // first in, first out; a woken one has its place already
};

/// A place inside a Seat, given back by the destructor: to whoever waits first. Also gives back the
/// breaker's admission when nothing was recorded about it.
class Pool::Stay {
 public:
  Stay(Seat& seat, Admission admission) : seat_(seat), admission_(admission) {
    seat_.entry.standing->inflight.fetch_add(1, kRelaxed);
  }

  ~Stay() {
    Standing& standing = *seat_.entry.standing;
    standing.inflight.fetch_sub(1, kRelaxed);
    if (!recorded_) standing.breaker.give_up(admission_);
    if (seat_.queue.empty()) {
      --seat_.inside;
      return;
    }
    Gate* const gate = seat_.queue.front();
    seat_.queue.pop_front();
    gate->cancel();
  }

  Stay(const Stay&) = delete;
  Stay& operator=(const Stay&) = delete;

  void record(bool failed, Clock::time_point now) {
    Standing& standing = *seat_.entry.standing;
    recorded_ = true;
    if (standing.breaker.record(admission_, failed, now)) {
      standing.breaker_openings.fetch_add(1, kRelaxed);
    }
  }

 private:
  Seat& seat_;
  const Admission admission_;
  bool recorded_ = false;
};

Pool::Pool(asio::io_context& io, const RosterBoard& board, const PoolOptions& options,
           ExpertMaker maker, ExpertWrapper wrapper)
    : thread_(std::make_shared<NetThread>(io, options)),
      board_(board),
      maker_(std::move(maker)),
      wrapper_(std::move(wrapper)) {
  refresh();
}

Pool::~Pool() = default;

void Pool::refresh() {
  const std::uint64_t version = board_.version();
  if (version == version_) return;
  std::shared_ptr<const Roster> roster = board_.current();
  std::vector<std::shared_ptr<Seat>> seats;
  for (const Entry& entry : roster->entries) {
    std::shared_ptr<Seat> seat = find(entry.options.name);
    if (!seat || seat->entry.standing != entry.standing) {
      std::unique_ptr<Expert> expert;
      if (entry.options.kind == Kind::remote) {
        expert = std::make_unique<RemoteExpert>(*thread_, entry);
      } else if (maker_) {
        expert = maker_(*thread_, entry);
      }
      if (!expert) {
        throw std::runtime_error("expert `" + entry.options.name +
                                 "`: nobody can make its kind here");
      }
      const Expert* const bare = expert.get();
      if (wrapper_) expert = wrapper_(*thread_, entry, std::move(expert));
      const bool limited = expert.get() == bare;
      seat = std::make_shared<Seat>(entry, thread_, std::move(expert), limited);
    }
    seats.push_back(std::move(seat));
  }
  seats_ = std::move(seats);
  roster_ = std::move(roster);
  version_ = version;
  views_.assign(seats_.size(), {});
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    views_[i].name = seats_[i]->entry.options.name;
    views_[i].options = &seats_[i]->entry.options;
  }
}

std::shared_ptr<Pool::Seat> Pool::find(std::string_view name) const {
  for (const auto& seat : seats_) {
    if (seat->entry.options.name == name) return seat;
  }
  return nullptr;
}

const std::vector<ExpertView>& Pool::describe() {
  refresh();
  const Clock::time_point now = Clock::now();
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    const Standing& standing = *seats_[i]->entry.standing;
    ExpertView& view = views_[i];
    view.breaker = standing.breaker.state(now);
    view.healthy = is_healthy(standing, now);
    view.inflight = standing.inflight.load(kRelaxed);
    view.queued = standing.queued.load(kRelaxed);
    view.total_us = standing.total_us.load(kRelaxed);
    view.first_byte_us = standing.first_byte_us.load(kRelaxed);
    view.tokens_out = standing.tokens_out.load(kRelaxed);
    view.load_wait_us = standing.load_wait_us.load(kRelaxed);
    if (view.breaker == BreakerState::open) check_health(seats_[i]);
  }
  return views_;
}

asio::awaitable<Reply> Pool::ask(std::string_view name, const Call& call, Sink* sink) {
  refresh();
  const Clock::time_point begin = Clock::now();
  Reply reply;
  const std::shared_ptr<Seat> seat = find(name);
  if (!seat) {
    reply.expert = name;
    reply.outcome = Outcome::unreachable;
    reply.error = "no expert of this name is in the pool";
    co_return reply;
  }
  Standing& standing = *seat->entry.standing;
  reply.expert = seat->entry.options.name;
  if ((call.task == Task::embeddings) != seat->entry.options.capabilities.embeddings) {
    refuse_task(call, reply);
    count(standing, reply, call.stream);
    co_return reply;
  }
  const Admission admission = standing.breaker.admit(begin);
  if (admission == Admission::refused) {
    reply.outcome = Outcome::open_circuit;
    reply.error = "not tried: it failed too often, the breaker is open";
    check_health(seat);
    count(standing, reply, call.stream);
    co_return reply;
  }
  std::int64_t queued_us = 0;
  if (seat->inside < seat->places) {
    ++seat->inside;
  } else {
    if (!co_await enter(*seat, call, reply)) {
      standing.breaker.give_up(admission);
      count(standing, reply, call.stream);
      co_return reply;
    }
    queued_us = us_between(begin, Clock::now());
  }
  Stay stay(*seat, admission);
  reply = co_await seat->expert->ask(call, sink);
  reply.timings.queued_us += queued_us;
  reply.timings.total_us += queued_us;
  if (reply.timings.first_byte_us >= 0) reply.timings.first_byte_us += queued_us;
  settle(*seat, stay, call, reply);
  co_return reply;
}

Foresight::Foresight(const Pool& pool, std::string_view name, double chance)
    : seat_(pool.find(name)), chance_(chance) {
  if (auto* expert = foreseen()) expert->expect(chance_);
}

Foresight::~Foresight() {
  if (auto* expert = foreseen()) expert->expect(-chance_);
}

Foreseen* Foresight::foreseen() const {
  return seat_ ? dynamic_cast<Foreseen*>(seat_->expert.get()) : nullptr;
}

/// Waits for a place. False: there was none in time; the Reply says why.
asio::awaitable<bool> Pool::enter(Seat& seat, const Call& call, Reply& reply) {
  Standing& standing = *seat.entry.standing;
  if (seat.queue.size() >= static_cast<std::size_t>(seat.queue_places)) {
    standing.queue_full.fetch_add(1, kRelaxed);
    reply.outcome = Outcome::overloaded;
    reply.error = "its queue is full";
    reply.retry_after_s = 1;
    co_return false;
  }
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  const auto until = Clock::now() + milliseconds(seat.entry.options.queue_ms_max);
  Gate gate(thread_->io, std::min(until, call.deadline));
  seat.queue.push_back(&gate);
  standing.queued.fetch_add(1, kRelaxed);
  co_await gate.async_wait(asio::as_tuple(asio::deferred));
  standing.queued.fetch_sub(1, kRelaxed);
  const auto waiting = std::find(seat.queue.begin(), seat.queue.end(), &gate);
  const bool has_place = waiting == seat.queue.end();
  if (!has_place) seat.queue.erase(waiting);
  const auto state = co_await asio::this_coro::cancellation_state;
  co_await asio::this_coro::throw_if_cancelled(throws);
  if (has_place) co_return true;
  reply.outcome = Outcome::cancelled;
  if (state.cancelled() == asio::cancellation_type::none) {
    standing.queue_timeouts.fetch_add(1, kRelaxed);
    reply.outcome = Clock::now() >= call.deadline ? Outcome::timed_out : Outcome::overloaded;
    reply.error = "waited too long in its queue";
    reply.retry_after_s = 1;
  }
  co_return false;
}

void Pool::settle(Seat& seat, Stay& stay, const Call& call, Reply& reply) {
  Standing& standing = *seat.entry.standing;
  const Clock::time_point now = Clock::now();
  reply.cost_microusd = cost_of(reply.usage, seat.entry.options.prices);
  count(standing, reply, call.stream);
  const bool own_deadline = reply.outcome == Outcome::timed_out && now >= call.deadline;
  const bool not_tried = reply.outcome == Outcome::overloaded && reply.attempts == 0;
  const bool says_nothing = reply.outcome == Outcome::cancelled || own_deadline || not_tried;
  if (!says_nothing) stay.record(counts_as_failure(reply.outcome), now);
  if (reply.outcome == Outcome::limited && reply.retry_after_s > 0) {
    const auto until = now + std::chrono::seconds(std::min(reply.retry_after_s, 60));
    standing.cooling_until.store(until.time_since_epoch().count(), kRelaxed);
  }
}

/// While the breaker is open somebody asks GET /models now and then: one net thread at a time.
void Pool::check_health(const std::shared_ptr<Seat>& seat) {
  auto* const remote = dynamic_cast<RemoteExpert*>(seat->expert.get());
  if (remote == nullptr || seat->checking) return;
  if (!seat->entry.standing->breaker.claim_health_check(Clock::now())) return;
  seat->checking = true;
  asio::co_spawn(thread_->io, remote->list_models(), [seat](std::exception_ptr, std::string body) {
    seat->checking = false;
    if (!body.empty()) seat->entry.standing->breaker.shorten(Clock::now());
  });
}

}  // namespace experts
