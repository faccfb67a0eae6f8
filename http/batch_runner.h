// Works batches off, one after the other (keys take turns), on a thread and an event loop of its
// own with its own doors: many lines at once, ordered by the experts that the router would ask, so
// that a pool larger than its memory (experts/residency.h) loads each expert as few times as
// possible.
//
// Calls of a batch are marked as such: whoever waits at the other end comes first. A batch that was
// made with an API key may do what that key may, and is charged to its budget. Outcomes are
// committed in groups; a process that dies asks the lines without one again when it comes back.
#pragma once

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <list>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "http/doors.h"
#include "http/net_thread.h"
#include "http/options.h"
#include "store/batches.h"

namespace http {

/// The oldest batch of the owner whose turn it is: in the order of their names, after `last`.
/// `batches` oldest first, not empty.
const store::BatchRow& next_turn(const std::vector<store::BatchRow>& batches,
                                 const std::string& last);

class BatchRunner {
 public:
  /// All of them outlive it. Starts with what is unfinished in `store`.
  BatchRunner(store::Batches& store, const Options& options, const MakeDoors& make_doors);
  ~BatchRunner();  // stop()
  BatchRunner(const BatchRunner&) = delete;
  BatchRunner& operator=(const BatchRunner&) = delete;

  /// Any thread: there is a new batch, or one was cancelled.
  void wake();

  /// Cancels what runs, commits what is done, ends the thread. Called by the owner, once or again.
  void stop();

 private:
  struct Job;

  /// Lines that ask the same experts about the same skill, in the order of the file.
  struct Group {
    std::vector<std::string> experts;
    std::vector<store::BatchLine> lines;
    std::size_t next = 0;
  };

  /// The batch at hand.
  struct Work {
    store::BatchRow batch;
    std::vector<Group> groups;
    std::size_t left = 0;  // not started
    std::list<Job> running;
    std::map<std::string, std::size_t> inflight;  // by expert
    std::vector<store::LineOutcome> done;         // not committed
    bool closing = false;                         // starts no more
  };

  boost::asio::awaitable<void> run();
  boost::asio::awaitable<void> pause(int ms);
  boost::asio::awaitable<void> process(store::BatchRow batch);
  boost::asio::awaitable<std::string> drive(Work& work);
  void validate(const store::BatchRow& batch);
  void group_lines(Work& work);
  void start_lines(Work& work);
  bool has_room(const Work& work, const Group& group) const;
  boost::asio::awaitable<void> ask(Work& work, std::list<Job>::iterator job);
  boost::asio::awaitable<void> ask_until_told(Work& work, Job& job);
  void end(Work& work, std::list<Job>::iterator job);
  bool commit(Work& work);
  void close_down(Work& work, bool cancel);
  void report(const Work& work, bool always);
  std::optional<Problem> read(const Work& work, const store::BatchLine& line, router::Query& query);
  std::shared_ptr<const Key> key_of(const store::BatchRow& batch) const;
  boost::asio::awaitable<std::optional<Problem>> reserve(const Work& work, const Job& job,
                                                         const router::Query& query,
                                                         Reservation& reservation);

  store::Batches& store_;
  const Options options_;
  boost::asio::io_context loop_{1};
  boost::asio::steady_timer wake_;
  Doors doors_;
  ChatReader reader_;
  std::mt19937_64 chance_{std::random_device{}()};
  bool stopping_ = false;   // the loop's own
  std::string last_owner_;  // of the batch before
  experts::Clock::time_point reported_{};
  std::thread thread_;
};

}  // namespace http
