#include "http/workers.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace http {

namespace asio = boost::asio;

// False alarm of g++ 12 at -O1: Asio's frames come from aligned_alloc by way of its own operator
// new.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

asio::awaitable<void> Workers::run(std::function<void()> job) {
  asio::awaitable<void> work = call(std::move(job));
  co_await asio::co_spawn(pool_, std::move(work), asio::use_awaitable);
}

#pragma GCC diagnostic pop

asio::awaitable<void> Workers::call(std::function<void()> job) {
  job();
  co_return;
}

}  // namespace http
