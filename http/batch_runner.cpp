#include "http/batch_runner.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <chrono>
#include <nlohmann/json.hpp>

#include "http/batch_lines.h"
#include "http/ids.h"
#include "http/keys.h"
#include "http/problem.h"

namespace http {

namespace asio = boost::asio;
using experts::Clock;

namespace {

constexpr int kTroubleMs = 1'000;  // between tries of a database that is full or locked
constexpr std::chrono::seconds kReportEvery{10};

std::int64_t unix_us() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

std::int64_t unix_s() {
  return unix_us() / 1'000'000;
}

/// Another try may go better, and the client did nothing wrong.
bool may_pass(const aggregator::Answer& answer) {
  const experts::Reply* reply = culprit(answer);
  if (reply == nullptr) return true;  // nobody could be asked
  switch (reply->outcome) {
    case experts::Outcome::limited:
    case experts::Outcome::overloaded:
    case experts::Outcome::unreachable:
    case experts::Outcome::open_circuit:
      return true;
    default:
      return false;
  }
}

constexpr std::chrono::milliseconds kPurseWait{500};

/// Calls that run may cost less than is set aside for them.
bool may_come_back(const Key& key) {
  const std::scoped_lock lock(key.account->mutex);
  return key.account->purse.reserved() > 0;
}

}  // namespace

const store::BatchRow& next_turn(const std::vector<store::BatchRow>& batches,
                                 const std::string& last) {
  const auto turn = [&](const store::BatchRow& batch) {
    return std::make_pair(batch.owner <= last, std::string_view(batch.owner));
  };
  return *std::min_element(batches.begin(), batches.end(),
                           [&](const auto& a, const auto& b) { return turn(a) < turn(b); });
}

/// One line that is being asked.
struct BatchRunner::Job {
  store::BatchLine line;
  const Group* group = nullptr;
  asio::cancellation_signal cancel;
  bool cancelled = false;
  bool settled = false;
  store::LineOutcome outcome;
};

BatchRunner::BatchRunner(store::Batches& store, const Options& options, const MakeDoors& make_doors)
    : store_(store),
      options_(options),
      wake_(loop_),
      doors_(make_doors(loop_, options.net_threads)),
      reader_(options_) {
  asio::co_spawn(loop_, run(), [](const std::exception_ptr& error) {
    if (error) std::rethrow_exception(error);
  });
  thread_ = std::thread([this] { loop_.run(); });
}

BatchRunner::~BatchRunner() {
  stop();
}

void BatchRunner::wake() {
  asio::post(loop_, [this] { wake_.cancel(); });
}

void BatchRunner::stop() {
  if (!thread_.joinable()) return;
  asio::post(loop_, [this] {
    stopping_ = true;
    wake_.cancel();
  });
  thread_.join();
}

asio::awaitable<void> BatchRunner::pause(int ms) {
  wake_.expires_after(std::chrono::milliseconds(ms));
  co_await wake_.async_wait(asio::as_tuple(asio::deferred));
}

asio::awaitable<void> BatchRunner::run() {
  while (!stopping_) {
    std::vector<store::BatchRow> batches;
    std::string trouble;
    try {
      batches = store_.unfinished();
    } catch (const std::exception& error) {
      trouble = error.what();
    }
    if (!batches.empty()) {
      store::BatchRow batch = next_turn(batches, last_owner_);
      last_owner_ = batch.owner;
      try {
        co_await process(std::move(batch));
      } catch (const std::exception& error) {
        trouble = error.what();
      }
    }
    if (!trouble.empty()) spdlog::error("batches: {}", trouble);
    const bool idle = trouble.empty() && batches.empty();
    const int wait_ms = idle ? 3'600'000 : kTroubleMs;
    if (!stopping_ && (idle || !trouble.empty())) co_await pause(wait_ms);
  }
  loop_.stop();  // what is behind the doors may wait for ever, and goes after the last handler
}

/// Reads the whole file before anybody is asked: what is wrong with it is known at once.
void BatchRunner::validate(const store::BatchRow& batch) {
  const auto content = store_.content(batch.input_file);
  BatchFile file;
  if (content) {
    file = read_batch(batch.id, *content, batch.endpoint, options_.batches.lines_max);
  } else {
    file.fault = "the input file is gone";
    file.fault_code = "file_not_found";
  }
  if (file.fault.empty()) return store_.plan(batch.id, file.lines, file.refused, unix_s());
  nlohmann::json error;
  error["code"] = file.fault_code;
  error["message"] = file.fault;
  error["param"] = nullptr;
  error["line"] = nullptr;
  nlohmann::json errors;
  errors["object"] = "list";
  errors["data"] = nlohmann::json::array({error});
  store_.fail(batch.id, errors.dump(), unix_s());
  spdlog::warn("batch {}: failed: {}", batch.id, file.fault);
}

/// Null: the batch belongs to none, or the key is gone.
std::shared_ptr<const Key> BatchRunner::key_of(const store::BatchRow& batch) const {
  if (batch.owner.empty() || doors_.keys == nullptr) return nullptr;
  auto key = doors_.keys->by_id(batch.owner);
  return key && key->usable(unix_us()) ? key : nullptr;
}

/// Sets aside what the line could cost; waits while that is held by calls that run.
asio::awaitable<std::optional<Problem>> BatchRunner::reserve(const Work& work, const Job& job,
                                                             const router::Query& query,
                                                             Reservation& reservation) {
  const auto key = key_of(work.batch);
  if (!key || !key->account || !doors_.cost_bound) co_return std::nullopt;
  const CostBound bound = doors_.cost_bound(query);
  asio::steady_timer timer(loop_);
  while (!job.cancelled) {
    auto problem = reservation.take_money(*key, bound, unix_us());
    if (!problem || !may_come_back(*key)) co_return problem;
    timer.expires_after(kPurseWait);
    co_await timer.async_wait(asio::as_tuple(asio::deferred));
  }
  co_return std::nullopt;
}

std::optional<Problem> BatchRunner::read(const Work& work, const store::BatchLine& line,
                                         router::Query& query) {
  std::string body = line.body;
  body.reserve(body.size() + 128);  // the JSON parser reads ahead
  auto problem = reader_.read(body, query);
  if (problem) return problem;
  if (!work.batch.owner.empty()) {
    const auto key = key_of(work.batch);
    if (key) problem = bound_by(*key, query);
    if (problem) return problem;
    if (!key) {
      problem.emplace();
      problem->fault = Fault::unauthorized;
      problem->message = "the API key of this batch is revoked or expired";
      return problem;
    }
  }
  problem.emplace();
  if (query.call.stream) {
    problem->fault = Fault::unsupported;
    problem->param = "stream";
    problem->message = "lines of a batch are not streamed";
    return problem;
  }
  const bool known =
      query.expert.empty() ? doors_.knows_pool(query.pool) : doors_.knows_expert(query.expert);
  if (known) return std::nullopt;
  problem->fault = Fault::model_not_found;
  problem->param = "model";
  problem->message = "the model `" + query.model + "` does not exist";
  return problem;
}

/// The plan of the whole batch: lines by the experts that would be asked, and by skill, whose rows
/// go through the same parts of a sparse model. Lines that cannot be asked have their outcome at
/// once.
void BatchRunner::group_lines(Work& work) {
  std::map<std::pair<std::vector<std::string>, std::string>, Group> groups;
  for (store::BatchLine& line : store_.open_lines(work.batch.id)) {
    router::Query query;
    if (const auto problem = read(work, line, query)) {
      const std::string row =
          row_of(work.batch.id, line, status_of(problem->fault), "", body_of(*problem));
      work.done.push_back({line.line, true, row});
      continue;
    }
    query.seed = chance_();
    const router::LoggedRoute logged = doors_.route(query);
    std::vector<std::string> names;
    for (const auto& candidate : logged.route.candidates) {
      if (names.size() == logged.route.k) break;
      names.push_back(logged.experts[candidate.expert]);
    }
    const auto& skills = logged.route.skills;
    const std::string skill = skills.empty() ? "" : logged.skills[skills.front().skill];
    Group& group = groups[{names, skill}];
    group.experts = std::move(names);
    group.lines.push_back(std::move(line));
    ++work.left;
  }
  for (auto& [key, group] : groups) work.groups.push_back(std::move(group));
}

/// Experts that are always there serve others meanwhile; those that share a memory have a scheduler
/// that sees to it, and collates the better the more it sees.
bool BatchRunner::has_room(const Work& work, const Group& group) const {
  if (work.running.size() >= options_.batches.lines_inflight_max) return false;
  return std::all_of(group.experts.begin(), group.experts.end(), [&](const std::string& name) {
    const auto found = work.inflight.find(name);
    return found == work.inflight.end() || found->second < options_.batches.expert_inflight_max;
  });
}

void BatchRunner::start_lines(Work& work) {
  for (Group& group : work.groups) {
    while (group.next < group.lines.size() && !work.closing && has_room(work, group)) {
      work.running.emplace_back();
      const auto job = std::prev(work.running.end());
      job->line = std::move(group.lines[group.next++]);
      job->group = &group;
      --work.left;
      for (const auto& name : group.experts) {
        const auto found = work.inflight.find(name);
        if (found != work.inflight.end()) ++found->second;
      }
      auto ended = [this, &work, job](const std::exception_ptr& error) {
        if (error) std::rethrow_exception(error);
        end(work, job);
      };
      asio::co_spawn(loop_, ask(work, job),
                     asio::bind_cancellation_slot(job->cancel.slot(), std::move(ended)));
    }
  }
}

asio::awaitable<void> BatchRunner::ask(Work& work, std::list<Job>::iterator job) {
  co_await asio::this_coro::throw_if_cancelled(false);
  try {
    co_await ask_until_told(work, *job);
  } catch (const std::exception& error) {
    if (job->cancelled) co_return;  // what it threw is our own doing: the line stays open
    Problem problem;
    problem.message = error.what();
    job->outcome = {job->line.line, true,
                    row_of(work.batch.id, job->line, 500, "", body_of(problem))};
    job->settled = true;
  }
}

/// After the coroutine: it uses the job's cancellation to its end.
void BatchRunner::end(Work& work, std::list<Job>::iterator job) {
  if (job->settled) work.done.push_back(std::move(job->outcome));
  for (const auto& name : job->group->experts) {
    const auto found = work.inflight.find(name);
    if (found != work.inflight.end()) --found->second;
  }
  work.running.erase(job);
  if (work.running.empty() || work.running.size() % 64 == 0) wake_.cancel();
}

/// Leaves the job unsettled when it was cancelled.
asio::awaitable<void> BatchRunner::ask_until_told(Work& work, Job& job) {
  const std::int64_t left_s = std::max<std::int64_t>(0, work.batch.expires_s - unix_s());
  const Clock::time_point deadline = Clock::now() + std::chrono::seconds(left_s);
  for (int tries = 1;; ++tries) {
    router::Query query;
    Reservation reservation;
    auto problem = read(work, job.line, query);
    if (!problem) problem = co_await reserve(work, job, query, reservation);
    if (job.cancelled) co_return;
    const std::string name = sortable_id(unix_us() / 1000, chance_);
    aggregator::Answer answer;
    if (!problem) {
      query.id = "dec_" + name;
      query.seed = chance_();
      query.unix_us = unix_us();
      query.call.request_id = "req_" + name;
      query.call.deadline = deadline;
      query.call.batch = true;
      answer = co_await doors_.answer(query, nullptr);
      reservation.settle(answer);
    }
    if (job.cancelled) co_return;
    int status = 200;
    std::string body;
    if (answer.ok()) {
      body = answer.text.empty() ? answer.reply().wire : body_of(answer);
    } else {
      const experts::Reply* reply = problem ? nullptr : culprit(answer);
      if (reply != nullptr && passed_on(*reply)) {
        status = reply->status;
        body = reply->wire;
      } else {
        const bool again = !problem && may_pass(answer) && tries < options_.batches.tries_max;
        if (!problem) problem = problem_of(answer);
        if (again) {
          const int ms = std::max(problem->retry_after_s * 1000, 500 << std::min(tries, 10));
          asio::steady_timer timer(loop_);
          timer.expires_after(
              std::chrono::milliseconds(std::min(ms, options_.batches.retry_ms_max)));
          co_await timer.async_wait(asio::as_tuple(asio::deferred));
          if (job.cancelled) co_return;
          continue;
        }
        status = status_of(problem->fault);
        body = body_of(*problem);
      }
    }
    job.outcome = {job.line.line, status != 200,
                   row_of(work.batch.id, job.line, status, "req_" + name, body)};
    job.settled = true;
    co_return;
  }
}

/// False: the database does not take it now (a full disk); the outcomes are kept for another try.
bool BatchRunner::commit(Work& work) {
  if (work.done.empty()) return true;
  try {
    store_.settle(work.batch.id, work.done);
  } catch (const store::DbError& error) {
    if (!error.passing()) throw;
    spdlog::error("batch {}: outcomes wait: {}", work.batch.id, error.what());
    return false;
  }
  for (const auto& outcome : work.done) {
    ++(outcome.failed ? work.batch.failed : work.batch.completed);
  }
  work.done.clear();
  return true;
}

void BatchRunner::close_down(Work& work, bool cancel) {
  work.closing = true;
  if (!cancel) return;
  for (auto next = work.running.begin(); next != work.running.end();) {
    Job& job = *next++;
    if (job.cancelled) continue;
    job.cancelled = true;
    job.cancel.emit(asio::cancellation_type::all);
  }
}

void BatchRunner::report(const Work& work, bool always) {
  if (!always && Clock::now() - reported_ < kReportEvery) return;
  reported_ = Clock::now();
  spdlog::info("batch {}: {} of {} lines, {} failed", work.batch.id,
               work.batch.completed + work.batch.failed, work.batch.total, work.batch.failed);
}

/// Until every line has its outcome, or the batch ends otherwise: how it ends.
asio::awaitable<std::string> BatchRunner::drive(Work& work) {
  group_lines(work);
  report(work, true);
  std::string ends = "completed";
  while (work.left > 0 || !work.running.empty() || !work.done.empty()) {
    start_lines(work);
    co_await pause(options_.batches.flush_ms);
    const bool kept = commit(work);
    if (!kept) {
      close_down(work, stopping_);  // nothing more is asked that could not be written down
      co_await pause(kTroubleMs);
      if (stopping_ && work.running.empty()) break;
      continue;
    }
    work.closing = false;
    report(work, false);
    if (stopping_ || ends != "completed") {
      close_down(work, true);
    } else if (const auto row = store_.batch(work.batch.id); !row || row->status == "cancelling") {
      ends = "cancelled";
      close_down(work, true);
    } else if (unix_s() >= work.batch.expires_s) {
      ends = "expired";
      close_down(work, true);
    }
    if (work.closing && work.running.empty() && work.done.empty()) break;
  }
  co_return ends;
}

asio::awaitable<void> BatchRunner::process(store::BatchRow batch) {
  if (batch.status == "validating") validate(batch);
  const auto now = store_.batch(batch.id);
  if (!now || now->status == "failed") co_return;
  Work work;
  work.batch = *now;
  if (work.batch.status == "cancelling") co_return store_.close(batch.id, "cancelled", unix_s());
  for (const Model& model : doors_.models()) {
    if (model.state.empty()) work.inflight[model.id] = 0;
  }
  std::exception_ptr trouble;
  std::string ends;
  try {
    ends = co_await drive(work);
  } catch (...) {
    trouble = std::current_exception();
  }
  close_down(work, true);
  while (!work.running.empty()) co_await pause(options_.batches.flush_ms);
  if (trouble) std::rethrow_exception(trouble);
  if (stopping_ && (work.left > 0 || ends != "completed")) co_return;
  if (!store_.open_lines(batch.id).empty() && ends == "completed") co_return;  // cancelled by stop
  if (ends == "expired") {
    std::vector<store::LineOutcome> late;
    for (const auto& line : store_.open_lines(batch.id)) {
      late.push_back({line.line, true,
                      error_row(batch.id, line.line, line.custom_id, "batch_expired",
                                "the batch's completion window ended before this line was asked")});
    }
    store_.settle(batch.id, late);
  }
  store_.close(batch.id, ends, unix_s());
  report(work, true);
}

}  // namespace http
