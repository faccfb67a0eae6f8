// The commands that administer a running service: expert, pool, key, versions, rollback, policy.
#pragma once

namespace CLI {
class App;
}

namespace house {

/// Adds them to `app`. `status` gets the exit status: 0, or 1 when the service refused (it says why
/// on stderr). No service there, or a wrong command line: exceptions of std::runtime_error. Both
/// outlive the parse.
void add_admin_commands(CLI::App& app, int& status);

}  // namespace house
