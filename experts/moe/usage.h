// How much each expert is worth keeping: a number that grows with use and fades with time. The
// expert store and the replay of traces rank by the same numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "experts/moe/options.h"

namespace moe {

/// Exponentially decayed counts (LRFU: Lee et al. 2001): with a long half-life the least frequently
/// used goes first, with a short one the least recently used. Instead of fading all counts every
/// step, a use adds more than an earlier one did; ranks are the same.
class Usage {
 public:
  Usage(std::size_t experts, Evict evict);

  void begin_step();

  void use(std::size_t expert);

  /// Higher is worth more. Comparable until the next begin_step().
  double worth(std::size_t expert) const { return worth_[expert]; }

 private:
  std::vector<double> worth_;
  Evict evict_;
  double gain_ = 1;  // of one use now; for lru the time
};

}  // namespace moe
