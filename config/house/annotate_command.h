// `skillyard annotate`: has an expert name the skills of the rows of an outcome file.
#pragma once

namespace CLI {
class App;
}

namespace house {

/// `status` becomes 1 when no row got a name. Wrong options, experts or files: exceptions of
/// std::runtime_error.
void add_annotate_command(CLI::App& app, int& status);

}  // namespace house
