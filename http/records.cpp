#include "http/records.h"

namespace http {

Records::Records(std::string path, store::Journal& journal)
    : path_(std::move(path)), journal_(journal) {}

boost::asio::awaitable<void> Records::ask(std::function<void(store::Reader&)> job) {
  std::function<void()> work = [this, job = std::move(job)] {
    if (!reader_) reader_ = std::make_unique<store::Reader>(path_);
    job(*reader_);
  };
  co_await worker_.run(std::move(work));
}

}  // namespace http
