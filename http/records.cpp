#include "http/records.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace http {

namespace asio = boost::asio;

Records::Records(std::string path, store::Journal& journal)
    : path_(std::move(path)), journal_(journal) {}

Records::~Records() {
  worker_.join();
}

// False alarm of g++ 12 at -O1: Asio's frames come from aligned_alloc by way of its own operator
// new.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

asio::awaitable<void> Records::ask(std::function<void(store::Reader&)> job) {
  asio::awaitable<void> work = run(std::move(job));
  co_await asio::co_spawn(worker_, std::move(work), asio::use_awaitable);
}

#pragma GCC diagnostic pop

asio::awaitable<void> Records::run(std::function<void(store::Reader&)> job) {
  if (!reader_) reader_ = std::make_unique<store::Reader>(path_);
  job(*reader_);
  co_return;
}

}  // namespace http
