// Angles of the rotary position embedding.
#pragma once

#include <vector>

#include "experts/moe/config.h"

namespace moe {

/// Radians a position turns each of the rope.dims / 2 pairs, YaRN and the file's own `factors`
/// (empty: none) included.
std::vector<double> rope_frequencies(const Rope& rope, const std::vector<float>& factors);

}  // namespace moe
