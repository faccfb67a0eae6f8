// The two readers of an upload: multipart bodies, and the lines of a batch. Whatever the bytes, the
// parts lie inside the body, and every line is either asked or refused in words that are JSON.
#include <simdjson.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "http/batch_lines.h"
#include "http/multipart.h"

namespace {

void check(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const auto parts = http::read_multipart("multipart/form-data; boundary=\"b\"", body, 8);
  if (parts) {
    for (const http::Part& part : *parts) {
      check(part.content.data() >= body.data() &&
            part.content.data() + part.content.size() <= body.data() + body.size());
    }
  }
  http::read_multipart(body.substr(0, 100), body, 8);
  const auto file = http::read_batch("b", body, "/v1/chat/completions", 100);
  simdjson::dom::parser parser;
  for (const auto& refused : file.refused) {
    check(parser.parse(refused.row).error() == simdjson::SUCCESS);
    check(refused.row.find('\n') == std::string::npos);
  }
  for (const auto& line : file.lines) {
    check(parser.parse(line.body).error() == simdjson::SUCCESS);
    const std::string row = http::row_of("b", line, 200, "r", "{\n}");
    check(parser.parse(row).error() == simdjson::SUCCESS);
    check(row.find('\n') == std::string::npos);
  }
  return 0;
}
