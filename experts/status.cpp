#include "experts/status.h"

namespace experts {
namespace {

bool names_content_policy(const UpstreamError& error) {
  for (const std::string_view mark : {"content_policy", "content_filter", "content_moderation"}) {
    if (error.code.find(mark) != error.code.npos) return true;
  }
  return false;
}

}  // namespace

Outcome outcome_of(int status, const UpstreamError& error) {
  if (status < 300 && error.status != 0) status = error.status;
  if (names_content_policy(error) && status < 500) return Outcome::filtered;
  switch (status) {
    case 401:
    case 402:
    case 403:
      return Outcome::credentials;
    case 408:
    case 504:
      return Outcome::timed_out;
    case 425:
    case 502:
    case 503:
    case 529:
      return Outcome::overloaded;
    case 429:
      return Outcome::limited;
    default:
      break;
  }
  if (status >= 400 && status < 500) return Outcome::refused;
  if (status >= 500 || error.present) return Outcome::failed;
  return Outcome::malformed;
}

bool is_retryable(Outcome outcome, const UpstreamError& error) {
  switch (outcome) {
    case Outcome::limited:
      return error.code != "insufficient_quota";
    case Outcome::overloaded:
    case Outcome::failed:
    case Outcome::unreachable:
    case Outcome::cut:
      return true;
    case Outcome::ok:
    case Outcome::refused:
    case Outcome::filtered:
    case Outcome::credentials:
    case Outcome::timed_out:
    case Outcome::malformed:
    case Outcome::cancelled:
    case Outcome::open_circuit:
      return false;
  }
  return false;
}

}  // namespace experts
