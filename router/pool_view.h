// What decide() sees of the pool: plain values, kept by the corridor and refreshed as health, load
// and latency move. Bound to a policy once (bind in router/guard.h), not per query.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace router {

/// What an expert can do besides plain text; bits of PoolExpert::capabilities.
enum Capability : std::uint32_t {
  kCanTools = 1,
  kCanJsonSchema = 2,
  kCanImages = 4,
  kCanLogprobs = 8,
  kCanMany = 16,  // n > 1
  kCanAll = 31
};

struct PoolExpert {
  std::string name;
  std::int64_t price_in_microusd = 0;   // per 1M tokens
  std::int64_t price_out_microusd = 0;  // per 1M tokens
  std::int64_t context_tokens = 0;      // 0: not known, no limit
  std::uint32_t capabilities = kCanAll;
  bool healthy = true;
  bool enabled = true;
  bool member = true;                 // of the pool that the query names
  float share = 1;                    // of its wins that it gets; 0: it is weighed, never chosen
  float latency_ms = 0;               // expected; 0: not known
  float load = 0;                     // share of its concurrency in use, 0..1
  float load_wait_ms = 0;             // expected until it is in memory; 0: it is there
  std::vector<std::uint32_t> skills;  // declared, indices into the policy made of the cards
  std::int32_t policy_expert = -1;    // index into Policy::experts; -1: absent from it

  // Set by bind(): what the guard found on the policy's own held-out predictions.
  float margin = 0;     // leave the default for this expert only above this gain
  bool probed = false;  // known from probes alone, not from the rows that the guard replays
};

/// What the guard found on held-out predictions (router/guard.h).
struct Guarded {
  bool guarded = false;  // no gain that can be trusted: default only
  float margin = 0;      // of all experts but those that are known from probes alone
  float gain_mean = 0, gain_lo = 0;
};

struct PoolView {
  std::vector<PoolExpert> experts;
  std::uint32_t default_expert = 0;  // kept when nothing better is known; index into experts
  double quality = 1;                // where the query does not say: 1 = best, 0 = cheapest
  double value_microusd = 0;         // what a right answer is worth; 0: only quality weighs price
  double load_penalty = 0.02;        // utility lost at load 1, and at a load_wait_ms of ten seconds
  double explore = 0;                // probability of a random eligible expert, logged
  bool answers_outside = false;      // queries that are outside: nobody is asked
  bool guarded = false;              // bind() found no gain that can be trusted: default only
  float gain_mean = 0, gain_lo = 0;  // held-out gain over the default expert that the guard saw
  Guarded by_words;  // the same for queries without a vector, where the policy needs one
};

}  // namespace router
