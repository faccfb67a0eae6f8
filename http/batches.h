// /v1/batches. https://platform.openai.com/docs/api-reference/batch
#pragma once

#include <boost/asio/awaitable.hpp>

namespace http {

class Session;

boost::asio::awaitable<void> create_batch(Session& session);
boost::asio::awaitable<void> list_batches(Session& session);
boost::asio::awaitable<void> show_batch(Session& session);
boost::asio::awaitable<void> cancel_batch(Session& session);

}  // namespace http
