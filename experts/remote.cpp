#include "experts/remote.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

#include "experts/embeddings_json.h"
#include "experts/events.h"
#include "experts/reply_json.h"

namespace experts {

namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

std::int64_t us_since(Clock::time_point begin) {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin).count();
}

bool is_success(int status) {
  return status >= 200 && status < 300;
}

std::string lead_of(const Entry& entry, std::string_view more) {
  return std::string("{\"model\":").append(entry.target->model_json).append(more);
}

void clear_answer(Reply& reply) {
  reply.wire.clear();
  reply.text.clear();
  reply.finish_reason.clear();
  reply.error.clear();
  reply.usage = {};
  reply.status = 0;
  reply.retry_after_s = -1;
  reply.timings.first_byte_us = -1;
}

}  // namespace

RemoteExpert::RemoteExpert(NetThread& thread, Entry entry)
    : thread_(thread),
      entry_(std::move(entry)),
      lead_plain_(lead_of(entry_, ",")),
      lead_stream_(
          lead_of(entry_, ",\"stream\":true,\"stream_options\":{\"include_usage\":true},")) {
  const bool plain = !entry_.target->tls && entry_.options.proxy.empty();
  if (plain) {
    connections_ = std::make_unique<Connections>(thread, entry_);
  } else if (!thread.curl) {
    thread.curl = std::make_unique<CurlLoop>(thread.io, thread.sweep);
  }
}

std::unique_ptr<Exchange> RemoteExpert::start(const Request& request, bool streamed) {
  if (connections_) return connections_->start(request, streamed);
  return thread_.curl->start(entry_, request);
}

asio::awaitable<Reply> RemoteExpert::ask(const Call& call, Sink* sink) {
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  const Clock::time_point begin = Clock::now();
  Reply reply;
  reply.expert = entry_.options.name;
  bool again = true;
  while (again) {
    clear_answer(reply);
    ++reply.attempts;
    entry_.standing->attempts.fetch_add(1, kRelaxed);
    const std::int64_t offset_us = reply.attempts == 1 ? 0 : us_since(begin);
    again = co_await attempt(call, sink, reply);
    if (reply.timings.first_byte_us >= 0) reply.timings.first_byte_us += offset_us;
    if (again) again = co_await wait_before_retry(call, reply);
  }
  reply.timings.total_us = us_since(begin);
  co_await asio::this_coro::throw_if_cancelled(throws);
  co_return reply;
}

asio::awaitable<bool> RemoteExpert::attempt(const Call& call, Sink* sink, Reply& reply) {
  Request request;
  if (call.task == Task::embeddings) request.to = Request::To::embeddings;
  request.lead = call.stream ? lead_stream_ : lead_plain_;
  request.wire = call.wire;
  request.request_id = call.request_id;
  request.by = call.deadline;
  const std::unique_ptr<Exchange> exchange = start(request, call.stream);
  bool again = false;
  if (call.stream) {
    again = co_await relay(*exchange, call, sink, reply);
  } else {
    std::string body;
    again = co_await collect(*exchange, call, std::move(body), reply);
  }
  note_attempt(*entry_.standing, counts_as_failure(reply.outcome),
               entry_.options.retries.budget_tokens);
  co_return again && !reply.started;
}

/// Reads the whole response, of which `body` came already, and settles it.
asio::awaitable<bool> RemoteExpert::collect(Exchange& exchange, const Call& call, std::string body,
                                            Reply& reply) {
  const Clock::time_point begin = Clock::now();
  Got got = Got::data;
  bool whole = true;
  while (got == Got::data && whole) {
    got = co_await exchange.read(body);
    reply.status = exchange.head.status;
    if (reply.timings.first_byte_us < 0 && reply.status != 0) {
      reply.timings.first_byte_us = us_since(begin);
    }
    const bool good = is_success(exchange.head.status);
    const auto limit = good ? entry_.options.reply_bytes_max : thread_.limits.error_bytes_max;
    whole = body.size() <= static_cast<std::size_t>(limit);
  }
  if (got == Got::fault) co_return settle_fault(exchange, reply);
  if (!is_success(reply.status)) co_return settle_error(exchange, std::move(body), reply);
  if (!whole) co_return settle_malformed("the reply is larger than reply_bytes_max", true, reply);
  if (exchange.head.encoded) co_return settle_malformed("a Content-Encoding", false, reply);
  if (exchange.head.event_stream) co_return settle_malformed("an event stream", false, reply);
  co_return settle_body(call, std::move(body), reply);
}

/// Passes events on as they come; the client's pace is the expert's.
asio::awaitable<bool> RemoteExpert::relay(Exchange& exchange, const Call& call, Sink* sink,
                                          Reply& reply) {
  const Clock::time_point begin = Clock::now();
  StreamOptions options;
  options.name_json = entry_.target->name_json;
  options.usage_wanted = call.usage_in_stream;
  options.text_wanted = call.text_wanted;
  options.event_bytes_max = static_cast<std::size_t>(entry_.options.event_bytes_max);
  EventReader events(thread_.json, options, reply);
  std::string pending, out;
  for (;;) {
    const Got got = co_await exchange.read(pending);
    reply.status = exchange.head.status;
    if (got == Got::fault) co_return settle_fault(exchange, reply);
    if (!is_success(reply.status) || !exchange.head.event_stream) {
      if (got == Got::end && !is_success(reply.status)) {
        co_return settle_error(exchange, std::move(pending), reply);
      }
      if (!is_success(reply.status)) {
        co_return co_await collect(exchange, call, std::move(pending), reply);
      }
      co_return settle_malformed("no event stream although one was asked for", false, reply);
    }
    if (reply.timings.first_byte_us < 0) reply.timings.first_byte_us = us_since(begin);
    const StreamState state = events.read(pending, out);
    if (!out.empty()) {
      reply.started = true;
      bool taken = false;
      try {
        taken = co_await sink->write(out);
      } catch (const boost::system::system_error&) {
        taken = false;
      }
      if (!taken) {
        reply.outcome = Outcome::cancelled;
        co_return false;
      }
      out.clear();
    }
    if (state == StreamState::error) co_return settle_error_object(events.error(), reply);
    if (state == StreamState::malformed) {
      co_return settle_malformed("an event that is no chat.completion.chunk", events.oversize(),
                                 reply);
    }
    if (state == StreamState::done || got == Got::end) {
      if (got == Got::data) exchange.finish_early();
      break;
    }
  }
  if (events.end() == StreamState::done) {
    reply.outcome = Outcome::ok;
    co_return false;
  }
  reply.outcome = Outcome::cut;
  reply.error = "the stream ended without [DONE] or a finish_reason";
  co_return true;
}

// ---- how an attempt ended: each returns whether the same expert may be asked again
// -----------------

bool RemoteExpert::settle_body(const Call& call, std::string body, Reply& reply) {
  if (call.task == Task::embeddings) return settle_vectors(call, std::move(body), reply);
  body.reserve(body.size() + kJsonPadding);
  ReplyFacts facts = read_reply(thread_.json, body, call.text_wanted ? &reply.text : nullptr);
  if (facts.valid && facts.error.present) return settle_error_object(facts.error, reply);
  if (!facts.valid || facts.choices == 0) {
    return settle_malformed("a body that is no chat.completion", false, reply);
  }
  reply.outcome = Outcome::ok;
  reply.finish_reason = facts.finish_reason;
  reply.usage = facts.usage;
  if (facts.model_end > facts.model_begin) {
    body.replace(facts.model_begin, facts.model_end - facts.model_begin, entry_.target->name_json);
    reply.wire = std::move(body);
  } else {
    append_renamed(reply.wire, body, facts, entry_.target->name_json);
  }
  return false;
}

bool RemoteExpert::settle_vectors(const Call& call, std::string body, Reply& reply) {
  const Vectors vectors = read_vectors(body);
  if (!vectors.valid) {
    const UpstreamError error = read_error(thread_.json, body);
    if (error.present) return settle_error_object(error, reply);
    return settle_malformed("a body that is no list of embeddings", false, reply);
  }
  if (vectors.dimension == 0 && !call.base64_wanted)
    return settle_malformed("base64 although numbers were asked for", false, reply);
  reply.outcome = Outcome::ok;
  reply.usage = vectors.usage;
  reply.wire = renamed_vectors(body, vectors, entry_.target->name_json, call.base64_wanted);
  return false;
}

bool RemoteExpert::settle_error(const Exchange& exchange, std::string body, Reply& reply) {
  UpstreamError error = read_error(thread_.json, body);
  reply.outcome = outcome_of(reply.status, error);
  reply.retry_after_s = exchange.head.retry_after_s;
  reply.error = "answered " + std::to_string(reply.status) + ": " + quote(error);
  if (reply.outcome == Outcome::credentials) {
    reply.error = "answered " + std::to_string(reply.status) +
                  ": it does not accept our key; look at key_env or key_file";
  }
  if (reply.outcome == Outcome::refused || reply.outcome == Outcome::filtered) {
    reply.wire = without_key(std::move(body), entry_.target->key);
  }
  return is_retryable(reply.outcome, error) || reply.status == 408;
}

bool RemoteExpert::settle_error_object(const UpstreamError& error, Reply& reply) {
  reply.outcome = outcome_of(200, error);
  reply.error = "sent an error instead of an answer: " + quote(error);
  if (reply.outcome == Outcome::refused || reply.outcome == Outcome::filtered) {
    reply.wire = "{\"error\":{\"message\":" + quote_json(quote(error)) +
                 ",\"type\":\"invalid_request_error\",\"param\":null,\"code\":" +
                 (error.code.empty() ? "null" : quote_json(error.code)) + "}}";
  }
  return is_retryable(reply.outcome, error);
}

bool RemoteExpert::settle_fault(const Exchange& exchange, Reply& reply) {
  reply.outcome = exchange.fault;
  reply.error = exchange.error;
  return exchange.retryable || is_retryable(exchange.fault, UpstreamError{});
}

bool RemoteExpert::settle_malformed(std::string_view what, bool oversize, Reply& reply) {
  if (oversize) entry_.standing->oversize.fetch_add(1, kRelaxed);
  reply.outcome = Outcome::malformed;
  reply.error = std::string("sent something we cannot use: ").append(what);
  return false;
}

/// The words of an expert for the operator: cleaned of our key, one line, not endless.
std::string RemoteExpert::quote(const UpstreamError& error) const {
  constexpr std::size_t kLongest = 300;
  std::string text = without_key(error.message, entry_.target->key);
  if (text.size() > kLongest) text.resize(kLongest);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return text.empty() ? "no message" : text;
}

// ---- retries
// --------------------------------------------------------------------------------------

/// False: no further attempt, the Reply stays as it is (or says cancelled).
asio::awaitable<bool> RemoteExpert::wait_before_retry(const Call& call, Reply& reply) {
  const Retries& retries = entry_.options.retries;
  Standing& standing = *entry_.standing;
  if (reply.attempts > retries.count_max) co_return false;
  if (!may_retry(standing, retries.budget_tokens)) {
    standing.retries_withheld.fetch_add(1, kRelaxed);
    co_return false;
  }
  const std::int64_t doubled = std::int64_t{retries.backoff_ms} << std::min(reply.attempts - 1, 16);
  std::int64_t longest = std::min<std::int64_t>(doubled, retries.backoff_ms_max);
  std::int64_t shortest = longest / 2;
  if (reply.retry_after_s >= 0) {
    shortest = 1000 * std::int64_t{reply.retry_after_s};
    if (shortest > retries.retry_after_ms_max) co_return false;
    longest = shortest + longest / 2;
  }
  std::uniform_int_distribution<std::int64_t> draw(shortest, std::max(shortest, longest));
  const milliseconds wait(draw(thread_.chance));
  const Clock::time_point now = Clock::now();
  if (call.deadline - now <= wait) co_return false;
  if (standing.breaker.state(now) == BreakerState::open) co_return false;
  standing.retries.fetch_add(1, kRelaxed);
  asio::basic_waitable_timer<Clock> timer(thread_.io, wait);
  co_await timer.async_wait(asio::as_tuple(asio::deferred));
  const auto state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() == asio::cancellation_type::none) co_return true;
  reply.outcome = Outcome::cancelled;
  co_return false;
}

// ---- health
// -----------------------------------------------------------------------------------------

asio::awaitable<std::string> RemoteExpert::list_models() {
  const auto body_bytes_max = static_cast<std::size_t>(entry_.options.reply_bytes_max);
  Request request;
  request.to = Request::To::models;
  request.by = Clock::now() + milliseconds(entry_.options.timeouts.connect_ms_max);
  const std::unique_ptr<Exchange> exchange = start(request, false);
  std::string body;
  Got got = Got::data;
  while (got == Got::data && body.size() <= body_bytes_max) got = co_await exchange->read(body);
  if (got != Got::end || !is_success(exchange->head.status)) body.clear();
  co_return body;
}

}  // namespace experts
