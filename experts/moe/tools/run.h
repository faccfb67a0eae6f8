// `skillyard model run FILE.gguf`: a prompt or a conversation on the terminal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <string>

#include "experts/moe/engine.h"

namespace moe::tools {

struct RunOptions {
  std::filesystem::path model;
  std::string prompt;    // continued as it is
  std::string message;   // answered once, by the chat template; with neither, lines of `in` are
  std::string system;    // before the conversation
  int tokens_max = 256;  // of one reply
  double temperature = 0.8;
  double top_p = 0.95;
  std::uint64_t seed = 0;
  EngineOptions engine;
};

/// Writes replies to `out` as they are made, and what they cost to `log`. Throws std::runtime_error
/// for a model or a request that cannot run.
void run(const RunOptions& options, std::istream& in, std::ostream& out, std::ostream& log);

}  // namespace moe::tools
