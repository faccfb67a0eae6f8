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
    case Mode::corrected:
      return "corrected";
    case Mode::notice:
      return "notice";
  }
  return "unknown";
}

std::optional<Mode> mode_named(std::string_view name) {
  for (auto mode = static_cast<std::uint8_t>(Mode::single);
       mode <= static_cast<std::uint8_t>(Mode::corrected); ++mode) {
    if (name_of(static_cast<Mode>(mode)) == name) return static_cast<Mode>(mode);
  }
  return {};
}

}  // namespace aggregator
