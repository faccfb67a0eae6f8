#include "router/learn/eval_jobs.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "router/learn/gate_expression.h"
#include "router/learn/report.h"

namespace router {
namespace {

constexpr int kNice = 10;  // queries come first

struct Cancelled : std::runtime_error {
  Cancelled() : std::runtime_error("cancelled") {}
};

std::int64_t unix_now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// The report's JSON, with the gate's verdict when there is one.
std::string judged_json(const EvaluateReport& report, const std::string& gate) {
  if (gate.empty()) return to_json(report);
  auto json = nlohmann::json::parse(to_json(report));
  const GateVerdict verdict = GateExpression(gate).judge(report);
  json["gate"] = {{"expression", gate}, {"passed", verdict.passed}, {"why", verdict.why}};
  return json.dump();
}

}  // namespace

EvalJobs::EvalJobs(store::EvalBook& book) : book_(book), worker_([this] { work(); }) {}

EvalJobs::~EvalJobs() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    cancelled_ = true;
  }
  arrived_.notify_all();
  worker_.join();
}

bool EvalJobs::start(EvalJob job) {
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() >= kQueueMax) return false;
    job.run.status = "queued";
    book_.put(job.run);
    queue_.push_back(std::move(job));
  }
  arrived_.notify_one();
  return true;
}

bool EvalJobs::cancel(const std::string& id) {
  const std::lock_guard lock(mutex_);
  if (running_ == id && !id.empty()) {
    cancelled_ = true;
    return true;
  }
  const auto waiting = std::find_if(queue_.begin(), queue_.end(),
                                    [&](const EvalJob& job) { return job.run.id == id; });
  if (waiting == queue_.end()) return false;
  waiting->run.status = "cancelled";
  waiting->run.finished_us = unix_now_us();
  book_.put(waiting->run);
  queue_.erase(waiting);
  return true;
}

std::optional<EvalJobs::Progress> EvalJobs::progress(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  if (running_ != id || id.empty()) return std::nullopt;
  return progress_;
}

void EvalJobs::work() {
  ::setpriority(PRIO_PROCESS, 0, kNice);  // Linux: this thread and those that it starts
  for (;;) {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return ending_ || !queue_.empty(); });
    if (ending_) return;
    EvalJob job = std::move(queue_.front());
    queue_.pop_front();
    running_ = job.run.id;
    progress_ = {};
    cancelled_ = false;
    lock.unlock();
    run(job);
    lock.lock();
    running_.clear();
  }
}

void EvalJobs::run(EvalJob& job) {
  store::EvalRun& run = job.run;
  try {
    run.status = "running";
    run.started_us = unix_now_us();
    book_.put(run);
    job.options.progress = [this](const std::string& stage, double done) {
      if (cancelled_) throw Cancelled();
      const std::lock_guard lock(mutex_);
      progress_ = {stage, done};
    };
    const EvaluateReport report = evaluate(*job.policy, job.options);
    run.report = judged_json(report, job.gate);
    run.html = to_html(report);
    run.status = "done";
  } catch (const Cancelled&) {
    run.status = "cancelled";
  } catch (const std::exception& error) {
    run.status = "failed";
    run.error = error.what();
  }
  run.finished_us = unix_now_us();
  try {
    book_.put(run);
  } catch (const std::exception&) {  // a full disk: after a restart the run has failed
  }
}

}  // namespace router
