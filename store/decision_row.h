// A Decision to and from the columns of its table: the one place that knows their order.
#pragma once

#include <string>
#include <string_view>

#include "store/db.h"
#include "store/rows.h"

namespace store {

/// Columns of `decisions` in the order of bind_decision() and read_decision(); `seq` is not among
/// them.
inline constexpr std::string_view kDecisionColumns =
    "id, unix_us, pool, expert, model, outcome, reason, mode, gate, finish_reason, abstained, "
    "stream, propensity, policy_version, query_hash, features_hash, seed, prompt_tokens, "
    "completion_tokens, cached_tokens, cost_microusd, decide_us, first_byte_us, total_us, calls, "
    "route";
inline constexpr int kDecisionColumnCount = 26;

/// Binds places 1 .. kDecisionColumnCount. `row` and `calls_bytes` (scratch) must outlive the step.
void bind_decision(Statement& statement, const Decision& row, std::string& calls_bytes);

/// Reads columns from `first` on; `text` is not touched. Returns what is damaged, empty: nothing.
std::string read_decision(const Statement& statement, int first, Decision& row);

}  // namespace store
