// Reads a multipart/form-data body (RFC 7578, RFC 2046 5.1). Pure; views point into the arguments.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace http {

struct Part {
  std::string name;
  std::string filename;  // empty: a plain field
  std::string_view content;
};

/// Nothing: not of this type, no boundary, no closing boundary, a part without a name, or more than
/// `parts_max` parts.
std::optional<std::vector<Part>> read_multipart(std::string_view content_type,
                                                std::string_view body, std::size_t parts_max);

}  // namespace http
