// `skillyard bench-aggregators`: the test of router/learn/reader_bench.h on the configured experts.
#pragma once

namespace CLI {
class App;
}

namespace house {

/// Adds the command to `app`. What cannot be done: exceptions of std::runtime_error.
void add_bench_command(CLI::App& app);

}  // namespace house
