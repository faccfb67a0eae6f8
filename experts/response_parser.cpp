#include "experts/response_parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <ctime>

namespace experts {
namespace {

namespace http = boost::beast::http;

}  // namespace

ResponseParser::ResponseParser(std::uint64_t body_bytes_max) {
  header_limit(kHeaderBytesMax);
  eager(true);
  if (body_bytes_max == 0) {
    body_limit(boost::none);
  } else {
    body_limit(body_bytes_max);
  }
}

ResponseParser::Fed ResponseParser::feed(std::string_view bytes, std::size_t& taken,
                                         std::string& body) {
  body_ = &body;
  taken = 0;
  while (!is_done() && taken < bytes.size()) {
    Error ec;
    taken += put(boost::asio::buffer(bytes.data() + taken, bytes.size() - taken), ec);
    if (ec == http::error::need_more) return Fed::more;
    if (ec) return fail(ec);
  }
  return is_done() ? Fed::done : Fed::more;
}

ResponseParser::Fed ResponseParser::feed_end() {
  Error ec;
  if (got_some()) put_eof(ec);
  if (ec) return fail(ec);
  return is_done() ? Fed::done : Fed::broken;
}

ResponseParser::Fed ResponseParser::fail(const Error& ec) {
  oversize = ec == http::error::body_limit || ec == http::error::header_limit;
  error = ec.message();
  return Fed::broken;
}

void ResponseParser::on_response_impl(int code, View, int, Error&) {
  head.status = code;
}

void ResponseParser::on_field_impl(http::field name, View, View value, Error&) {
  switch (name) {
    case http::field::content_type: {
      constexpr std::string_view kStream = "text/event-stream";
      head.event_stream = boost::beast::iequals(value.substr(0, kStream.size()), kStream);
      break;
    }
    case http::field::content_encoding:
      head.encoded = !value.empty() && !boost::beast::iequals(value, "identity");
      break;
    case http::field::retry_after:
      head.retry_after_s = parse_retry_after(value, std::time(nullptr));
      break;
    default:
      break;
  }
}

void ResponseParser::on_body_init_impl(const boost::optional<std::uint64_t>& length, Error&) {
  constexpr std::uint64_t kReservedMax = 1 << 20;  // what a header alone can make us allocate
  if (length) body_->reserve(body_->size() + std::min(*length, kReservedMax) + 128);
}

std::size_t ResponseParser::on_body_impl(View bytes, Error&) {
  body_->append(bytes.data(), bytes.size());
  return bytes.size();
}

std::size_t ResponseParser::on_chunk_body_impl(std::uint64_t, View bytes, Error&) {
  body_->append(bytes.data(), bytes.size());
  return bytes.size();
}

}  // namespace experts
