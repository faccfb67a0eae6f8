// What panels of several experts would have answered, from the recorded answers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "router/learn/play.h"

namespace router {

/// `panel` asks in waves and stops early, as the corridor does; `panel_fixed` counts the same votes
/// after asking all k; `plurality` counts heads after asking all k. At most `k` experts a row.
/// Rows without readable answers get the first expert's. Empty, with a note, where no row has two.
std::vector<Play> play_panels(const Policy& policy, const EvaluateOptions& options,
                              const Trial& trial, std::vector<std::string>& notes);

}  // namespace router
