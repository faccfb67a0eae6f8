// `skillyard model inspect FILE.gguf`: what the model is, how it routes, and what memory it needs.
#pragma once

#include <filesystem>
#include <iosfwd>

namespace moe::tools {

/// Throws std::runtime_error with the reason for a file that the engine cannot run.
void inspect(const std::filesystem::path& model, std::ostream& out);

}  // namespace moe::tools
