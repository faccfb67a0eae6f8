// A scripted expert: answers, delays and faults without a network, for the tests of everybody who
// asks experts. Give `stub_maker(script)` to a Pool whose entries have Kind::stub.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "experts/expert.h"
#include "experts/pool.h"

namespace experts {

struct StubAnswer {
  Outcome outcome = Outcome::ok;
  std::string content;  // streamed word by word
  std::string finish_reason = "stop";
  Usage usage{10, 5, 0, true};
  int delay_ms = 0;             // before the reply or its first event
  int event_delay_ms = 0;       // before each further event
  int events_before_fault = 0;  // streamed and not ok: so many events come first
  int status = 200;
  int retry_after_s = -1;
  std::string error_body;  // Reply::wire when refused or filtered
};

/// What the expert of that name says to a call.
using StubScript = std::function<StubAnswer(std::string_view name, const Call& call)>;

ExpertMaker stub_maker(StubScript script);

}  // namespace experts
