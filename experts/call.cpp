#include "experts/call.h"

namespace experts {

std::string_view name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::ok:
      return "ok";
    case Outcome::refused:
      return "refused";
    case Outcome::filtered:
      return "filtered";
    case Outcome::limited:
      return "limited";
    case Outcome::overloaded:
      return "overloaded";
    case Outcome::failed:
      return "failed";
    case Outcome::credentials:
      return "credentials";
    case Outcome::unreachable:
      return "unreachable";
    case Outcome::timed_out:
      return "timed_out";
    case Outcome::cut:
      return "cut";
    case Outcome::malformed:
      return "malformed";
    case Outcome::cancelled:
      return "cancelled";
    case Outcome::open_circuit:
      return "open_circuit";
  }
  return "unknown";
}

}  // namespace experts
