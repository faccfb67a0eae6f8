// From the threads of a native model to the coroutine that waits for its reply: what the model said
// is collected under a lock, and the coroutine is woken on its own net thread. While the coroutine
// is busy (its client is slow) pieces are joined, up to a limit.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "experts/call.h"

namespace experts {

struct NativeEnding {
  Outcome outcome = Outcome::ok;
  std::string finish_reason;  // OpenAI's, when ok
  std::string error;          // an operator's sentence when not ok; for `refused` the client's
  std::string code;           // OpenAI's error code of a refusal; may be empty
  Usage usage;
};

/// What came since the last take().
struct Said {
  std::string text;      // valid UTF-8
  std::string logprobs;  // of its tokens, JSON objects with commas between; empty: not asked for
  std::optional<NativeEnding> ending;
  Clock::time_point first;  // when the model first said anything; the epoch: not yet
  bool overflowed = false;  // over bytes_max: some of it is missing
};

/// The model's side may be used from any thread, and still after the other side has closed.
class NativeLine : public std::enable_shared_from_this<NativeLine> {
 public:
  /// `io` is not touched after close(). `streamed`: every piece wakes, not the ending alone.
  NativeLine(boost::asio::io_context& io, bool streamed, std::size_t bytes_max)
      : io_(io), streamed_(streamed), bytes_max_(bytes_max) {}

  // The model's side.
  bool is_open() const;
  void say(std::string_view text, std::string_view logprobs);
  void end(NativeEnding ending);

  /// The request runs; `cancel` is called once if the line closes before the ending.
  void accept(std::function<void()> cancel);

 private:
  friend class NativeListener;

  bool must_wait();
  void wake_locked();

  boost::asio::io_context& io_;
  const bool streamed_;
  const std::size_t bytes_max_;

  mutable std::mutex mutex_;  // guards what follows
  Said said_;
  std::function<void()> cancel_;
  bool open_ = true;
  bool waiting_ = false;
  bool ended_ = false;

  class NativeListener* listener_ = nullptr;  // the net thread's own
};

/// The coroutine's side, on its net thread. Its end closes the line: a request that still runs is
/// cancelled.
class NativeListener {
 public:
  explicit NativeListener(std::shared_ptr<NativeLine> line);
  ~NativeListener();
  NativeListener(const NativeListener&) = delete;
  NativeListener& operator=(const NativeListener&) = delete;

  /// Resumes when there is something to take, at `until`, or when the coroutine is cancelled.
  boost::asio::awaitable<void> wait(Clock::time_point until);

  Said take();

 private:
  friend class NativeLine;

  const std::shared_ptr<NativeLine> line_;
  boost::asio::basic_waitable_timer<Clock> gate_;
};

}  // namespace experts
