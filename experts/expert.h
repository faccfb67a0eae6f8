// The one interface of everything that can answer: remote servers, native models, scripted stubs.
//
// Threads: an Expert belongs to one net thread and is only ever used on it; what is shared between
// the net threads (health, breaker, counters) lives in Standing. No locks on this path.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string_view>

#include "experts/call.h"

namespace experts {

/// Where a streamed reply goes while it arrives. Owned by the caller, which outlives the call.
class Sink {
 public:
  virtual ~Sink() = default;

  /// Whole server-sent events, `data: {...}\n\n` one or more, `model` already the pool name, never
  /// `[DONE]`. Resumes when the client took them (that is the backpressure); false: client is gone.
  /// `events` is valid until the call resumes.
  virtual boost::asio::awaitable<bool> write(std::string_view events) = 0;
};

class Expert {
 public:
  virtual ~Expert() = default;

  /// Asks once, own retries included. `sink` is used when call.stream, else may be null. `call` and
  /// `sink` outlive the coroutine. Never throws for what an expert can do wrong; a cancelled
  /// coroutine returns Outcome::cancelled after the upstream request was cancelled too.
  virtual boost::asio::awaitable<Reply> ask(const Call& call, Sink* sink) = 0;
};

}  // namespace experts
