// Completion of the command line in a shell, made from the commands and options that there are.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace house {

/// A script for `bash`, `zsh` or `fish`; throws std::runtime_error for any other shell.
std::string completion_script(const CLI::App& app, const std::string& shell);

/// Adds `completion SHELL`, which prints the script for `app` and all its commands.
void add_completion_command(CLI::App& app);

}  // namespace house
