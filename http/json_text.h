// Writing small pieces of JSON by hand, for the replies that are too hot for a document tree.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace http {

/// Appends `text` as a JSON string with its quotes. Bytes that are not UTF-8 are read as Latin-1,
/// so that the result is valid JSON whatever an expert or a client sent.
void append_string(std::string& out, std::string_view text);

void append_number(std::string& out, std::int64_t value);

/// Shortest text that reads back the same; `null` for NaN and infinities.
void append_number(std::string& out, double value);

}  // namespace http
