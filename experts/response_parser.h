// HTTP/1.1 response bytes -> ResponseHead and body bytes. Boost.Beast's strict incremental parser
// does the framing (RFC 9112); this class only listens to it, so that no Beast message is ever
// built.
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <string>
#include <string_view>

#include "experts/exchange.h"

namespace experts {

inline constexpr std::size_t kHeaderBytesMax = 16 << 10;

class ResponseParser final : public boost::beast::http::basic_parser<false> {
 public:
  /// `body_bytes_max` bounds the whole body; 0: no bound (streams: each event has its own).
  explicit ResponseParser(std::uint64_t body_bytes_max);

  enum class Fed : std::uint8_t { more, done, broken };

  /// Takes what it can of `bytes`; `taken` says how much. Body bytes are appended to `body`.
  Fed feed(std::string_view bytes, std::size_t& taken, std::string& body);

  /// The connection ended. Done when the body was delimited by that.
  Fed feed_end();

  ResponseHead head;
  std::string error;      // after broken
  bool oversize = false;  // broken because of a size limit

 private:
  using View = boost::beast::string_view;
  using Error = boost::beast::error_code;

  void on_request_impl(boost::beast::http::verb, View, View, int, Error&) override {}

  void on_response_impl(int code, View reason, int version, Error& ec) override;
  void on_field_impl(boost::beast::http::field name, View text, View value, Error& ec) override;

  void on_header_impl(Error&) override {}

  void on_body_init_impl(const boost::optional<std::uint64_t>& length, Error& ec) override;
  std::size_t on_body_impl(View bytes, Error& ec) override;

  void on_chunk_header_impl(std::uint64_t, View, Error&) override {}

  std::size_t on_chunk_body_impl(std::uint64_t remain, View bytes, Error& ec) override;

  void on_finish_impl(Error&) override {}

  Fed fail(const Error& ec);

  std::string* body_ = nullptr;
};

}  // namespace experts
