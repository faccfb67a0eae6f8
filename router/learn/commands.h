// The commands that need nothing but the router: train, evaluate, policy, plan, probes,
// learn, learn-gate.
#pragma once

#include <functional>
#include <string>

#include "router/vectors.h"

namespace CLI {
class App;
}

namespace router {

/// Where commands get vectors (`--encoder`, `--vectors`).
struct EncoderArgs {
  std::string encoder;  // NAME=URL[,model=NAME][,key-env=VARIABLE]; empty: only those that are kept
  std::string file;     // that keeps them; empty: the usual one
};

struct EncoderDoor {
  std::string encoder;  // what its vectors are recorded under; empty: none was named
  VectorsOf vectors;
};

/// Throws std::runtime_error for an encoder that is not one.
using MakeEncoder = std::function<EncoderDoor(const EncoderArgs& args)>;

/// Adds them to `app`. `status` gets the exit status: 0, or 1 where a report says no (a gate that
/// does not hold). Errors are exceptions of std::runtime_error. All outlive the parse.
void add_commands(CLI::App& app, int& status, const MakeEncoder& make_encoder);
// Part of them, in commands_policy.cpp.
void add_policy_commands(CLI::App& app, int& status, const MakeEncoder& make_encoder);
void add_encoder_options(CLI::App& command, EncoderArgs& args);
void add_plan_commands(CLI::App& app, int& status);  // and in commands_plan.cpp

/// A bar on a terminal, nothing in a pipe.
void show_progress(const std::string& stage, double done);

}  // namespace router
