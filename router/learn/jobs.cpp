#include "router/learn/jobs.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "router/learn/gate_expression.h"
#include "router/learn/report.h"

namespace router {
namespace {

constexpr int kNice = 10;  // queries come first

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

JobResult run_evaluation(const Policy& policy, EvaluateOptions options, const std::string& gate,
                         const JobProgress& progress) {
  options.progress = progress;
  const EvaluateReport report = evaluate(policy, options);
  return {judged_json(report, gate), to_html(report)};
}

Jobs::Jobs(store::EvalBook& book) : book_(book), worker_([this] { work(); }) {}

Jobs::~Jobs() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    cancelled_ = true;
  }
  arrived_.notify_all();
  worker_.join();
}

bool Jobs::start(Job job) {
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

bool Jobs::cancel(const std::string& id) {
  const std::lock_guard lock(mutex_);
  if (running_ == id && !id.empty()) {
    cancelled_ = true;
    return true;
  }
  const auto waiting =
      std::find_if(queue_.begin(), queue_.end(), [&](const Job& job) { return job.run.id == id; });
  if (waiting == queue_.end()) return false;
  waiting->run.status = "cancelled";
  waiting->run.finished_us = unix_now_us();
  book_.put(waiting->run);
  queue_.erase(waiting);
  return true;
}

std::optional<Jobs::Progress> Jobs::progress(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  if (running_ != id || id.empty()) return std::nullopt;
  return progress_;
}

void Jobs::work() {
  ::setpriority(PRIO_PROCESS, 0, kNice);  // Linux: this thread and those that it starts
  for (;;) {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return ending_ || !queue_.empty(); });
    if (ending_) return;
    Job job = std::move(queue_.front());
    queue_.pop_front();
    running_ = job.run.id;
    progress_ = {};
    cancelled_ = false;
    lock.unlock();
    run(job);
  }
}

void Jobs::run(Job& job) {
  store::EvalRun& run = job.run;
  try {
    run.status = "running";
    run.started_us = unix_now_us();
    book_.put(run);
    JobResult result = job.work([this](const std::string& stage, double done) {
      if (cancelled_) throw JobCancelled();
      const std::lock_guard lock(mutex_);
      progress_ = {stage, done};
    });
    run.report = std::move(result.report);
    run.html = std::move(result.html);
    run.status = "done";
  } catch (const JobCancelled&) {
    run.status = "cancelled";
  } catch (const std::exception& error) {
    run.status = "failed";
    run.error = error.what();
  }
  run.finished_us = unix_now_us();
  {
    const std::lock_guard lock(mutex_);  // first: who reads that it has ended cannot cancel it
    running_.clear();
  }
  try {
    book_.put(run);
  } catch (const std::exception&) {  // a full disk: after a restart the run has failed
  }
}

}  // namespace router
