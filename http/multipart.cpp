#include "http/multipart.h"

#include <algorithm>
#include <cctype>

namespace http {
namespace {

constexpr std::size_t kBoundaryMax = 70;  // RFC 2046
constexpr std::size_t kHeaderBytesMax = 4096;

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

/// The value of `name=` among the parameters behind the first `;`, unquoted; empty: not there.
std::string parameter(std::string_view field, std::string_view name) {
  std::size_t at = field.find(';');
  while (at < field.size()) {
    ++at;
    while (at < field.size() && (field[at] == ' ' || field[at] == '\t')) ++at;
    const std::size_t equals = field.find('=', at);
    if (equals == std::string_view::npos) return "";
    const bool wanted = lower(field.substr(at, equals - at)) == name;
    std::string value;
    at = equals + 1;
    if (at < field.size() && field[at] == '"') {
      for (++at; at < field.size() && field[at] != '"'; ++at) {
        if (field[at] == '\\' && at + 1 < field.size()) ++at;
        value.push_back(field[at]);
      }
      at = field.find(';', at);
    } else {
      const std::size_t end = std::min(field.find(';', at), field.size());
      value = field.substr(at, end - at);
      while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.pop_back();
      at = end;
    }
    if (wanted) return value;
  }
  return "";
}

/// Fills name and filename from the part's header lines.
bool read_head(std::string_view head, Part& part) {
  while (!head.empty()) {
    const std::size_t end = std::min(head.find("\r\n"), head.size());
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(std::min(end + 2, head.size()));
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return false;
    if (lower(line.substr(0, colon)) != "content-disposition") continue;
    part.name = parameter(line, "name");
    part.filename = parameter(line, "filename");
  }
  return !part.name.empty();
}

}  // namespace

std::optional<std::vector<Part>> read_multipart(std::string_view content_type,
                                                std::string_view body, std::size_t parts_max) {
  const std::string_view essence = content_type.substr(0, content_type.find(';'));
  if (lower(essence.substr(0, essence.find_last_not_of(" \t") + 1)) != "multipart/form-data") {
    return std::nullopt;
  }
  const std::string boundary = parameter(content_type, "boundary");
  if (boundary.empty() || boundary.size() > kBoundaryMax) return std::nullopt;
  const std::string first = "--" + boundary, next = "\r\n" + first;
  std::size_t at = body.starts_with(first) ? 0 : body.find(next);  // what precedes it is ignored
  if (at == std::string_view::npos) return std::nullopt;
  at += at == 0 && body.starts_with(first) ? first.size() : next.size();
  std::vector<Part> parts;
  while (!body.substr(at).starts_with("--")) {
    if (!body.substr(at).starts_with("\r\n")) return std::nullopt;
    // An empty head ends where the boundary's line does.
    const std::size_t head_end = body.find("\r\n\r\n", at);
    if (head_end == std::string_view::npos || head_end - at > kHeaderBytesMax) return std::nullopt;
    Part part;
    const std::size_t head = std::min(at + 2, head_end);
    if (!read_head(body.substr(head, head_end - head), part)) return std::nullopt;
    const std::size_t content = head_end + 4;
    const std::size_t end = body.find(next, content);
    if (end == std::string_view::npos) return std::nullopt;
    part.content = body.substr(content, end - content);
    parts.push_back(std::move(part));
    if (parts.size() > parts_max) return std::nullopt;
    at = end + next.size();
  }
  return parts;
}

}  // namespace http
