// POST /v1/chat/completions: request body -> Query -> corridor -> reply or stream of events.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>

#include "http/problem.h"
#include "router/query.h"

namespace http {

class Session;

/// The session's body as a Query, complete: named, limited, and for experts or a pool that exist.
std::optional<Problem> read_query(Session& session, router::Query& query);

boost::asio::awaitable<void> answer_chat(Session& session);

}  // namespace http
