// Calls that somebody waits for as a whole: a few at a time, on a Pool and a loop of their own, as
// calls of a batch. What interviews and annotations are made of.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <optional>
#include <string>

#include "experts/pool.h"

namespace router {

/// Where the experts are: as Pool's arguments of the same names.
struct InterviewDoors {
  const experts::RosterBoard& board;
  experts::ExpertMaker maker;
  experts::ExpertWrapper wrapper;
};

/// A question in one message. `call_ms_max` counts from now.
experts::Call question_call(const std::string& text, int tokens_max, int call_ms_max,
                            std::optional<double> temperature = std::nullopt);

class InterviewCalls {
 public:
  struct One {
    std::string expert;
    experts::Call call;
  };

  explicit InterviewCalls(const InterviewDoors& doors)
      : pool_(loop_, doors.board, {}, doors.maker, doors.wrapper) {}

  /// Blocks until all have ended. `next` is asked whenever one may begin, until it has none; `take`
  /// gets its reply, with its number from 0. `wanted` is asked a few times a second: false, and the
  /// calls that run are cancelled. All on the calling thread; what they throw ends it.
  void run(int concurrency_max, std::function<std::optional<One>()> next,
           std::function<void(std::size_t, const experts::Reply&)> take,
           const std::function<bool()>& wanted = {});

 private:
  boost::asio::awaitable<void> ask_one_by_one();

  boost::asio::io_context loop_{1};
  experts::Pool pool_;
  std::function<std::optional<One>()> next_;
  std::function<void(std::size_t, const experts::Reply&)> take_;
  std::size_t begun_ = 0;
  int running_ = 0;
};

}  // namespace router
