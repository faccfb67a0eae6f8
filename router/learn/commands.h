// The commands that need nothing but the router: train, evaluate, policy, plan, probes,
// learn, learn-gate.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace router {

/// Adds them to `app`. `status` gets the exit status: 0, or 1 where a report says no (a gate that
/// does not hold). Errors are exceptions of std::runtime_error. Both outlive the parse.
void add_commands(CLI::App& app, int& status);
void add_policy_commands(CLI::App& app, int& status);  // part of them, in commands_policy.cpp
void add_plan_commands(CLI::App& app, int& status);    // and in commands_plan.cpp

/// A bar on a terminal, nothing in a pipe.
void show_progress(const std::string& stage, double done);

}  // namespace router
