// `skillyard model bench FILE.gguf`: tokens a second of decoding and of prompts.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <vector>

namespace moe::tools {

struct BenchOptions {
  std::filesystem::path model;
  int threads = 2;
  bool coarse = false;  // see EngineOptions
  std::vector<int> decode = {1, 8, 32};  // sequences stepping together
  std::vector<int> prefill = {256};      // prompt lengths, one step each
  int steps = 8;                         // decode steps per round
  int rounds = 3;
};

/// Prints, for each setting, the median of the rounds and the best, in tokens a second over all
/// sequences, and the processor time of all threads per token. Random tokens; the first step of
/// each setting is not counted.
void bench(const BenchOptions& options, std::ostream& out);

}  // namespace moe::tools
