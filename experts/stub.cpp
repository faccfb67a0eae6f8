#include "experts/stub.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/this_coro.hpp>

#include "experts/target.h"

namespace experts {

namespace asio = boost::asio;

namespace {

std::string completion_of(const std::string& name, const StubAnswer& answer) {
  const Usage& usage = answer.usage;
  return "{\"id\":\"chatcmpl-stub\",\"object\":\"chat.completion\",\"created\":1,\"model\":" +
         quote_json(name) +
         ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":" +
         quote_json(answer.content) + "},\"finish_reason\":" + quote_json(answer.finish_reason) +
         "}],\"usage\":{\"prompt_tokens\":" + std::to_string(usage.prompt_tokens) +
         ",\"completion_tokens\":" + std::to_string(usage.completion_tokens) +
         ",\"total_tokens\":" + std::to_string(usage.prompt_tokens + usage.completion_tokens) +
         "}}";
}

std::string event_of(const std::string& name, std::string_view content, std::string_view finish) {
  return "data: "
         "{\"id\":\"chatcmpl-stub\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":" +
         quote_json(name) +
         ",\"choices\":[{\"index\":0,\"delta\":{\"content\":" + quote_json(content) +
         "},\"finish_reason\":" + (finish.empty() ? "null" : quote_json(finish)) + "}]}\n\n";
}

/// Words with the space before them: joined they are the text again.
std::vector<std::string> events_of(const std::string& name, const StubAnswer& answer) {
  std::vector<std::string> events;
  const std::string& text = answer.content;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin + 1), text.size());
    events.push_back(event_of(name, std::string_view(text).substr(begin, end - begin), ""));
    begin = end;
  }
  events.push_back(event_of(name, "", answer.finish_reason));
  return events;
}

class StubExpert final : public Expert {
 public:
  StubExpert(NetThread& thread, std::string name, StubScript script)
      : thread_(thread), name_(std::move(name)), script_(std::move(script)) {}

  asio::awaitable<Reply> ask(const Call& call, Sink* sink) override {
    const Clock::time_point begin = Clock::now();
    const bool throws = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    const StubAnswer answer = script_(name_, call);
    Reply reply;
    reply.expert = name_;
    reply.attempts = 1;
    reply.status = answer.status;
    bool waited = co_await wait(answer.delay_ms, call);
    reply.timings.first_byte_us = us_since(begin);
    if (waited && call.stream) waited = co_await stream(answer, call, sink, reply);
    reply.timings.total_us = us_since(begin);
    const bool late = Clock::now() >= call.deadline;
    reply.outcome = waited ? answer.outcome : late ? Outcome::timed_out : Outcome::cancelled;
    if (reply.outcome == Outcome::ok) {
      reply.usage = answer.usage;
      reply.finish_reason = answer.finish_reason;
      if (call.text_wanted) reply.text = answer.content;
      if (!call.stream) reply.wire = completion_of(name_, answer);
    } else {
      reply.error = "scripted";
      reply.retry_after_s = answer.retry_after_s;
      reply.wire = answer.error_body;
    }
    co_await asio::this_coro::throw_if_cancelled(throws);
    co_return reply;
  }

 private:
  static std::int64_t us_since(Clock::time_point begin) {
    return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin).count();
  }

  /// False: cancelled, or past the call's deadline.
  asio::awaitable<bool> wait(int ms, const Call& call) {
    if (ms > 0) {
      const auto until = std::min(Clock::now() + std::chrono::milliseconds(ms), call.deadline);
      asio::basic_waitable_timer<Clock> timer(thread_.io, until);
      co_await timer.async_wait(asio::as_tuple(asio::deferred));
    }
    const auto state = co_await asio::this_coro::cancellation_state;
    co_return state.cancelled() == asio::cancellation_type::none&& Clock::now() < call.deadline;
  }

  asio::awaitable<bool> stream(const StubAnswer& answer, const Call& call, Sink* sink,
                               Reply& reply) {
    const std::vector<std::string> events = events_of(name_, answer);
    const std::size_t whole = events.size();
    const std::size_t part = static_cast<std::size_t>(answer.events_before_fault);
    const std::size_t count = answer.outcome == Outcome::ok ? whole : std::min(whole, part);
    for (std::size_t i = 0; i < count; ++i) {
      const int ms = i == 0 ? 0 : answer.event_delay_ms;
      const bool waited = co_await wait(ms, call);
      if (!waited) co_return false;
      reply.started = true;
      const bool taken = co_await sink->write(events[i]);
      if (!taken) co_return false;
    }
    co_return true;
  }

  NetThread& thread_;
  const std::string name_;
  const StubScript script_;
};

}  // namespace

ExpertMaker stub_maker(StubScript script) {
  return [script = std::move(script)](NetThread& thread, const Entry& entry) {
    return std::make_unique<StubExpert>(thread, entry.options.name, script);
  };
}

}  // namespace experts
