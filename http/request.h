// One HTTP request and one response as the rest of the room sees them. Plain data, no Beast type.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace http {

enum class Method : std::uint8_t { get, head, post, put, delete_, options, patch, other };

/// Only the fields that somebody reads are kept. Strings keep their memory from request to request.
struct Request {
  Method method = Method::other;
  int version = 11;    // 10 or 11
  std::string target;  // as sent, at most Options::target_bytes_max
  std::string content_type;
  std::string content_encoding;
  std::string authorization;
  std::string host;
  std::string if_match;
  std::string if_none_match;
  std::string request_id;        // x-request-id when it is 1 to 128 visible ASCII characters
  std::string explain;           // x-skillyard-explain
  std::string body;              // has simdjson's padding behind its end
  bool continue_wanted = false;  // Expect: 100-continue
  bool keep_alive = true;

  std::string_view path() const { return std::string_view(target).substr(0, target.find('?')); }

  /// Behind the `?`, not decoded.
  std::string_view query() const {
    const auto at = target.find('?');
    return at == std::string::npos ? std::string_view() : std::string_view(target).substr(at + 1);
  }

  /// Forgets the last request but keeps the memory, except that of a large body.
  void clear();
};

struct Response {
  int status = 200;
  std::string_view content_type = "application/json";  // a literal
  std::string fields;  // whole extra header lines, each with its CRLF
  std::string body;

  void clear();

  /// Adds a header line; bytes of `value` that a header must not carry become `?`.
  void add(std::string_view name, std::string_view value);
};

/// Equal but for ASCII case; `lower` has no capitals.
bool same_word(std::string_view text, std::string_view lower);

/// "Not Found" for 404; "Unknown" for a code that nobody here sends.
std::string_view reason_of(int status);

}  // namespace http
