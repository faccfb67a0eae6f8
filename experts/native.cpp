#include "experts/native.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

#include "experts/native_json.h"
#include "experts/native_schema.h"
#include "experts/target.h"

namespace experts {

namespace asio = boost::asio;

namespace {

/// Chat templates know these three; what OpenAI calls developer they call system.
std::string_view role_name(Role role) {
  switch (role) {
    case Role::system:
    case Role::developer:
      return "system";
    case Role::assistant:
      return "assistant";
    case Role::tool:
      return "tool";
    case Role::user:
      break;
  }
  return "user";
}

std::uint64_t draw(NetThread& thread) {
  return std::uint64_t{thread.chance()} << 32 ^ thread.chance();
}

std::string hex(std::uint64_t number) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string text(16, '0');
  for (std::size_t i = 16; i-- > 0; number >>= 4) text[i] = kHex[number & 15];
  return text;
}

moe::TextRequest request_of(const Call& call, NetThread& thread) {
  moe::TextRequest request;
  for (const Message& message : call.messages) {
    request.messages.push_back({std::string(role_name(message.role)), message.text});
  }
  const Sampling& asked = call.sampling;
  moe::SamplingOptions& sampling = request.sampling;
  sampling.temperature = asked.temperature.value_or(kTemperatureOfFile);
  sampling.top_p = asked.top_p.value_or(sampling.top_p);
  sampling.frequency_penalty = asked.frequency_penalty.value_or(sampling.frequency_penalty);
  sampling.presence_penalty = asked.presence_penalty.value_or(sampling.presence_penalty);
  sampling.logprobs_top = std::min(asked.logprobs_top, moe::kTopLogprobsMax);
  sampling.seed = asked.seed ? static_cast<std::uint64_t>(*asked.seed) : draw(thread);
  request.kin = call.kin;
  request.tokens_max = asked.tokens_max;
  request.stops = asked.stop;
  request.now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  return request;
}

ReplyShape wanted_shape(const Call& call) {
  return call.reply_format.empty() ? ReplyShape() : shape_of(call.reply_format);
}

class NativeExpert final : public Expert {
 public:
  NativeExpert(NetThread& thread, Entry entry, std::shared_ptr<NativeModel> model)
      : thread_(thread),
        entry_(std::move(entry)),
        model_(std::move(model)),
        name_json_(quote_json(entry_.options.name)) {}

  asio::awaitable<Reply> ask(const Call& call, Sink* sink) override;

 private:
  CompletionHead head_of(const Call& call);
  asio::awaitable<void> listen(NativeListener& listener, const Call& call, Sink* sink,
                               Reply& reply);
  void settle(const Said& said, Reply& reply);
  void refuse(std::string_view message, std::string_view code, Reply& reply);

  NetThread& thread_;
  const Entry entry_;
  const std::shared_ptr<NativeModel> model_;
  const std::string name_json_;
};

CompletionHead NativeExpert::head_of(const Call& call) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  CompletionHead head;
  head.id = "chatcmpl-" + hex(draw(thread_) ^ static_cast<std::uint64_t>(now.count()));
  head.created_s = std::chrono::duration_cast<std::chrono::seconds>(now).count();
  head.model_json = name_json_;
  head.usage_in_stream = call.stream && call.usage_in_stream;
  head.logprobs_wanted = call.sampling.logprobs_top >= 0;
  return head;
}

asio::awaitable<Reply> NativeExpert::ask(const Call& call, Sink* sink) {
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  const Clock::time_point begin = Clock::now();
  Reply reply;
  reply.expert = entry_.options.name;
  reply.attempts = 1;
  entry_.standing->attempts.fetch_add(1, kRelaxed);
  if (call.wire_only) {
    refuse("`" + entry_.options.name +
               "` runs in this process and takes text alone: no tools, images, audio, "
               "logit_bias or n above 1",
           "unsupported_by_expert", reply);
  } else if (ReplyShape asked = wanted_shape(call); !asked.error.empty()) {
    refuse(asked.error, "unsupported_by_expert", reply);
  } else {
    const ExpertOptions& options = entry_.options;
    const auto limit = call.stream ? options.event_bytes_max : options.reply_bytes_max;
    const auto line =
        std::make_shared<NativeLine>(thread_.io, call.stream, static_cast<std::size_t>(limit));
    NativeListener listener(line);
    moe::TextRequest request = request_of(call, thread_);
    request.json = std::move(asked.shape);
    model_->submit(std::move(request), line);
    co_await listen(listener, call, sink, reply);
  }
  reply.timings.total_us = us_between(begin, Clock::now());
  co_await asio::this_coro::throw_if_cancelled(throws);
  co_return reply;
}

/// Takes what the model says until it ends, or until nobody wants it any more.
asio::awaitable<void> NativeExpert::listen(NativeListener& listener, const Call& call, Sink* sink,
                                           Reply& reply) {
  const Clock::time_point begin = Clock::now();
  const std::chrono::milliseconds total(entry_.options.timeouts.total_ms_max);
  const Clock::time_point due = std::min(begin + total, call.deadline);
  const CompletionHead head = head_of(call);
  Said said;
  std::string events;
  while (!said.ending) {
    co_await listener.wait(due);
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) co_return;  // a fresh Reply says so
    said = listener.take();
    if (said.first != Clock::time_point{}) {
      reply.timings.first_byte_us = us_between(begin, said.first);
    }
    if (said.overflowed) {
      entry_.standing->oversize.fetch_add(1, kRelaxed);
      reply.outcome = Outcome::malformed;
      reply.error = "the reply is larger than reply_bytes_max or event_bytes_max";
      co_return;
    }
    if (!said.ending && Clock::now() >= due) {
      reply.outcome = Outcome::timed_out;
      reply.error = "did not finish in time";
      co_return;
    }
    const bool ok = said.ending && said.ending->outcome == Outcome::ok;
    if (call.text_wanted) reply.text.append(said.text);
    if (!call.stream) continue;
    if (!reply.started && (ok || !said.text.empty())) append_role_event(events, head);
    if (!said.text.empty() || !said.logprobs.empty()) {
      append_text_event(events, head, said.text, said.logprobs);
    }
    if (ok) append_finish_event(events, head, said.ending->finish_reason);
    if (ok && call.usage_in_stream) append_usage_event(events, head, said.ending->usage);
    if (events.empty()) continue;
    reply.started = true;
    bool taken = false;
    try {
      taken = co_await sink->write(events);
    } catch (const boost::system::system_error&) {
      taken = false;
    }
    if (!taken) co_return;
    events.clear();
  }
  settle(said, reply);
  if (reply.outcome == Outcome::ok && !call.stream) {
    reply.wire = completion_json(head, said.text, said.logprobs, reply.finish_reason, reply.usage);
  }
}

void NativeExpert::settle(const Said& said, Reply& reply) {
  const NativeEnding& ending = *said.ending;
  if (ending.outcome == Outcome::refused) return refuse(ending.error, ending.code, reply);
  reply.outcome = ending.outcome;
  reply.finish_reason = ending.finish_reason;
  reply.error = ending.error;
  reply.usage = ending.usage;
  if (ending.outcome == Outcome::ok) reply.status = 200;
  if (ending.outcome == Outcome::overloaded) reply.retry_after_s = 1;
}

void NativeExpert::refuse(std::string_view message, std::string_view code, Reply& reply) {
  reply.outcome = Outcome::refused;
  reply.status = 400;
  reply.error = message;
  reply.wire = refusal_json(message, code);
}

}  // namespace

ExpertMaker make_native_maker(NativeModels& models) {
  return [&models](NetThread& thread, const Entry& entry) -> std::unique_ptr<Expert> {
    if (entry.options.kind != Kind::native) return nullptr;
    const NativeSource source = {entry.options.url, entry.options.context_tokens,
                                 entry.options.native};
    return std::make_unique<NativeExpert>(thread, entry, models.find(source));
  };
}

}  // namespace experts
