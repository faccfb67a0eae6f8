#include "http/routes.h"

#include <array>
#include <optional>

#include "http/chat.h"
#include "http/decisions.h"
#include "http/listing.h"

namespace http {

namespace {

constexpr std::array kEndpoints = {
    Endpoint{.method = Method::post, .pattern = "/v1/chat/completions", .waits = answer_chat},
    Endpoint{.method = Method::post, .pattern = "/v1/route", .plain = explain_route},
    Endpoint{.method = Method::get, .pattern = "/v1/models", .plain = list_models},
    Endpoint{.method = Method::get, .pattern = "/v1/models/{name...}", .plain = show_model},
    Endpoint{.method = Method::get, .pattern = "/v1/decisions", .waits = list_decisions},
    Endpoint{.method = Method::get, .pattern = "/v1/decisions/{id}", .waits = show_decision},
    Endpoint{
        .method = Method::get, .pattern = "/v1/decisions/{id}/explain", .waits = explain_decision},
    Endpoint{
        .method = Method::post, .pattern = "/v1/decisions/{id}/feedback", .waits = take_feedback},
    Endpoint{.method = Method::get, .pattern = "/health/live", .plain = report_live},
    Endpoint{.method = Method::get, .pattern = "/health/ready", .plain = report_ready},
    Endpoint{.method = Method::get, .pattern = "/metrics", .plain = report_metrics},
};

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// The variable part of `path` under `pattern`, empty for a pattern without one; nullopt: no match.
std::optional<std::string_view> match(std::string_view pattern, std::string_view path) {
  const auto open = pattern.find('{');
  if (open == std::string_view::npos) {
    return path == pattern ? std::optional(std::string_view()) : std::nullopt;
  }
  const auto close = pattern.find('}');
  const std::string_view before = pattern.substr(0, open);
  const std::string_view behind = pattern.substr(close + 1);
  if (!path.starts_with(before) || !path.ends_with(behind)) return std::nullopt;
  if (path.size() <= before.size() + behind.size()) return std::nullopt;
  path.remove_prefix(before.size());
  path.remove_suffix(behind.size());
  const bool rest_of_path = pattern.substr(open, close - open).ends_with("...");
  if (!rest_of_path && path.find('/') != std::string_view::npos) return std::nullopt;
  return path;
}

}  // namespace

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool coded = text[i] == '%' && i + 2 < text.size() && digit_of(text[i + 1]) >= 0 &&
                       digit_of(text[i + 2]) >= 0;
    if (coded) {
      out.push_back(static_cast<char>(digit_of(text[i + 1]) * 16 + digit_of(text[i + 2])));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

Match find_endpoint(const Request& request) {
  Match found;
  const std::string_view path = request.path();
  const Method wanted = request.method == Method::head ? Method::get : request.method;
  for (const Endpoint& endpoint : kEndpoints) {
    const auto variable = match(endpoint.pattern, path);
    if (!variable) continue;
    if (endpoint.method == wanted) {
      found.endpoint = &endpoint;
      if (!variable->empty()) found.argument = percent_decoded(*variable);
      found.allow.clear();
      return found;
    }
    if (!found.allow.empty()) found.allow.append(", ");
    found.allow.append(endpoint.method == Method::get ? "GET, HEAD" : "POST");
  }
  return found;
}

}  // namespace http
