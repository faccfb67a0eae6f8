#include "http/request.h"

#include <algorithm>

namespace http {

namespace {

constexpr std::size_t kBodyBytesKept = 16 * 1024;

void forget(std::string& text, std::size_t bytes_kept) {
  if (text.capacity() > bytes_kept) {
    text = std::string();
  } else {
    text.clear();
  }
}

}  // namespace

void Request::clear() {
  method = Method::other;
  version = 11;
  target.clear();
  content_type.clear();
  content_encoding.clear();
  authorization.clear();
  host.clear();
  if_match.clear();
  if_none_match.clear();
  request_id.clear();
  explain.clear();
  forget(body, kBodyBytesKept);
  continue_wanted = false;
  keep_alive = true;
}

void Response::clear() {
  status = 200;
  content_type = "application/json";
  fields.clear();
  forget(body, kBodyBytesKept);
}

void Response::add(std::string_view name, std::string_view value) {
  const std::size_t begin = fields.size() + name.size() + 2;
  fields.append(name).append(": ").append(value);
  const auto visible = [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  };
  std::transform(fields.data() + begin, fields.data() + fields.size(), fields.data() + begin,
                 visible);
  fields.append("\r\n");
}

bool same_word(std::string_view text, std::string_view lower) {
  return std::ranges::equal(text, lower, [](char x, char y) {
    return (x >= 'A' && x <= 'Z' ? static_cast<char>(x + 32) : x) == y;
  });
}

std::string_view reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Unknown";
  }
}

}  // namespace http
