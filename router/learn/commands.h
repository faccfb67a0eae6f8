// The commands that need nothing but the router: train, evaluate.
#pragma once

namespace CLI {
class App;
}

namespace router {

/// Adds them to `app`. `status` gets the exit status: 0, or 1 where a report says no (a gate that
/// does not hold). Errors are exceptions of std::runtime_error. Both outlive the parse.
void add_commands(CLI::App& app, int& status);

}  // namespace router
