#include "http/batch_lines.h"

#include <simdjson.h>

#include <algorithm>
#include <unordered_set>

#include "http/json_text.h"

namespace http {
namespace {

constexpr std::size_t kDepthMax = 68;  // of a request, and of what stands around it
constexpr std::size_t kCustomIdMax = 512;

/// Empty: the line is good, and `into` is filled.
std::string read_line(simdjson::dom::parser& parser, std::string_view text,
                      std::string_view endpoint, store::BatchLine& into) {
  const simdjson::padded_string padded(text);
  simdjson::dom::object object, body;
  std::string_view id, method, url;
  if (const auto error = parser.parse(padded).get(object)) {
    return error == simdjson::INCORRECT_TYPE
               ? "the line must be a JSON object"
               : std::string("the line is not valid JSON: ") + simdjson::error_message(error);
  }
  if (object["custom_id"].get(id) || id.empty() || id.size() > kCustomIdMax) {
    return "`custom_id` must be a string of 1 to 512 bytes";
  }
  into.custom_id = id;
  if (object["method"].get(method) || method != "POST") return "`method` must be \"POST\"";
  if (object["url"].get(url) || url != endpoint) {
    return "`url` must be the batch's endpoint, " + std::string(endpoint);
  }
  if (object["body"].get(body)) return "`body` must be a JSON object";
  into.body = simdjson::to_string(body);
  return "";
}

void begin_row(std::string& row, std::string_view batch, std::int64_t line,
               std::string_view custom_id) {
  row = "{\"id\":";
  append_string(row, "batch_req_" + std::string(batch) + "_" + std::to_string(line));
  row += ",\"custom_id\":";
  if (custom_id.empty()) {
    row += "null";
  } else {
    append_string(row, custom_id);
  }
}

}  // namespace

BatchFile read_batch(std::string_view id, std::string_view content, std::string_view endpoint,
                     std::int64_t lines_max) {
  BatchFile file;
  simdjson::dom::parser parser;
  if (parser.allocate(4096, kDepthMax)) throw std::bad_alloc();
  std::unordered_set<std::string> seen;
  std::int64_t number = 0;
  while (!content.empty()) {
    const std::size_t end = std::min(content.find('\n'), content.size());
    std::string_view text = content.substr(0, end);
    content.remove_prefix(std::min(end + 1, content.size()));
    ++number;
    if (text.ends_with('\r')) text.remove_suffix(1);
    if (text.find_first_not_of(" \t") == std::string_view::npos) continue;
    if (static_cast<std::int64_t>(file.lines.size() + file.refused.size()) == lines_max) {
      file.fault = "the file has more than " + std::to_string(lines_max) + " lines";
      file.fault_code = "too_many_lines";
      return file;
    }
    store::BatchLine line;
    line.line = number;
    std::string fault = read_line(parser, text, endpoint, line);
    std::string_view code = "invalid_line";
    if (fault.empty() && !seen.insert(line.custom_id).second) {
      code = "duplicate_custom_id";
      fault = "line " + std::to_string(number) + ": `custom_id` stood in an earlier line";
    }
    if (fault.empty()) {
      file.lines.push_back(std::move(line));
    } else {
      file.refused.push_back({number, true, error_row(id, number, line.custom_id, code, fault)});
    }
  }
  if (file.lines.empty() && file.refused.empty()) {
    file.fault = "the file has no lines";
    file.fault_code = "empty_file";
  }
  return file;
}

std::string row_of(std::string_view batch, const store::BatchLine& line, int status,
                   std::string_view request_id, std::string_view body) {
  std::string row;
  begin_row(row, batch, line.line, line.custom_id);
  row += ",\"response\":{\"status_code\":";
  append_number(row, std::int64_t{status});
  row += ",\"request_id\":";
  append_string(row, request_id);
  row += ",\"body\":";
  const std::size_t at = row.size();
  row += body;
  // Line ends of a JSON document stand between its tokens only.
  std::replace_if(
      row.begin() + static_cast<std::ptrdiff_t>(at), row.end(),
      [](char c) { return c == '\n' || c == '\r'; }, ' ');
  row += "},\"error\":null}";
  return row;
}

std::string error_row(std::string_view batch, std::int64_t line, std::string_view custom_id,
                      std::string_view code, std::string_view message) {
  std::string row;
  begin_row(row, batch, line, custom_id);
  row += ",\"response\":null,\"error\":{\"code\":";
  append_string(row, code);
  row += ",\"message\":";
  append_string(row, message);
  row += ",\"line\":";
  append_number(row, line);
  row += "}}";
  return row;
}

}  // namespace http
