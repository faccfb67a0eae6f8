#include "experts/native_line.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <utility>

namespace experts {

namespace asio = boost::asio;

bool NativeLine::is_open() const {
  const std::scoped_lock lock(mutex_);
  return open_;
}

void NativeLine::say(std::string_view text, std::string_view logprobs) {
  const std::scoped_lock lock(mutex_);
  if (!open_) return;
  if (said_.first == Clock::time_point{}) said_.first = Clock::now();
  const std::size_t held = said_.text.size() + said_.logprobs.size();
  if (held + text.size() + logprobs.size() > bytes_max_) {
    said_.overflowed = true;
    wake_locked();
    return;
  }
  said_.text.append(text);
  if (!said_.logprobs.empty() && !logprobs.empty()) said_.logprobs.push_back(',');
  said_.logprobs.append(logprobs);
  if (streamed_) wake_locked();
}

void NativeLine::end(NativeEnding ending) {
  const std::scoped_lock lock(mutex_);
  ended_ = true;
  if (said_.first == Clock::time_point{}) said_.first = Clock::now();
  said_.ending = std::move(ending);
  if (open_) wake_locked();
}

void NativeLine::accept(std::function<void()> cancel) {
  {
    const std::scoped_lock lock(mutex_);
    if (open_) {
      cancel_ = std::move(cancel);
      return;
    }
  }
  cancel();  // it closed in between
}

bool NativeLine::must_wait() {
  const std::scoped_lock lock(mutex_);
  const bool has_text = streamed_ && !said_.text.empty();
  waiting_ = !said_.ending && !said_.overflowed && !has_text;
  return waiting_;
}

/// Posts at most once per wait; under the lock, so that nothing is posted after close.
void NativeLine::wake_locked() {
  if (!std::exchange(waiting_, false)) return;
  asio::post(io_, [line = shared_from_this()] {
    if (line->listener_ != nullptr) line->listener_->gate_.cancel();
  });
}

NativeListener::NativeListener(std::shared_ptr<NativeLine> line)
    : line_(std::move(line)), gate_(line_->io_) {
  line_->listener_ = this;
}

NativeListener::~NativeListener() {
  line_->listener_ = nullptr;
  const std::scoped_lock lock(line_->mutex_);
  line_->open_ = false;
  line_->waiting_ = false;
  if (line_->cancel_ && !line_->ended_) line_->cancel_();
  line_->cancel_ = nullptr;
}

asio::awaitable<void> NativeListener::wait(Clock::time_point until) {
  bool goes_on = true;
  while (goes_on && line_->must_wait()) {
    gate_.expires_at(until);
    co_await gate_.async_wait(asio::as_tuple(asio::deferred));
    const auto state = co_await asio::this_coro::cancellation_state;
    goes_on = state.cancelled() == asio::cancellation_type::none && Clock::now() < until;
  }
}

Said NativeListener::take() {
  const std::scoped_lock lock(line_->mutex_);
  Said said = std::move(line_->said_);
  line_->said_ = {};
  line_->said_.first = said.first;
  return said;
}

}  // namespace experts
