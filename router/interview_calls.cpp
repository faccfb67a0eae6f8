#include "router/interview_calls.h"

#include <boost/asio/co_spawn.hpp>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

namespace router {

namespace asio = boost::asio;

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
                         std::function<void(std::size_t, const experts::Reply&)> take) {
  next_ = std::move(next);
  take_ = std::move(take);
  begun_ = 0;
  running_ = concurrency_max;
  for (int i = 0; i < concurrency_max; ++i) {
    asio::co_spawn(loop_, ask_one_by_one(), [this](const std::exception_ptr& fault) {
      if (fault) std::rethrow_exception(fault);
      if (--running_ == 0) loop_.stop();  // the Pool keeps a timer
    });
  }
  loop_.restart();
  loop_.run();
}

asio::awaitable<void> InterviewCalls::ask_one_by_one() {
  for (auto one = next_(); one; one = next_()) {
    const std::size_t number = begun_++;
    const experts::Reply reply = co_await pool_.ask(one->expert, one->call, nullptr);
    take_(number, reply);
  }
}

}  // namespace router
