// Who is in memory when not all experts fit, and who is served when: requests are collated by
// expert, so that one load is paid for many of them, and nobody waits longer than a bound.
//
// A deterministic state machine without threads, clocks or I/O: every event comes with its time,
// what must be done goes into a list. The caller carries the actions out and reports back: a load
// with loaded(), an unload with unloaded(), a dispatched request with finish(). Collation by loaded
// expert is the systems idea of Symbolic-MoE (arXiv 2503.05641), here online and bounded.
//
// The bound: a request is dispatched, or refused, within wait_ms_max plus one load of its expert
// (the longer of the expected and the real one). Loads run one at a time; the order of the loads
// that must come is by their latest start (earliest deadline first), and another load is put before
// them only while all of them can still start in time. arrive() refuses at once what would not fit
// into that order. Not bounded by this class: how long a dispatched request runs.
//
// Times are microseconds of one clock that never runs backwards. Not thread-safe.
#pragma once

#include <cstdint>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "experts/options.h"

namespace experts {

inline constexpr std::int64_t kNeverUs = INT64_MAX / 4;

/// What the machine is told about an expert. `load_us` is a guess until the first load was timed.
struct ResidentSpec {
  std::int64_t bytes = 0;
  std::int64_t load_us = 1'000'000;
  int concurrency_max = 64;  // dispatched and not finished
  int queue_max = 1024;      // waiting, batches apart; more are refused
  bool load_timed = true;    // false: loaded() comes at once, `load_us` is what it will cost
};

enum class LoadState : std::uint8_t { unloaded, loading, resident, draining };

std::string_view name_of(LoadState state);

enum class Refusal : std::uint8_t {
  none,
  queue_full,
  too_late,     // its deadline, or wait_ms_max, cannot be met: said at once
  expired,      // waited wait_ms_max plus a load, against the expectation
  load_failed,  // its expert could not be loaded, or is not tried again yet
  too_large,    // its expert alone is over bytes_max
  removed       // its expert is no longer in the pool
};

/// An operator's words for it.
std::string_view sentence_of(Refusal refusal);

struct Arrival {
  int expert = 0;
  std::int64_t deadline_us = kNeverUs;  // of the answer
  std::uint64_t panel = 0;              // requests with the same one are wanted together; 0: alone
  bool batch = false;  // comes after everybody else, has no bound; its sender limits their number
};

struct Action {
  enum class Kind : std::uint8_t { load, unload, dispatch, refuse };
  Kind kind = Kind::dispatch;
  int expert = 0;
  std::uint64_t request = 0;  // of dispatch and refuse
  Refusal why = Refusal::none;
  std::int64_t retry_after_us = 0;  // of refuse: when it may go better
};

using Actions = std::vector<Action>;  // in order

struct ResidentView {
  LoadState state = LoadState::unloaded;
  int waiting = 0;
  int inflight = 0;
  std::int64_t bytes = 0;
  std::int64_t load_us = 0;           // expected
  std::int64_t expected_wait_us = 0;  // of a request that would arrive now
};

class Residency {
 public:
  explicit Residency(const ResidencyOptions& options);

  /// Whether the index names an expert: not after remove() and its unload.
  bool knows(int expert) const { return slots_[static_cast<std::size_t>(expert)].known; }

  /// The index that names it from now on; indices of experts that are gone are used again.
  int add(const ResidentSpec& spec);

  /// Refuses what waits; unloads when what runs has finished.
  void remove(std::int64_t now, int expert, Actions& out);

  /// As if remove() had not been: for an expert that is wanted again before it was out.
  void restore(std::int64_t now, int expert, Actions& out);

  /// A new request; its action may be among `out` already. Never 0.
  std::uint64_t arrive(std::int64_t now, const Arrival& arrival, Actions& out);

  /// Nobody wants it any more. Waiting: forgotten; dispatched: as finish() without its duration.
  void cancel(std::int64_t now, std::uint64_t request, Actions& out);
  void finish(std::int64_t now, std::uint64_t request, Actions& out);

  void loaded(std::int64_t now, int expert, bool ok, Actions& out);
  void unloaded(std::int64_t now, int expert, Actions& out);

  /// What time alone changes. Wanted at wake_us() at the latest, harmless at any time.
  void tick(std::int64_t now, Actions& out);
  std::int64_t wake_us(std::int64_t now) const;

  /// A request for `expert` may come soon, with a probability of `chance` (the second wave of a
  /// panel): it counts as that part of a request in what is loaded ahead and what stays. Taken back
  /// by the same below zero.
  void expect(std::int64_t now, int expert, double chance, Actions& out);

  ResidentView view(std::int64_t now, int expert) const;
  bool fits_all() const;  // nothing ever needs to be unloaded

  std::int64_t bytes() const { return bytes_; }

  int count() const { return count_; }  // experts that take memory now

  std::size_t waiting() const { return waiting_.size(); }

 private:
  struct Waiting {
    int expert = 0;
    std::int64_t due = 0;  // the latest start of a load for it
    std::uint64_t panel = 0;
    std::int64_t weight = 0;
  };

  struct Running {
    int expert = 0;
    std::int64_t since = 0;
    bool urgent = false;  // not batch
  };

  struct Panel {
    std::vector<std::uint64_t> waiting;
  };

  struct Slot {
    ResidentSpec spec;
    LoadState state = LoadState::unloaded;
    bool known = true;  // false: the index is free
    bool removed = false;
    bool unloading = false;
    std::set<std::pair<std::int64_t, std::uint64_t>> queue;  // (due, request); batch at the end
    int urgent = 0;                                          // of the queue: not batch
    std::int64_t weight = 0;                                 // of those
    int inflight = 0;
    int inflight_urgent = 0;
    std::int64_t since = 0;  // in this state
    std::int64_t retry_at = 0;
    int failures = 0;          // loads, in a row
    std::int64_t service = 0;  // mean duration of a dispatched request; 0: not known
    double expected = 0;       // requests that may come soon
    double rate = 0;           // arrivals per microsecond, decaying
    std::int64_t rate_at = 0;
    bool timed = false;  // spec.load_us was measured
  };

  // residency.cpp: events
  void refuse(std::int64_t now, std::uint64_t request, Refusal why, Actions& out);
  void refuse_queue(std::int64_t now, int expert, Refusal why, Actions& out);
  void forget(std::uint64_t request);
  void weigh(const Panel& panel);
  void serve(std::int64_t now, int expert, Actions& out);
  bool loads_in_time(const Slot& slot) const;
  void note_arrival(std::int64_t now, Slot& slot);
  void expire(std::int64_t now, Actions& out);
  void end(std::int64_t now, std::uint64_t request, bool timed, Actions& out);
  void step(std::int64_t now, Actions& out);

  // residency_choice.cpp: what to load next, and instead of whom
  struct Due {
    std::int64_t at = 0;
    int expert = 0;
  };

  struct Choice {
    int expert = -1;
    std::vector<int> victims;
  };

  Choice choose(std::int64_t now) const;
  Choice choose_batch(std::int64_t now) const;
  Choice choose_ahead(std::int64_t now) const;
  bool find_victims(std::int64_t now, int expert, bool forced, Choice& choice, double& loss) const;
  std::vector<Due> dues(std::int64_t now, int without = -1) const;
  bool in_time(const std::vector<Due>& order, std::int64_t from) const;
  std::int64_t loader_free(std::int64_t now) const;
  std::int64_t turnaround() const;
  std::int64_t queue_wait(const Slot& slot, std::size_t before) const;
  std::int64_t expected_start(std::int64_t now, int expert) const;
  Refusal admit(std::int64_t now, const Arrival& arrival, std::int64_t due) const;
  double arrivals(const Slot& slot, std::int64_t now, std::int64_t within) const;
  bool may_load(const Slot& slot, std::int64_t now) const;
  bool fits(const Slot& slot) const;

  const ResidencyOptions options_;
  const std::int64_t wait_us_;
  std::vector<Slot> slots_;
  std::unordered_map<std::uint64_t, Waiting> waiting_;
  std::unordered_map<std::uint64_t, Running> running_;
  std::unordered_map<std::uint64_t, Panel> panels_;
  std::uint64_t last_request_ = 0;
  int target_ = -1;     // to be loaded when what drains for it is out, or loading
  bool ahead_ = false;  // nobody waited for it when it was chosen
  std::int64_t bytes_ = 0;
  int count_ = 0;
  std::int64_t service_us_ = 0;  // mean over all experts
};

}  // namespace experts
