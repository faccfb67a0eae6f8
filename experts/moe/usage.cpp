#include "experts/moe/usage.h"

#include <cmath>

namespace moe {

namespace {

constexpr double kHalfLifeSteps = 100;
constexpr double kGainMax = 1e100;  // then everything is scaled down

}  // namespace

Usage::Usage(std::size_t experts, Evict evict) : worth_(experts, 0), evict_(evict) {}

void Usage::begin_step() {
  if (evict_ == Evict::lru) return;
  static const double kGrowth = std::exp2(1 / kHalfLifeSteps);
  gain_ *= kGrowth;
  if (gain_ < kGainMax) return;
  for (double& worth : worth_) worth /= gain_;
  gain_ = 1;
}

void Usage::use(std::size_t expert) {
  worth_[expert] = evict_ == Evict::lru ? ++gain_ : worth_[expert] + gain_;
}

}  // namespace moe
