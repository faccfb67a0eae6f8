// `skillyard model tokenize FILE.gguf --cases FILE.json --out IDS.json`: how anybody checks the
// tokenizer against another one.
#pragma once

#include <cstddef>
#include <filesystem>

namespace moe::tools {

struct TokenizeReport {
  std::size_t cases = 0;
  std::size_t compared = 0;  // cases that carry expected ids
  std::size_t equal = 0;     // of those
};

/// Reads {"add_special", "parse_special", "cases": [{"text", "ids"?}]}, encodes every text with the
/// file's vocabulary and writes a JSON array of id arrays in the order of the cases, one a line.
/// Throws std::runtime_error with an operator's sentence for a file it cannot use.
TokenizeReport tokenize_cases(const std::filesystem::path& model,
                              const std::filesystem::path& cases, const std::filesystem::path& out);

}  // namespace moe::tools
