// Calls to several experts that run at the same time: who was asked, who replied, and in which
// order it is counted. One per panel, used on the thread of its coroutine.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "experts/pool.h"

namespace router {

class Hearing {
 public:
  /// All outlive the Hearing; running() is 0 when it is destroyed.
  Hearing(boost::asio::any_io_executor executor, experts::Pool& pool,
          const std::vector<std::string>& names, const experts::Call& call);
  ~Hearing();
  Hearing(const Hearing&) = delete;
  Hearing& operator=(const Hearing&) = delete;

  /// Starts the next calls, at most `count`; the first of them gets the next seat's number.
  void ask(std::size_t count);

  /// Until a reply came that take() has not returned, nobody runs, or the time has come. Returns
  /// early, and may be called again, when the coroutine was cancelled.
  boost::asio::awaitable<void> wait(experts::Clock::time_point until);

  /// The reply of the lowest seat that is not taken yet. Nothing while that seat's call runs,
  /// unless `any`: then of whichever seat has one.
  struct Heard {
    std::uint32_t seat = 0;
    experts::Reply reply;
  };

  std::optional<Heard> take(bool any);

  void cancel();

  std::size_t asked() const { return asked_; }

  std::size_t running() const { return running_; }

  std::size_t left() const { return seats_.size() - asked_; }

  /// Nobody whose reply was not taken.
  bool idle() const { return taken_ == asked_; }

 private:
  struct Seat {
    std::optional<experts::Reply> reply;
    bool taken = false;
    boost::asio::cancellation_signal cancel;
  };

  boost::asio::any_io_executor executor_;
  experts::Pool& pool_;
  const std::vector<std::string>& names_;
  const experts::Call& call_;
  std::vector<std::unique_ptr<Seat>> seats_;  // signals do not move
  boost::asio::basic_waitable_timer<experts::Clock> news_;
  std::size_t asked_ = 0, running_ = 0, taken_ = 0;
  bool fresh_ = false;  // a reply came since the last wait
};

}  // namespace router
