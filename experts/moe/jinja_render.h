// Runs a parsed template.
#pragma once

#include <string>

#include "experts/moe/jinja_builtins.h"
#include "experts/moe/jinja_parser.h"

namespace moe::jinja {

/// The text of `body` with the variables `globals`. Throws Error with a line; at most
/// Budget::bytes of output, Budget::steps of work.
std::string render(const Body& body, Dict globals, Runtime& runtime, int macro_depth_max);

}  // namespace moe::jinja
