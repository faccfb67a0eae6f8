// The rows of the store: flat structs, one per table, plain data. Money is integer micro-dollars,
// times are microseconds; `{}` lets designated initialisers leave fields out. Words (reason,
// outcome, ...) are stored as words, so that the database can be read without this program's
// enumerations.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace store {

/// One try of one expert, as it ended.
struct CallRow {
  std::string expert{};     // pool name
  std::string outcome{};    // experts::name_of(Outcome)
  std::int32_t status = 0;  // HTTP status of the last attempt, 0: none
  std::int32_t attempts = 0;
  bool usage_known = false;
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t cached_tokens = 0;
  std::int64_t cost_microusd = 0;
  std::int64_t queued_us = 0;
  std::int64_t first_byte_us = -1;  // -1: did not happen
  std::int64_t total_us = 0;
  std::string vote{};  // of a panel: the answer that was read out of the reply; empty: none

  bool operator==(const CallRow&) const = default;
};

/// One query: what was decided, why, and what came of it. The hot row.
struct Decision {
  std::string id{};          // as the client saw it, sortable by time, unique, 1..64 bytes
  std::int64_t unix_us = 0;  // when the query came in
  std::uint64_t query_hash = 0;
  std::string text{};  // the query's words; stored only with Options::keep_text

  std::string model{};               // what the client asked for
  std::string pool{};                // empty: a concrete expert was asked
  std::uint64_t policy_version = 0;  // 0: no policy
  std::uint64_t features_hash = 0;
  std::uint64_t seed = 0;
  std::string route{};    // skills and candidates with their terms, encoded by the router
  std::string reason{};   // of the first choice
  std::string gate{};     // what the retrieval gate said; empty: no gate
  double propensity = 1;  // of the first choice under the policy
  bool abstained = false;

  std::string expert{};   // whose words the client got; empty: nobody's
  std::string mode{};     // how the answer was made (aggregator::Mode)
  std::string outcome{};  // of the answer
  std::string finish_reason{};
  std::vector<CallRow> calls{};    // every call, fallbacks included, in order
  std::int64_t prompt_tokens = 0;  // sums over the calls
  std::int64_t completion_tokens = 0;
  std::int64_t cached_tokens = 0;
  std::int64_t cost_microusd = 0;
  std::int64_t decide_us = 0;       // features to route
  std::int64_t first_byte_us = -1;  // of the answer, from the start; -1: none was sent
  std::int64_t total_us = 0;
  bool stream = false;
  double confidence = 0;  // posterior that the answer is right; 0: not estimated
  bool changed = false;   // a panel gave another answer than its first expert

  bool operator==(const Decision&) const = default;
};

/// What a user says about an answer. Refers to a stored decision and goes when that goes.
struct Feedback {
  std::string decision_id{};
  std::int64_t unix_us = 0;
  double score = 0;              // 0..1
  std::string correct_answer{};  // empty: not said
  std::string comment{};
  std::string user_hash{};  // empty: unknown

  bool operator==(const Feedback&) const = default;
};

/// A graded result of one expert on one query. Outlives the decision it came from.
struct Outcome {
  std::string decision_id{};  // empty: the grade does not come from a decision of this log
  std::int64_t unix_us = 0;
  std::uint64_t query_hash = 0;
  std::string expert{};  // empty: the aggregated answer
  double score = 0;      // 0..1
  double weight = 1;
  std::string kind{};    // exact, human, judge, agreement, checklist, parse_failed
  std::string grader{};  // who or what graded

  bool operator==(const Outcome&) const = default;
};

/// One version of what was learned. Stored again under the same version, the new row replaces the
/// old.
struct PolicyRow {
  std::uint64_t version = 0;  // not 0
  std::uint64_t parent = 0;   // 0: none
  std::string status{};       // candidate, active, retired, rolled_back
  std::int64_t created_us = 0;
  std::string path{};  // file that holds it; empty: `bytes` does
  std::string bytes{};
  std::string sha256{};        // of the file or the bytes, hex
  std::string metrics_json{};  // what the comparison said
  std::string note{};          // why it was promoted or rolled back

  bool operator==(const PolicyRow&) const = default;
};

/// Rows that the journal had to drop: the gaps of the log, so that nobody takes it for complete.
struct Loss {
  std::int64_t since_us = 0;
  std::int64_t until_us = 0;
  std::int64_t rows = 0;
};

}  // namespace store
