// A chat reply as server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html) with OpenAI's end mark.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "experts/expert.h"
#include "http/session.h"
#include "router/query.h"

namespace http {

/// What the first chunk said about the whole reply.
struct ChunkIdentity {
  std::string id, model;
  std::int64_t created_s = 0;
};

/// Reads `id`, `model` and `created` of the first event's object; what is not there stays empty.
ChunkIdentity identity_of(std::string_view events);

/// Who answered, as fields of the head. A name of ours is the pool itself, which asked nobody.
void add_server(Response& response, std::string_view model);

/// The sink of one streamed chat reply. The first write opens the stream: its head carries the
/// fields of session.response() and `x-skillyard-expert`, unless a heartbeat had to go first.
class EventStream final : public experts::Sink {
 public:
  /// Both outlive it.
  EventStream(Session& session, const router::Query& query);

  boost::asio::awaitable<bool> write(std::string_view events) override;

  /// The first event of a client that wants to know: a chunk without choices whose `skillyard`
  /// names the decision and the experts. It opens the stream, so later failures are in band.
  void tell_asking(const std::vector<std::string>& names);

  /// Events that are there all at once; what the client does not take now leaves with the end.
  void put(std::string_view events);

  /// The good end: `data: [DONE]`, behind a last chunk with the `skillyard` object if there is one.
  void end(std::string_view explanation);

  /// The bad end, in band; without [DONE], which would call the half answer whole.
  void fail(const Problem& problem);

  /// -1: no event yet.
  double first_event_seconds() const { return first_event_s_; }

 private:
  void note_first(std::string_view events);

  Session& session_;
  const router::Query& query_;
  ChunkIdentity identity_;
  double first_event_s_ = -1;
};

}  // namespace http
