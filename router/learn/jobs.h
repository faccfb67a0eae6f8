// What takes long, as jobs of the service: evaluations, training, learning from the log, probes.
// One at a time, on a thread of its own at low priority, with progress and cancellation; what came
// of them is in the store.
//
// Any thread; start() and cancel() block on the disk.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include "router/learn/evaluate.h"
#include "store/eval_book.h"

namespace router {

/// Called by a job as it goes on. Throws JobCancelled when the job was cancelled.
using JobProgress = std::function<void(const std::string& stage, double done)>;

struct JobCancelled : std::runtime_error {
  JobCancelled() : std::runtime_error("cancelled") {}
};

struct JobResult {
  std::string report;  // JSON
  std::string html;    // one page; may be empty
};

struct Job {
  store::EvalRun run;  // id, request and created_us are set by the caller
  /// Throws std::runtime_error with an operator's sentence: the job has failed.
  std::function<JobResult(const JobProgress& progress)> work;
};

/// Judges `policy`; `gate`: of router/learn/gate_expression.h, may be empty.
JobResult run_evaluation(const Policy& policy, EvaluateOptions options, const std::string& gate,
                         const JobProgress& progress);

class Jobs {
 public:
  static constexpr std::size_t kQueueMax = 16;

  /// `book` outlives it.
  explicit Jobs(store::EvalBook& book);
  /// What waits or runs is cancelled.
  ~Jobs();

  /// False: the queue is full.
  bool start(Job job);

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
  void run(Job& job);

  store::EvalBook& book_;
  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Job> queue_;
  std::string running_;  // id; empty: none
  Progress progress_;    // of it
  std::atomic<bool> cancelled_ = false;
  bool ending_ = false;
  std::thread worker_;  // last: runs on everything above
};

}  // namespace router
