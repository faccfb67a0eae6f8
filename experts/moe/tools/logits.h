// `skillyard model logits FILE.gguf --cases FILE.json --out OUT.npy [--batch]`: how anybody checks
// the engine against exact logits.
#pragma once

#include <cstddef>
#include <filesystem>

namespace moe::tools {

struct LogitsOptions {
  std::filesystem::path model, cases, out;
  bool batch = false;  // all prompts step together; else one after another, one token a step
  int threads = 2;
  bool coarse = false;  // see EngineOptions
};

struct LogitsReport {
  std::size_t rows = 0, vocabulary = 0;
};

/// Reads {"prompts": [{"tokens": [...], "greedy": [...]}]}, feeds tokens + greedy of each prompt,
/// and writes the logits after every token as a float32 .npy array [rows, vocabulary], prompts in
/// order. Throws std::runtime_error with an operator's sentence for a file it cannot use.
LogitsReport write_logits(const LogitsOptions& options);

}  // namespace moe::tools
