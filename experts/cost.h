// Tokens to money. Pure.
#pragma once

#include <cstdint>

#include "experts/call.h"
#include "experts/options.h"

namespace experts {

/// Micro-usd, rounded to the nearest; 0 when the usage is unknown.
std::int64_t cost_of(const Usage& usage, const Prices& prices);

}  // namespace experts
