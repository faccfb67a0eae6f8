// What the experts of one net thread use together. Owned by the Pool of that thread, outlives its
// experts; one thread, no locks.
#pragma once

#include <simdjson.h>

#include <boost/asio/io_context.hpp>
#include <memory>
#include <random>

#include "experts/curl_exchange.h"
#include "experts/options.h"
#include "experts/sweep.h"

namespace experts {

struct NetThread {
  NetThread(boost::asio::io_context& context, const PoolOptions& options)
      : io(context),
        limits(options),
        sweep(context, options.sweep_ms),
        chance(static_cast<std::uint32_t>(options.seed) + 1) {}

  boost::asio::io_context& io;
  const PoolOptions limits;
  Sweep sweep;
  simdjson::ondemand::parser json;  // used between two suspensions, never across one
  std::minstd_rand chance;          // of the jitter
  int exchanges = 0;                // over sockets, alive
  std::unique_ptr<CurlLoop> curl;   // made when the first expert needs it
};

}  // namespace experts
