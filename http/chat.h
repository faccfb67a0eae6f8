// POST /v1/chat/completions: request body -> Query -> corridor -> reply or stream of events.
// POST /v1/embeddings: the same, and never a stream.
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

/// The same way, to the expert that `model` names or, for a pool, to the one that makes the pool's
/// embeddings (router::Pipeline::encoder_of).
boost::asio::awaitable<void> answer_embeddings(Session& session);

}  // namespace http
