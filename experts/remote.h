// A remote expert: the behaviour of an OpenAI-compatible server behind either transport. Builds the
// request, reads the reply, retries what is worth it; breaker, queue and counters are the Pool's.
#pragma once

#include <memory>
#include <string>

#include "experts/expert.h"
#include "experts/net_thread.h"
#include "experts/roster.h"
#include "experts/socket_exchange.h"
#include "experts/status.h"

namespace experts {

class RemoteExpert final : public Expert {
 public:
  /// `thread` outlives the expert.
  RemoteExpert(NetThread& thread, Entry entry);

  boost::asio::awaitable<Reply> ask(const Call& call, Sink* sink) override;

  /// The body of GET /models, asked within the connect timeout; empty when it could not be had.
  boost::asio::awaitable<std::string> list_models();

 private:
  /// Each fills the Reply and returns true when the same expert may be asked again.
  boost::asio::awaitable<bool> attempt(const Call& call, Sink* sink, Reply& reply);
  boost::asio::awaitable<bool> relay(Exchange& exchange, const Call& call, Sink* sink,
                                     Reply& reply);
  boost::asio::awaitable<bool> collect(Exchange& exchange, const Call& call, std::string body,
                                       Reply& reply);

  bool settle_body(const Call& call, std::string body, Reply& reply);
  bool settle_vectors(const Call& call, std::string body, Reply& reply);
  bool settle_error(const Exchange& exchange, std::string body, Reply& reply);
  bool settle_fault(const Exchange& exchange, Reply& reply);
  bool settle_error_object(const UpstreamError& error, Reply& reply);
  bool settle_malformed(std::string_view what, bool oversize, Reply& reply);
  std::string quote(const UpstreamError& error) const;

  std::unique_ptr<Exchange> start(const Request& request, bool streamed);
  boost::asio::awaitable<bool> wait_before_retry(const Call& call, Reply& reply);

  NetThread& thread_;
  const Entry entry_;
  const std::string lead_plain_;              // `{"model":"the upstream's name",`
  const std::string lead_stream_;             // the same with stream and stream_options
  std::unique_ptr<Connections> connections_;  // null: libcurl carries it
};

}  // namespace experts
