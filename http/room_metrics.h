// What the other rooms count, in Prometheus' text form. Labels are pool names and outcome words
// only.
#pragma once

#include <string>

#include "experts/roster.h"
#include "store/journal.h"

namespace http {

/// Per expert: health, load, calls by outcome, retries, tokens, cost.
void append_metrics(const experts::Roster& roster, std::string& out);

/// The log: rows accepted, committed, dropped, waiting.
void append_metrics(const store::JournalCounts& counts, std::string& out);

}  // namespace http
