// Whether a server can be reached and answers: for an administrator, before an expert is asked.
#pragma once

#include <string>
#include <vector>

#include "experts/call.h"
#include "experts/options.h"

namespace experts {

struct Checked {
  bool listed = false;              // GET /models worked
  std::vector<std::string> models;  // that it lists, for chat
  Reply reply;                      // to a call of one word and one token
};

/// Blocks for at most about twice `wait_ms`. On connections of its own: breaker, counters and
/// estimates of the running expert see nothing of it. `options.kind` is remote. Throws
/// std::runtime_error when the url, a header or the key is no good.
Checked check(ExpertOptions options, int wait_ms);

}  // namespace experts
