#include "experts/cost.h"

#include <algorithm>
#include <cmath>

namespace experts {

std::int64_t cost_of(const Usage& usage, const Prices& prices) {
  if (!usage.known) return 0;
  const std::int64_t cached = std::clamp<std::int64_t>(usage.cached_tokens, 0, usage.prompt_tokens);
  const std::int64_t cached_price = prices.cached < 0 ? prices.in : prices.cached;
  const auto product = [](std::int64_t tokens, std::int64_t price) {
    return static_cast<double>(tokens) * static_cast<double>(price);
  };
  const double millionths = product(usage.prompt_tokens - cached, prices.in) +
                            product(cached, cached_price) +
                            product(usage.completion_tokens, prices.out);
  return std::llround(std::clamp(millionths / 1e6, 0.0, 1e15));
}

}  // namespace experts
