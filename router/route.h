// The decision about one query: who is asked, in which order, and why. Plain numbers, no prose.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace router {

/// Why a candidate cannot be chosen for this query; `none` when it can.
enum class Bar : std::uint8_t {
  none,
  absent /* in the policy, not in the pool */,
  unhealthy,
  context /* prompt too long */,
  capability,
  cost,
  latency,
  pool /* not a member */,
  disabled,
  shadow /* weighed like the others, but not its turn: PoolExpert::share */
};

/// Why the first choice is what it is.
enum class Reason : std::uint8_t {
  learned,   // the best expected utility, and the guard let it pass
  guarded,   // the guard kept the best single expert
  declared,  // no policy: the pool's declared skills
  fallback,  // no policy, nothing declared: the pool's default expert
  asked,     // the client named the expert
  only_one,  // a single eligible expert
  explored,  // drawn at random with the logged propensity
  nobody,    // no eligible expert: see the bars
  outside    // unlike all that the policy was trained on, and the pool answers that itself
};

struct SkillShare {
  std::uint32_t skill = 0;  // index into the policy's skills; the last one is `general`
  float share = 0;          // sums to 1 over the list and the rest that is not listed
};

struct Candidate {
  std::uint32_t expert = 0;  // index into the PoolView that decide() was given
  float p_correct = 0;       // calibrated probability that its answer is right
  float p_lo = 0, p_hi = 0;  // 90% interval
  float utility = 0;         // value * p_correct - price - latency - load; order of candidates
  float cost_microusd = 0;   // expected, this query
  float skill_term = 0;      // p_correct from the skill profile alone
  float word_term = 0;       // p_correct from the query's own words, without its skills
  float support = 0;         // effective number of outcomes behind p_correct
  Bar bar = Bar::none;
};

struct Route {
  std::vector<SkillShare> skills;     // largest first, at most 5
  std::vector<Candidate> candidates;  // eligible ones first, best utility first; then the barred
  std::uint32_t k = 1;                // how many of them are asked
  Reason reason = Reason::nobody;
  bool abstained = false;    // the guard kept the default expert, or the pool asks nobody
  bool outside = false;      // unlike all that the policy was trained on (is_outside())
  bool with_vector = false;  // the query's vector counted, see Policy::dense
  float gain_lo = 0;         // lower bound of the gain over the default expert that the guard saw
  float general = 0;         // share of the query's words that training never saw
  float propensity = 1;      // probability of this first choice under the policy and its seed
  std::uint64_t policy_version = 0;  // 0: no policy
  std::uint64_t features_hash = 0;   // of the extracted features, to detect skew on replay; 0: none

  /// Number of leading candidates that may be asked.
  std::uint32_t eligible() const {
    std::uint32_t count = 0;
    while (count < candidates.size() && candidates[count].bar == Bar::none) ++count;
    return count;
  }
};

}  // namespace router
