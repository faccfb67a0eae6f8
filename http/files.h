// /v1/files: what the batch API reads and writes.
// https://platform.openai.com/docs/api-reference/files
#pragma once

#include <boost/asio/awaitable.hpp>

namespace http {

class Session;

/// multipart/form-data with `purpose` and `file`, from clients that send an authorization header: a
/// web page can post a form to a local port unasked, but not with that header.
boost::asio::awaitable<void> upload_file(Session& session);
boost::asio::awaitable<void> list_files(Session& session);
boost::asio::awaitable<void> show_file(Session& session);
boost::asio::awaitable<void> send_file(Session& session);  // its content
boost::asio::awaitable<void> delete_file(Session& session);

}  // namespace http
