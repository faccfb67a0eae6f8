// What may be set in this room, with the documented defaults.
#pragma once

#include <cstddef>
#include <cstdint>

namespace aggregator {

/// Bounds of what is read out of replies and queries that nobody controls.
struct ReadLimits {
  std::size_t reply_bytes_max = 64 * 1024;  // of a longer reply its last part is read
  std::size_t query_bytes_max = 64 * 1024;  // of a longer query its last part is read
  std::size_t options_max = 64;             // of a multiple-choice question
  std::size_t option_bytes_max = 2'000;
  std::size_t key_bytes_max = 2'000;  // a longer answer is no short answer: not found
  std::size_t list_items_max = 200;
  std::size_t json_depth_max = 64;
  std::size_t json_bytes_max = 64 * 1024;
};

constexpr double kDecideNever = 2;  // for `decide_at`: no posterior reaches it

struct BallotRules {
  double correlation = 0.4;       // mean phi of the experts' outcomes; 0: independent
  double decide_at = 0.97;        // posterior at which the rest is not waited for
  double rest_counts = 1;         // share of the waiting weight that the leader must stand
                                  // against; below 1: the rest will not all say the same
  std::uint32_t replies_min = 1;  // readable votes before the posterior may decide
  double weight_min = -1;         // of one expert's log-odds
  double weight_max = 4;
  std::uint32_t open_choices = 11;  // an open question counts as one with that many options
};

struct FuseRules {
  double interval_share = 0.8;   // of the weight that the interval of a fused number holds
  double field_share_min = 0.5;  // of the weight that must have a JSON field for it to be kept
  std::size_t depth_max = 16;    // of a JSON document; deeper parts are voted on whole
};

struct SynthesisRules {
  std::size_t answer_bytes_max =
      24 * 1024;  // of each answer shown; the middle of a longer one is cut
  std::size_t question_bytes_max = 64 * 1024;
  std::size_t answers_max = 8;
};

}  // namespace aggregator
