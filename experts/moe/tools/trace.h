// `skillyard model trace FILE.gguf --text TEXT --out TRACE` and `skillyard model replay TRACE`:
// where a model sends a text, and what a store of expert slots would make of it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <iosfwd>

#include "experts/moe/options.h"

namespace moe::tools {

struct TraceOptions {
  std::filesystem::path model, text, out;
  int tokens = 4096;  // of the text, at most
  int window = 512;   // tokens of one sequence; the text is cut into sequences
  int sequences = 1;  // that step together, one token each
  int threads = 2;
  StoreOptions store;  // bytes_max > 0: run through an expert store, and say what it did
};

/// Feeds the text token by token, as a reply is made, writes the trace and says what was measured.
void trace(const TraceOptions& options, std::ostream& out);

/// Hit ratios of every policy at several sizes, the optimum and how skewed and sticky the routing
/// is.
void replay(const std::filesystem::path& trace, std::ostream& out);

}  // namespace moe::tools
