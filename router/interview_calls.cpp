#include "router/interview_calls.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

namespace router {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::milliseconds kLookEvery{200};  // whether the calls are still wanted

}  // namespace

experts::Call question_call(const std::string& text, int tokens_max, int call_ms_max,
                            std::optional<double> temperature) {
  experts::Call call;
  const nlohmann::json message = {{"role", "user"}, {"content", text}};
  nlohmann::json fields = {{"messages", {message}}, {"max_tokens", tokens_max}};
  if (temperature) fields["temperature"] = *temperature;
  const std::string object = fields.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  call.wire = object.substr(1, object.size() - 2);
  call.messages = {{experts::Role::user, text}};
  call.sampling.tokens_max = tokens_max;
  call.sampling.temperature = temperature;
  call.sampling.seed = 0;
  call.text_wanted = true;
  call.batch = true;
  call.deadline = experts::Clock::now() + std::chrono::milliseconds(call_ms_max);
  return call;
}

void InterviewCalls::run(int concurrency_max, std::function<std::optional<One>()> next,
                         std::function<void(std::size_t, const experts::Reply&)> take,
                         const std::function<bool()>& wanted) {
  next_ = std::move(next);
  take_ = std::move(take);
  begun_ = 0;
  running_ = concurrency_max;
  std::vector<asio::cancellation_signal> stops(static_cast<std::size_t>(concurrency_max));
  for (auto& stop : stops) {
    const auto ended = [this](const std::exception_ptr& fault) {
      if (fault) std::rethrow_exception(fault);
      if (--running_ == 0) loop_.stop();  // the Pool keeps a timer
    };
    asio::co_spawn(loop_, ask_one_by_one(), asio::bind_cancellation_slot(stop.slot(), ended));
  }
  while (running_ > 0) {
    loop_.restart();
    loop_.run_for(kLookEvery);
    if (!wanted || wanted()) continue;
    for (auto& stop : stops) stop.emit(asio::cancellation_type::terminal);
  }
}

asio::awaitable<void> InterviewCalls::ask_one_by_one() {
  for (auto one = next_(); one; one = next_()) {
    const std::size_t number = begun_++;
    const experts::Reply reply = co_await pool_.ask(one->expert, one->call, nullptr);
    take_(number, reply);
  }
}

}  // namespace router
