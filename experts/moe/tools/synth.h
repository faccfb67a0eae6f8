// `skillyard model synth --shape NAME --type NAME --out FILE.gguf`: random-weight models of real
// shapes, for speed and memory measurements. Types and bytes are a real file's; the text such a
// model writes is noise.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace moe::tools {

struct SynthOptions {
  std::string shape = "olmoe-1b-7b";  // or qwen3-30b-cut, mid, tiny
  std::string type = "Q4_K_M";        // or Q8_0
  std::filesystem::path out;
  int layers = 0;  // 0: the shape's own
  std::uint64_t seed = 1;
};

/// Returns the file's size. Throws std::runtime_error for an unknown shape or type, or a file that
/// cannot be written. Equal options give equal bytes.
std::uint64_t synth(const SynthOptions& options);

}  // namespace moe::tools
