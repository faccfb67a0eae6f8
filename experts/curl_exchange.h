// Transport for https:// experts and proxies: libcurl's multi interface driven by the Asio loop of
// the net thread. TLS is always verified; HTTP/2 is offered; connections live in the multi handle.
// One CurlLoop per net thread, made when the first expert needs it; one thread, no locks.
#pragma once

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <list>
#include <map>
#include <memory>

#include "experts/exchange.h"
#include "experts/roster.h"
#include "experts/sweep.h"

namespace experts {

class CurlTransfer;

class CurlLoop {
 public:
  /// `io` and `sweep` outlive the loop; the loop outlives its exchanges.
  CurlLoop(boost::asio::io_context& io, Sweep& sweep);
  ~CurlLoop();

  CurlLoop(const CurlLoop&) = delete;
  CurlLoop& operator=(const CurlLoop&) = delete;

  std::unique_ptr<Exchange> start(const Entry& entry, const Request& request);

 private:
  friend class CurlExchange;
  friend class CurlTransfer;

  /// A socket that libcurl wants to hear about.
  struct Watch {
    explicit Watch(boost::asio::io_context& io, int fd) : descriptor(io, fd) {}

    boost::asio::posix::stream_descriptor descriptor;
    int wanted = 0;  // CURL_POLL_*
    bool reading = false, writing = false, gone = false;
  };

  static int on_socket(void* easy, int fd, int what, void* self, void* watch);
  static int on_timer(void* multi, long wait_ms, void* self);
  void watch(int fd, int what);
  void wait_for(int fd, const std::shared_ptr<Watch>& watch);
  void act(int fd, int events);
  void settle_finished();
  /// Reads the last framing bytes of a transfer whose reader has all it wants.
  void adopt(std::unique_ptr<CurlTransfer> transfer);

  boost::asio::io_context& io_;
  Sweep& sweep_;
  boost::asio::basic_waitable_timer<Clock> timer_;
  void* multi_;  // CURLM
  std::map<int, std::shared_ptr<Watch>> watches_;
  std::list<std::unique_ptr<CurlTransfer>> tails_;
};

}  // namespace experts
