// What is asked of an expert and what comes back. Plain data: no threads, no I/O, no Boost.
//
// A Call is made once per query by the edge and shared, read-only, by every expert that is asked.
// A Reply is a value: an expert that fails is an outcome, never an exception (see Outcome).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace experts {

using Clock = std::chrono::steady_clock;

inline std::int64_t us_between(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration_cast<std::chrono::microseconds>(end - begin).count();
}

enum class Role : std::uint8_t { system, developer, user, assistant, tool };

/// One message of the conversation; `text` joins its text parts, other parts are only in
/// Call::wire.
struct Message {
  Role role = Role::user;
  std::string text;
};

/// Sampling as OpenAI defines it; unset means the expert's own default. Remote experts read
/// Call::wire instead; native experts read this.
struct Sampling {
  std::optional<double> temperature, top_p, frequency_penalty, presence_penalty;
  std::optional<std::int64_t> seed;
  std::optional<int> tokens_max;
  std::vector<std::string> stop;  // at most 4
  int logprobs_top = -1;          // -1: not asked
};

/// Which of an expert's endpoints a call is for.
enum class Task : std::uint8_t { chat, embeddings };

struct Call {
  /// The client's request object without its braces and without `model`, `stream`,
  /// `stream_options` and `skillyard`: `"messages":[...],"temperature":0.2`. Valid JSON members,
  /// bytes as the client sent them, never empty. A remote expert adds its own model name and sends
  /// it.
  std::string wire;
  std::vector<Message> messages;
  Sampling sampling;
  bool stream = false;
  bool usage_in_stream = false;  // the client asked for stream_options.include_usage
  bool text_wanted = false;      // fill Reply::text (panels, votes, grading); off on the plain path
  /// `response_format` of type json_object or json_schema, as it stands in wire; empty: text.
  /// Native experts read it.
  std::string reply_format;
  bool wire_only = false;  // has parts that only wire carries (images, tools): no native expert
  bool batch = false;      // nobody waits at the other end: everybody else comes first
  Task task = Task::chat;
  bool base64_wanted = false;  // embeddings: as `encoding_format` in wire says
  std::uint64_t panel = 0;     // the same for calls whose replies are wanted together; 0: alone
  std::uint64_t kin = 0;       // the same for calls of one skill, which a native expert collates
  std::string request_id;      // sent on as x-request-id
  Clock::time_point deadline = Clock::time_point::max();
};

/// How a call ended. Everything but `ok` may be retried elsewhere before the first byte has reached
/// the client, except `refused` and `filtered`, which another try of the same request would repeat.
enum class Outcome : std::uint8_t {
  ok,
  refused,      // the expert says the request is wrong (400, 404, 413, 422 ...): passed on
  filtered,     // refused by a content policy: passed on, never rerouted silently
  limited,      // 429
  overloaded,   // 502, 503, 529, or our own queue for this expert is full
  failed,       // another 5xx
  credentials,  // 401 or 403 from the expert: our configuration, not the client's fault
  unreachable,  // no connection, TLS failure, name not found
  timed_out,    // connect, first byte, idle or total deadline
  cut,          // the connection ended inside a reply
  malformed,    // not HTTP, not JSON, not the agreed shape, or larger than the limit
  cancelled,    // nobody waits any more
  open_circuit  // not tried: the breaker is open
};

std::string_view name_of(Outcome outcome);

struct Usage {
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t cached_tokens = 0;  // part of prompt_tokens
  bool known = false;              // false: the expert did not say
};

/// Offsets from the start of the call, microseconds; -1: did not happen.
struct Timings {
  std::int64_t queued_us = 0;
  std::int64_t load_us = 0;  // of those: until the expert was in memory
  std::int64_t first_byte_us = -1;
  std::int64_t total_us = 0;
};

struct Reply {
  std::string expert;  // pool name
  Outcome outcome = Outcome::cancelled;
  int status = 0;             // HTTP status of the last attempt, 0 when there was none
  std::string wire;           // not streamed: the reply's JSON body, `model` already the pool name;
                              // for `refused` and `filtered`: the expert's error body
  std::string text;           // content of the first choice, when Call::text_wanted
  std::string finish_reason;  // of the first choice
  std::string error;          // an operator's sentence when outcome is not ok; no secrets
  Usage usage;
  Timings timings;
  std::int64_t cost_microusd = 0;  // from the configured prices; 0 when usage is unknown
  int attempts = 0;
  int retry_after_s = -1;  // what the expert asked for, -1: nothing
  bool started = false;    // at least one byte of the answer went to the sink
};

}  // namespace experts
