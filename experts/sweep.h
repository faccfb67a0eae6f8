// Deadlines without timers: whoever waits hangs itself into the list with the time at which its
// wait is over; one coarse timer per net thread goes through the list and calls expire() on those
// that are. An empty list costs no wake-ups. One thread, no locks.
#pragma once

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/intrusive/list.hpp>

#include "experts/call.h"

namespace experts {

class Waiting : public boost::intrusive::list_base_hook<
                    boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
 public:
  virtual ~Waiting() = default;

  /// Called once, unlinked, at most one sweep after `due`. Must not destroy other Waitings.
  virtual void expire() = 0;

  Clock::time_point due = Clock::time_point::max();
};

class Sweep {
 public:
  Sweep(boost::asio::io_context& io, int sweep_ms) : timer_(io), period_(sweep_ms) {}

  /// Until `waiting.due`, or until waiting.unlink().
  void add(Waiting& waiting);

 private:
  void schedule();
  void run();

  using Timer = boost::asio::basic_waitable_timer<Clock, boost::asio::wait_traits<Clock>,
                                                  boost::asio::io_context::executor_type>;
  Timer timer_;
  std::chrono::milliseconds period_;
  bool scheduled_ = false;
  boost::intrusive::list<Waiting, boost::intrusive::constant_time_size<false>> list_;
};

}  // namespace experts
