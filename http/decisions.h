// The log over HTTP: what was decided, why, what came of it, and what users say about it.
#pragma once

#include <boost/asio/awaitable.hpp>

namespace http {

class Session;

boost::asio::awaitable<void> list_decisions(Session& session);    // GET /v1/decisions
boost::asio::awaitable<void> show_decision(Session& session);     // GET /v1/decisions/{id}
boost::asio::awaitable<void> explain_decision(Session& session);  // GET .../{id}/explain
boost::asio::awaitable<void> take_feedback(Session& session);  // POST /v1/decisions/{id}/feedback

}  // namespace http
