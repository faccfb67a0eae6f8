#include "http/batch_desk.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace http {

namespace asio = boost::asio;

BatchDesk::BatchDesk(const std::string& path, const Options& options, const MakeDoors& make_doors)
    : store_(path), runner_(store_, options, make_doors) {}

BatchDesk::~BatchDesk() {
  worker_.join();
}

// False alarm of g++ 12, as in records.cpp.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

asio::awaitable<void> BatchDesk::ask(std::function<void(store::Batches&)> job) {
  asio::awaitable<void> work = run(std::move(job));
  co_await asio::co_spawn(worker_, std::move(work), asio::use_awaitable);
}

#pragma GCC diagnostic pop

asio::awaitable<void> BatchDesk::run(std::function<void(store::Batches&)> job) {
  job(store_);
  co_return;
}

}  // namespace http
