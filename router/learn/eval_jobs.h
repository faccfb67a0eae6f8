// Evaluations as jobs of the service: one at a time, on a thread of its own at low priority, with
// progress and cancellation; what came of them is in the store.
//
// Any thread; start() and cancel() block on the disk.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "router/learn/evaluate.h"
#include "store/eval_book.h"

namespace router {

struct EvalJob {
  store::EvalRun run;  // id, request and created_us are set by the caller
  EvaluateOptions options;
  PolicyPtr policy;
  std::string gate;  // of router/learn/gate_expression.h; empty: none
};

class EvalJobs {
 public:
  static constexpr std::size_t kQueueMax = 16;

  /// `book` outlives it.
  explicit EvalJobs(store::EvalBook& book);
  /// What waits or runs is cancelled.
  ~EvalJobs();

  /// False: the queue is full.
  bool start(EvalJob job);

  /// Before it began: at once; while it runs: at its next step. False: it is not under way.
  bool cancel(const std::string& id);

  struct Progress {
    std::string stage;
    double done = 0;  // 0..1
  };

  /// nullopt: it is not running.
  std::optional<Progress> progress(const std::string& id) const;

 private:
  void work();
  void run(EvalJob& job);

  store::EvalBook& book_;
  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<EvalJob> queue_;
  std::string running_;  // id; empty: none
  Progress progress_;    // of it
  std::atomic<bool> cancelled_ = false;
  bool ending_ = false;
  std::thread worker_;  // last: runs on everything above
};

}  // namespace router
