// What every test of a remote expert needs: an io_context, an upstream, a Pool with one expert, and
// a client that collects what is streamed to it.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio.hpp>
#include <functional>
#include <memory>
#include <string>

#include "experts/pool.h"
#include "tests/experts/upstream.h"

namespace experts::testing {

class Collector : public Sink {
 public:
  boost::asio::awaitable<bool> write(std::string_view events) override {
    got.append(events);
    ++writes;
    if (on_write) on_write();
    if (slow_ms > 0) {
      boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor,
                                      std::chrono::milliseconds(slow_ms));
      co_await timer.async_wait(boost::asio::as_tuple(boost::asio::deferred));
    }
    co_return !gone;
  }

  std::string got;
  int writes = 0;
  int slow_ms = 0;
  bool gone = false;
  std::function<void()> on_write;
};

/// A whole reply of an upstream whose model is `upstream-model`.
inline std::string completion(const std::string& content = "Hello") {
  return R"({"id":"c1","object":"chat.completion","created":1,"model":"upstream-model","choices":[)"
         R"({"index":0,"message":{"role":"assistant","content":")" +
         content +
         R"("},"finish_reason":"stop"}],"usage":{"prompt_tokens":100,"completion_tokens":20,)"
         R"("total_tokens":120,"prompt_tokens_details":{"cached_tokens":40}}})";
}

inline std::string renamed(std::string json, const std::string& name = "one") {
  const std::string old = "\"upstream-model\"";
  for (std::size_t at = json.find(old); at != json.npos; at = json.find(old)) {
    json.replace(at, old.size(), "\"" + name + "\"");
  }
  return json;
}

inline std::string delta(const std::string& content, const std::string& finish = "null") {
  return R"(data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"upstream-model",)"
         R"("choices":[{"index":0,"delta":{"content":")" +
         content + R"("},"finish_reason":)" + finish + "}]}\n\n";
}

inline const std::string kUsageEvent =
    R"(data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"upstream-model",)"
    R"("choices":[],"usage":{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120}})"
    "\n\n";
inline const std::string kDone = "data: [DONE]\n\n";

/// Both transports meet the same upstream: libcurl carries plain http when there is a proxy, and
/// the upstream does not mind being one.
enum class Transport { sockets, curl };

class Rig {
 public:
  explicit Rig(Transport transport = Transport::sockets) : upstream(io) {
    if (transport == Transport::curl) options.proxy = upstream.origin();
    options.name = "one";
    options.url = upstream.url();
    options.model = "upstream-model";
    options.prices = {1'000'000, 2'000'000, 500'000};
    options.retries.count_max = 0;
    options.timeouts = {300, 300, 300, 2000};
    limits.sweep_ms = 5;
    call.wire = R"("messages":[{"role":"user","content":"Hi"}])";
  }

  Pool& pool() {
    if (!pool_) {
      board_ = std::make_unique<RosterBoard>(make_roster({options}, nullptr));
      pool_ = std::make_unique<Pool>(io, *board_, limits);
    }
    return *pool_;
  }

  Standing& standing() {
    pool();
    return *board_->current()->entries[0].standing;
  }

  RosterBoard& board() {
    pool();
    return *board_;
  }

  /// Runs until `work` ends; a test that hangs fails instead.
  template <class T>
  T run(boost::asio::awaitable<T> work) {
    bool done = false;
    std::optional<T> result;
    boost::asio::co_spawn(io, std::move(work), [&](std::exception_ptr error, T value) {
      EXPECT_FALSE(error);
      result = std::move(value);
      done = true;
    });
    io.restart();
    const auto until = Clock::now() + std::chrono::seconds(20);
    while (!done && Clock::now() < until) io.run_one_for(std::chrono::seconds(1));
    EXPECT_TRUE(done) << "it hangs";
    return done ? std::move(*result) : T{};
  }

  Reply ask() { return run(pool().ask("one", call, &sink)); }

  /// Lets things that nobody waits for happen.
  void idle(int ms) {
    io.restart();
    io.run_for(std::chrono::milliseconds(ms));
  }

  boost::asio::io_context io;
  Upstream upstream;
  ExpertOptions options;
  PoolOptions limits;
  Call call;
  Collector sink;

 private:
  std::unique_ptr<RosterBoard> board_;
  std::unique_ptr<Pool> pool_;
};

}  // namespace experts::testing
