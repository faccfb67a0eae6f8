#include "experts/resident_group.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <chrono>

namespace experts {

namespace asio = boost::asio;

namespace {

constexpr std::int64_t kPublishUs = 100'000;  // how old the expected waits may be

std::int64_t us_of(Clock::time_point time) {
  if (time == Clock::time_point::max()) return kNeverUs;
  return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
}

std::int64_t us_now() {
  return us_of(Clock::now());
}

}  // namespace

/// One call. The group's lock guards it, but for the gate, which is its net thread's own.
struct ResidentGroup::Ticket : std::enable_shared_from_this<Ticket> {
  explicit Ticket(asio::io_context& on) : io(on) {}

  asio::io_context& io;  // not touched after close
  asio::basic_waitable_timer<Clock>* gate = nullptr;
  std::uint64_t request = 0;
  std::int64_t since = 0;
  bool open = true;
  bool decided = false;
  bool admitted = false;
  Refusal why = Refusal::none;
  std::int64_t retry_after_us = 0;
  std::string error;

  void decide() {
    decided = true;
    if (!open) return;
    asio::post(io, [ticket = shared_from_this()] {
      if (ticket->gate != nullptr) ticket->gate->cancel();
    });
  }
};

ResidentGroup::ResidentGroup(std::string name, const ResidencyOptions& options)
    : name_(std::move(name)), residency_(options), thread_([this] { watch(); }) {}

ResidentGroup::~ResidentGroup() {
  stop();
}

void ResidentGroup::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

std::shared_ptr<ResidentGroup::Lease> ResidentGroup::rent(const ResidentSource& source,
                                                          std::shared_ptr<Standing> standing) {
  const std::scoped_lock lock(mutex_);
  const std::int64_t now = us_now();
  const auto found = std::find_if(residents_.begin(), residents_.end(), [&](const Resident& r) {
    return r.source.owner == source.owner && r.source.owner != nullptr;
  });
  auto index = static_cast<int>(found - residents_.begin());
  if (found == residents_.end()) {
    index = residency_.add(source.spec);
    residents_.resize(std::max(residents_.size(), static_cast<std::size_t>(index) + 1));
    Resident& fresh = residents_[static_cast<std::size_t>(index)];
    fresh = Resident();
    fresh.source = source;
    fresh.counts.group = name_;
    fresh.counts.name = source.name;
  } else if (found->leases == 0) {  // on its way out
    Actions actions;
    residency_.restore(now, index, actions);
    carry_out(now, actions);
  }
  Resident& resident = residents_[static_cast<std::size_t>(index)];
  ++resident.leases;
  std::erase_if(resident.standings, [](const auto& known) { return known.expired(); });
  const bool known = std::any_of(resident.standings.begin(), resident.standings.end(),
                                 [&](const auto& s) { return s.lock() == standing; });
  if (!known) resident.standings.push_back(standing);
  publish(now);
  return std::make_shared<Lease>(shared_from_this(), index);
}

void ResidentGroup::leave(int expert) {
  const std::scoped_lock lock(mutex_);
  if (--residents_[static_cast<std::size_t>(expert)].leases > 0) return;
  Actions actions;
  const std::int64_t now = us_now();
  residency_.remove(now, expert, actions);
  carry_out(now, actions);
  if (!residency_.knows(expert)) residents_[static_cast<std::size_t>(expert)] = Resident();
}

void ResidentGroup::expect(int expert, double chance) {
  const std::scoped_lock lock(mutex_);
  Actions actions;
  const std::int64_t now = us_now();
  residency_.expect(now, expert, chance, actions);
  carry_out(now, actions);
}

/// `actions` may grow while it is carried out.
void ResidentGroup::carry_out(std::int64_t now, Actions& actions) {
  bool moved = false;
  for (std::size_t i = 0; i < actions.size(); ++i) {
    const Action action = actions[i];
    switch (action.kind) {
      case Action::Kind::load:
        load(now, action.expert, actions);
        moved = true;
        break;
      case Action::Kind::unload:
        unload(now, action.expert, actions);
        moved = true;
        break;
      case Action::Kind::dispatch:
      case Action::Kind::refuse:
        answer(now, action);
        break;
    }
  }
  if (moved) publish(now);
  if (residency_.wake_us(now) < planned_us_) wake_.notify_one();
}

void ResidentGroup::answer(std::int64_t now, const Action& action) {
  Resident& resident = residents_[static_cast<std::size_t>(action.expert)];
  Ticket& ticket = *tickets_.at(action.request);
  ticket.admitted = action.kind == Action::Kind::dispatch;
  ticket.why = action.why;
  ticket.retry_after_us = action.retry_after_us;
  if (ticket.admitted) {
    ++resident.counts.waits;
    resident.counts.wait_us += static_cast<std::uint64_t>(now - ticket.since);
  } else {
    ++resident.counts.refused;
    if (action.why == Refusal::load_failed) ticket.error = resident.error;
  }
  ticket.decide();
}

void ResidentGroup::load(std::int64_t now, int expert, Actions& actions) {
  Resident& resident = residents_[static_cast<std::size_t>(expert)];
  resident.load_began = now;
  if (!resident.source.model) return settle(now, expert, "", actions);
  resident.source.model->load([group = weak_from_this(), expert](const std::string& error) {
    if (const auto still = group.lock()) still->on_loaded(expert, error);
  });
}

void ResidentGroup::unload(std::int64_t now, int expert, Actions& actions) {
  Resident& resident = residents_[static_cast<std::size_t>(expert)];
  if (!resident.source.model) return residency_.unloaded(now, expert, actions);
  resident.source.model->unload([group = weak_from_this(), expert] {
    if (const auto still = group.lock()) still->on_unloaded(expert);
  });
}

void ResidentGroup::settle(std::int64_t now, int expert, const std::string& error,
                           Actions& actions) {
  Resident& resident = residents_[static_cast<std::size_t>(expert)];
  ++(error.empty() ? resident.counts.loads : resident.counts.load_failures);
  resident.counts.load_us += static_cast<std::uint64_t>(now - resident.load_began);
  resident.error = error;
  residency_.loaded(now, expert, error.empty(), actions);
}

void ResidentGroup::on_loaded(int expert, const std::string& error) {
  const std::scoped_lock lock(mutex_);
  const std::int64_t now = us_now();
  Actions actions;
  settle(now, expert, error, actions);
  carry_out(now, actions);
  publish(now);
}

void ResidentGroup::on_unloaded(int expert) {
  std::shared_ptr<NativeModel> last;  // goes after the lock
  const std::scoped_lock lock(mutex_);
  const std::int64_t now = us_now();
  Actions actions;
  residency_.unloaded(now, expert, actions);
  carry_out(now, actions);
  publish(now);
  if (residency_.knows(expert)) return;
  last = std::move(residents_[static_cast<std::size_t>(expert)].source.model);
  residents_[static_cast<std::size_t>(expert)] = Resident();
}

/// Tells the experts' standings what the router should know.
void ResidentGroup::publish(std::int64_t now) {
  for (std::size_t i = 0; i < residents_.size(); ++i) {
    if (!residents_[i].source.owner) continue;
    const ResidentView view = residency_.view(now, static_cast<int>(i));
    for (const auto& weak : residents_[i].standings) {
      const auto standing = weak.lock();
      if (!standing) continue;
      standing->load_state.store(static_cast<std::uint8_t>(view.state), kRelaxed);
      standing->load_wait_us.store(view.expected_wait_us, kRelaxed);
    }
  }
}

void ResidentGroup::watch() {
  std::unique_lock lock(mutex_);
  std::int64_t published = 0;
  while (!stopping_) {
    const std::int64_t now = us_now();
    const std::int64_t wake = residency_.wake_us(now);
    planned_us_ = wake;
    if (wake == kNeverUs) {
      wake_.wait(lock);
    } else {
      wake_.wait_for(lock, std::chrono::microseconds(std::max<std::int64_t>(wake - now, 1'000)));
    }
    const std::int64_t then = us_now();
    if (then < wake || stopping_) continue;
    Actions actions;
    residency_.tick(then, actions);
    carry_out(then, actions);
    if (then - published < kPublishUs) continue;
    publish(then);
    published = then;
  }
}

void ResidentGroup::describe(std::vector<ResidentStatus>& out) const {
  const std::scoped_lock lock(mutex_);
  const std::int64_t now = us_now();
  for (std::size_t i = 0; i < residents_.size(); ++i) {
    if (!residents_[i].source.owner) continue;
    out.push_back(residents_[i].counts);
    out.back().now = residency_.view(now, static_cast<int>(i));
  }
}

ResidentGroup::Place::Place(asio::io_context& io, std::shared_ptr<Lease> lease)
    : lease_(std::move(lease)), ticket_(std::make_shared<Ticket>(io)) {}

ResidentGroup::Place::~Place() {
  ResidentGroup& group = *lease_->group_;
  const std::scoped_lock lock(group.mutex_);
  ticket_->open = false;
  if (ticket_->request == 0) return;
  group.tickets_.erase(ticket_->request);
  if (ticket_->decided && !ticket_->admitted) return;
  Actions actions;
  const std::int64_t now = us_now();
  if (finished_) {
    group.residency_.finish(now, ticket_->request, actions);
  } else {
    group.residency_.cancel(now, ticket_->request, actions);
  }
  group.carry_out(now, actions);
}

asio::awaitable<bool> ResidentGroup::Place::enter(const Call& call, Reply& reply) {
  ResidentGroup& group = *lease_->group_;
  Ticket& ticket = *ticket_;
  asio::basic_waitable_timer<Clock> gate(ticket.io, call.deadline);
  bool decided = false;
  {
    const std::scoped_lock lock(group.mutex_);
    const std::int64_t now = us_now();
    ticket.since = now;
    Arrival arrival;
    arrival.expert = lease_->expert_;
    arrival.deadline_us = us_of(call.deadline);
    arrival.panel = call.panel;
    arrival.batch = call.batch;
    Actions actions;
    ticket.request = group.residency_.arrive(now, arrival, actions);
    group.tickets_[ticket.request] = ticket_;
    group.carry_out(now, actions);
    decided = ticket.decided;
    if (!decided) ticket.gate = &gate;
  }
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  bool goes_on = true;
  while (!decided && goes_on) {
    co_await gate.async_wait(asio::as_tuple(asio::deferred));
    const auto state = co_await asio::this_coro::cancellation_state;
    goes_on = state.cancelled() == asio::cancellation_type::none && Clock::now() < call.deadline;
    const std::scoped_lock lock(group.mutex_);
    decided = ticket.decided;
  }
  ticket.gate = nullptr;
  co_await asio::this_coro::throw_if_cancelled(throws);
  if (decided && ticket.admitted) {
    reply.timings.load_us = us_now() - ticket.since;
    co_return true;
  }
  if (!decided) {
    reply.outcome = Clock::now() >= call.deadline ? Outcome::timed_out : Outcome::cancelled;
    if (reply.outcome == Outcome::timed_out) reply.error = "waited for it to be loaded";
    co_return false;
  }
  reply.outcome = Outcome::overloaded;
  reply.error = sentence_of(ticket.why);
  if (!ticket.error.empty()) reply.error += ": " + ticket.error;
  reply.attempts = ticket.why == Refusal::load_failed ? 1 : 0;
  reply.retry_after_s = static_cast<int>(
      std::clamp<std::int64_t>((ticket.retry_after_us + 999'999) / 1'000'000, 1, 3600));
  co_return false;
}

}  // namespace experts
