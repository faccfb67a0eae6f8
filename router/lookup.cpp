#include "router/lookup.h"

#include <sys/stat.h>

#include <algorithm>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <optional>
#include <stdexcept>
#include <utility>

#include "store/knowledge_vectors.h"

namespace router {

namespace asio = boost::asio;
using experts::Clock;
using Timer = asio::basic_waitable_timer<Clock>;

namespace {

constexpr std::chrono::minutes kWarnEvery{1};
constexpr std::chrono::seconds kEncodePause{5};

/// A file of an earlier build is brought up to date before anybody reads it.
void upgrade(const std::string& path) {
  struct stat seen {};

  if (::stat(path.c_str(), &seen) != 0) return;
  store::KnowledgeOptions file;
  file.path = path;
  store::KnowledgeVectors{file};
}

}  // namespace

std::string_view name_of(LookupOutcome outcome) {
  switch (outcome) {
    case LookupOutcome::found:
      return "found";
    case LookupOutcome::full:
      return "full";
    case LookupOutcome::late:
      return "late";
    case LookupOutcome::failed:
      return "failed";
    case LookupOutcome::cancelled:
      return "cancelled";
  }
  return "unknown";
}

/// One search on its way. Who waits for it may leave before it is done.
struct Lookup::Job {
  std::string text;
  std::vector<std::string> collections;
  std::string vector;
  int limit = 0;
  Clock::time_point deadline;
  asio::any_io_executor executor;  // of who waits

  std::optional<Result> result;  // written by the lookup thread before it posts
  Timer* waiter = nullptr;       // used on the waiter's thread only

  std::mutex mutex;
  bool abandoned = false;  // guarded: nobody waits, and the executor may be gone
};

/// Leaves a job when the waiting coroutine goes on, is cancelled or destroyed.
class Lookup::Waiting {
 public:
  Waiting(Job& job, Timer& timer) : job_(job) { job_.waiter = &timer; }

  ~Waiting() {
    job_.waiter = nullptr;
    const std::lock_guard lock(job_.mutex);
    job_.abandoned = true;
  }

  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  Job& job_;
};

/// A thread's own reader, opened anew when another file takes the place of the one that it reads.
class Lookup::Shelf {
 public:
  Shelf(const std::string& path, const store::SearchRules& rules) : path_(path), rules_(rules) {}

  /// nullptr: there is no file. Throws when it cannot be read.
  store::KnowledgeReader* reader() {
    struct stat seen {};

    if (::stat(path_.c_str(), &seen) != 0) {
      reader_.reset();
      return nullptr;
    }
    if (reader_ && seen.st_ino == inode_ && seen.st_dev == device_) return reader_.get();
    reader_.reset();
    reader_ = std::make_unique<store::KnowledgeReader>(path_, rules_);
    inode_ = seen.st_ino;
    device_ = seen.st_dev;
    return reader_.get();
  }

  void close() { reader_.reset(); }

  /// Which file the reader reads.
  std::string file() const { return " " + std::to_string(device_) + ":" + std::to_string(inode_); }

 private:
  const std::string& path_;
  const store::SearchRules& rules_;
  std::unique_ptr<store::KnowledgeReader> reader_;
  ino_t inode_ = 0;
  dev_t device_ = 0;
};

Lookup::Lookup(LookupOptions options, Warn warn, std::function<std::string()> encoder)
    : options_(std::move(options)), warn_(std::move(warn)), encoder_(std::move(encoder)) {
  try {
    upgrade(options_.path);
  } catch (const std::exception& error) {
    this->warn(error.what());
  }
  Shelf shelf(options_.path, options_.rules);
  check(shelf);
  for (int i = 0; i < std::max(1, options_.threads); ++i)
    threads_.emplace_back([this, i](const std::stop_token& stop) { work(stop, i == 0); });
}

Lookup::~Lookup() {
  for (std::jthread& thread : threads_) thread.request_stop();
}

asio::awaitable<Lookup::Result> Lookup::search(std::string text,
                                               std::vector<std::string> collections, int limit,
                                               Clock::time_point deadline, std::string vector) {
  namespace this_coro = asio::this_coro;
  const bool throws = co_await this_coro::throw_if_cancelled();
  co_await this_coro::throw_if_cancelled(false);
  const auto job = std::make_shared<Job>();
  job->text = std::move(text);
  job->collections = std::move(collections);
  job->vector = std::move(vector);
  job->limit = limit;
  job->deadline = std::min(deadline, Clock::now() + options_.wait_max);
  job->executor = co_await this_coro::executor;
  Result result;
  if (push(job)) {
    Timer timer(job->executor, job->deadline);
    const Waiting waiting(*job, timer);
    co_await timer.async_wait(asio::as_tuple(asio::deferred));
    result.outcome = LookupOutcome::late;
    const auto state = co_await this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none)
      result.outcome = LookupOutcome::cancelled;
    else if (job->waiter == nullptr)
      result = std::move(*job->result);
  } else {
    result.outcome = LookupOutcome::full;
  }
  counts_[static_cast<std::size_t>(result.outcome)].fetch_add(1, std::memory_order_relaxed);
  co_await this_coro::throw_if_cancelled(throws);
  co_return result;
}

bool Lookup::push(const std::shared_ptr<Job>& job) {
  const std::lock_guard lock(mutex_);
  if (queue_.size() >= options_.queue_max) return false;
  queue_.push_back(job);
  news_.notify_one();
  return true;
}

void Lookup::work(const std::stop_token& stop, bool checks) {
  Shelf shelf(options_.path, options_.rules);
  auto next_check = Clock::now() + options_.check_every;
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const auto has_work = [this] { return !queue_.empty(); };
    if (checks) {
      news_.wait_until(lock, stop, next_check, has_work);
    } else {
      news_.wait(lock, stop, has_work);
    }
    std::shared_ptr<Job> job;
    if (!queue_.empty()) {
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    lock.unlock();
    if (job) run(shelf, *job);
    if (job) {
      // Posted under the job's lock: while nobody has left, the waiter's executor is there.
      const std::lock_guard held(job->mutex);
      if (!job->abandoned)
        asio::post(job->executor, [job] {
          if (job->waiter == nullptr) return;
          std::exchange(job->waiter, nullptr)->cancel();
        });
    }
    if (checks && Clock::now() >= next_check) {
      check(shelf);
      next_check = Clock::now() + options_.check_every;
    }
    job.reset();
    lock.lock();
  }
}

void Lookup::run(Shelf& shelf, Job& job) {
  Result result;
  try {
    const bool is_late = Clock::now() >= job.deadline;
    if (is_late) result.outcome = LookupOutcome::late;
    store::KnowledgeReader* reader = is_late ? nullptr : shelf.reader();
    if (reader != nullptr) {
      const auto vectors = job.vector.empty() ? nullptr : index();
      result.found = reader->search({.text = job.text,
                                     .collections = job.collections,
                                     .limit = job.limit,
                                     .vector = job.vector,
                                     .index = vectors.get()});
      result.outcome = LookupOutcome::found;
    }
  } catch (const std::exception& error) {
    shelf.close();
    warn(error.what());
  }
  job.result = std::move(result);
}

void Lookup::check(Shelf& shelf) {
  std::int64_t passages = 0;
  try {
    if (store::KnowledgeReader* reader = shelf.reader()) {
      for (const auto& row : reader->collections()) passages += row.passages;
      refresh_index(*reader, shelf.file());
    }
  } catch (const std::exception& error) {
    shelf.close();
    warn(error.what());
  }
  passages_.store(passages, std::memory_order_relaxed);
}

/// On the thread that checks; the others search on in the old one meanwhile.
void Lookup::refresh_index(store::KnowledgeReader& reader, const std::string& file) {
  if (!encoder_) return;
  const std::string encoder = encoder_();
  auto old = index();
  if (!old || encoder + file != indexed_)
    old = std::make_shared<store::VectorIndex>(encoder, options_.vectors_bytes_max);
  auto made = reader.refreshed(std::move(old));
  if (made->full())
    warn(
        "there are more vectors than `retrieval.vectors_bytes_max` has room for: the passages "
        "beyond are found by words alone");
  vectors_.store(static_cast<std::int64_t>(made->size()), std::memory_order_relaxed);
  indexed_ = encoder + file;
  const std::lock_guard lock(mutex_);
  index_ = std::move(made);
}

std::shared_ptr<const store::VectorIndex> Lookup::index() {
  const std::lock_guard lock(mutex_);
  return index_;
}

void Lookup::pause_encoding() noexcept {
  const auto until = Clock::now() + kEncodePause;
  encode_again_.store(until.time_since_epoch().count(), std::memory_order_relaxed);
}

void Lookup::warn(std::string_view sentence) {
  {
    const std::lock_guard lock(mutex_);
    if (Clock::now() < quiet_until_) return;
    quiet_until_ = Clock::now() + kWarnEvery;
  }
  if (warn_) warn_(sentence);
}

std::array<std::uint64_t, kLookupOutcomes> Lookup::counts() const {
  std::array<std::uint64_t, kLookupOutcomes> counts{};
  for (std::size_t i = 0; i < counts.size(); ++i)
    counts[i] = counts_[i].load(std::memory_order_relaxed);
  return counts;
}

}  // namespace router
