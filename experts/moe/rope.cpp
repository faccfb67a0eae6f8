#include "experts/moe/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace moe {

namespace {

/// YaRN (arXiv 2309.00071): the pair at which a rotation of `turns` over the original context lies.
double yarn_pair(const Rope& rope, double turns) {
  return rope.dims * std::log(rope.context_original / (turns * 2 * std::numbers::pi)) /
         (2 * std::log(static_cast<double>(rope.base)));
}

}  // namespace

std::vector<double> rope_frequencies(const Rope& rope, const std::vector<float>& factors) {
  const std::size_t pairs = static_cast<std::size_t>(rope.dims / 2);
  const double low = std::max(0.0, std::floor(yarn_pair(rope, rope.beta_fast)));
  const double high = std::min(rope.dims - 1.0, std::ceil(yarn_pair(rope, rope.beta_slow)));
  std::vector<double> frequencies(pairs);
  for (std::size_t i = 0; i < pairs; ++i) {
    double plain =
        std::pow(static_cast<double>(rope.base), -2.0 * static_cast<double>(i) / rope.dims);
    if (!factors.empty()) plain /= factors[i];
    const double scaled = plain * rope.frequency_scale;
    double keep = 0;  // share of the unscaled frequency
    if (rope.yarn) {
      keep = 1 - std::clamp((static_cast<double>(i) - low) / std::max(0.001, high - low), 0.0, 1.0);
    }
    frequencies[i] = scaled * (1 - keep) + plain * keep;
  }
  return frequencies;
}

}  // namespace moe
