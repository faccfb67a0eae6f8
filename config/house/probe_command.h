// `skillyard expert probe`: graded questions to an expert of a running service, or, without one, to
// all experts that are configured.
#pragma once

#include <string>

#include "config/house/house.h"

namespace CLI {
class App;
}

namespace house {

/// What says who the experts are: the options of `serve`, `route`, `ask`, `batch` and `probe`.
void add_options(CLI::App& command, Args& args);

/// An outcome file; as gzip where the name says so. Throws std::runtime_error.
void write_outcomes(const std::string& path, const std::string& lines);

/// Adds it to the `expert` commands, which add_admin_commands() made. `status` becomes 1 when no
/// expert answered. Wrong options, experts or files: exceptions of std::runtime_error.
void add_probe_command(CLI::App& app, int& status);

}  // namespace house
