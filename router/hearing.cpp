#include "router/hearing.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>

namespace router {

namespace asio = boost::asio;

Hearing::Hearing(asio::any_io_executor executor, experts::Pool& pool,
                 const std::vector<std::string>& names, const experts::Call& call)
    : executor_(executor), pool_(pool), names_(names), call_(call), news_(executor) {
  for (std::size_t i = 0; i < names_.size(); ++i) seats_.push_back(std::make_unique<Seat>());
}

Hearing::~Hearing() = default;

void Hearing::ask(std::size_t count) {
  for (; count > 0 && left() > 0; --count) {
    Seat* const seat = seats_[asked_].get();
    const std::string& name = names_[asked_];
    ++asked_;
    ++running_;
    auto done = [this, seat, &name](std::exception_ptr fault, experts::Reply reply) {
      if (fault) {  // cancelled before it began
        reply = experts::Reply();
        reply.expert = name;
      }
      seat->reply = std::move(reply);
      --running_;
      fresh_ = true;
      news_.cancel();
    };
    asio::co_spawn(executor_, pool_.ask(name, call_, nullptr),
                   asio::bind_cancellation_slot(seat->cancel.slot(), std::move(done)));
  }
}

asio::awaitable<void> Hearing::wait(experts::Clock::time_point until) {
  if (!fresh_ && running_ > 0) {
    news_.expires_at(until);
    co_await news_.async_wait(asio::as_tuple(asio::deferred));
  }
  fresh_ = false;
}

std::optional<Hearing::Heard> Hearing::take(bool any) {
  for (std::uint32_t i = 0; i < asked_; ++i) {
    Seat& seat = *seats_[i];
    if (seat.taken) continue;
    if (!seat.reply) {
      if (any) continue;
      return std::nullopt;
    }
    seat.taken = true;
    ++taken_;
    Heard heard{i, std::move(*seat.reply)};
    return heard;
  }
  return std::nullopt;
}

void Hearing::cancel() {
  for (std::size_t i = 0; i < asked_; ++i) {
    if (!seats_[i]->reply) seats_[i]->cancel.emit(asio::cancellation_type::terminal);
  }
}

}  // namespace router
