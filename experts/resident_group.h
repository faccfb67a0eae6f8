// One memory and the experts that share it: the scheduler under a lock, the calls that wait for it,
// and the thread that watches the time. Used by residents.cpp alone.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "experts/residents.h"

namespace experts {

/// What a resident needs to come and go.
struct ResidentSource {
  std::string name;
  std::shared_ptr<const void> owner;   // equal: the same resident
  std::shared_ptr<NativeModel> model;  // null: its server loads it when it is asked
  ResidentSpec spec;
};

class ResidentGroup : public std::enable_shared_from_this<ResidentGroup> {
 public:
  ResidentGroup(std::string name, const ResidencyOptions& options);
  ~ResidentGroup();  // no call waits any more
  ResidentGroup(const ResidentGroup&) = delete;
  ResidentGroup& operator=(const ResidentGroup&) = delete;

  /// Ends the thread. Loads and unloads that come back later are written down and no more.
  void stop();

  /// A lease of the resident for one expert; it leaves the memory after the last one. `standing`
  /// hears of its state.
  class Lease;
  std::shared_ptr<Lease> rent(const ResidentSource& source, std::shared_ptr<Standing> standing);

  /// One call's place: waits, and gives it back at its end. On one net thread.
  class Place;

  void describe(std::vector<ResidentStatus>& out) const;

 private:
  struct Ticket;

  struct Resident {
    ResidentSource source;
    int leases = 0;
    std::vector<std::weak_ptr<Standing>> standings;
    ResidentStatus counts;
    std::int64_t load_began = 0;
    std::string error;  // of the last load
  };

  void carry_out(std::int64_t now, Actions& actions);
  void load(std::int64_t now, int expert, Actions& actions);
  void unload(std::int64_t now, int expert, Actions& actions);
  void settle(std::int64_t now, int expert, const std::string& error, Actions& actions);
  void answer(std::int64_t now, const Action& action);
  void on_loaded(int expert, const std::string& error);
  void on_unloaded(int expert);
  void leave(int expert);
  void expect(int expert, double chance);
  void publish(std::int64_t now);
  void watch();

  const std::string name_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  Residency residency_;
  std::vector<Resident> residents_;                                     // by the scheduler's index
  std::unordered_map<std::uint64_t, std::shared_ptr<Ticket>> tickets_;  // waiting or let through
  std::int64_t planned_us_ = 0;  // when the thread wakes by itself
  bool stopping_ = false;
  std::thread thread_;
};

class ResidentGroup::Lease {
 public:
  Lease(std::shared_ptr<ResidentGroup> group, int expert)
      : group_(std::move(group)), expert_(expert) {}

  ~Lease() { group_->leave(expert_); }

  /// As Foreseen::expect.
  void expect(double chance) const { group_->expect(expert_, chance); }

  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

 private:
  friend class Place;
  const std::shared_ptr<ResidentGroup> group_;
  const int expert_;
};

class ResidentGroup::Place {
 public:
  Place(boost::asio::io_context& io, std::shared_ptr<Lease> lease);
  ~Place();
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  /// Resumes when the expert is in memory and has a place for the call, or with the reason in
  /// `reply`. Cancellation of the coroutine ends the wait as Outcome::cancelled.
  boost::asio::awaitable<bool> enter(const Call& call, Reply& reply);

  /// The call has run to its end: its duration counts.
  void finish() { finished_ = true; }

 private:
  const std::shared_ptr<Lease> lease_;
  const std::shared_ptr<Ticket> ticket_;
  bool finished_ = false;
};

}  // namespace experts
