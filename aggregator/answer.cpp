#include "aggregator/answer.h"

namespace aggregator {

std::string_view name_of(Mode mode) {
  switch (mode) {
    case Mode::none:
      return "none";
    case Mode::single:
      return "single";
    case Mode::plurality:
      return "plurality";
    case Mode::weighted:
      return "weighted";
    case Mode::fused:
      return "fused";
    case Mode::synthesised:
      return "synthesised";
    case Mode::best_of:
      return "best_of";
  }
  return "unknown";
}

}  // namespace aggregator
