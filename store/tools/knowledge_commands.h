// `skillyard knowledge`: add, list, search, delete, export.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace store {

/// Adds the commands to `app`, which runs them. `data_dir` is where the file is without --data.
/// Results go to stdout, progress and what was left out to stderr. Errors are std::runtime_error.
void add_knowledge_commands(CLI::App& app, const std::string& data_dir);

}  // namespace store
