// Everything of the service put together: what net threads share, what each has of its own, and how
// a new configuration is swapped in while they serve. Only main.cpp includes this.
#pragma once

#include <boost/asio/io_context.hpp>
#include <string>
#include <vector>

#include "config/config.h"
#include "experts/native.h"
#include "experts/pool.h"
#include "experts/roster.h"
#include "http/doors.h"
#include "http/records.h"
#include "router/board.h"
#include "router/pipeline.h"
#include "store/journal.h"

namespace house {

/// What `serve`, `route` and `ask` take from the command line; beats the configuration file.
struct Args {
  std::string config_path, listen, data, policy;
  std::vector<std::string> experts;
};

/// The configuration, complete: servers found, the folder there, the log's level set (to
/// `log_level` when that is not null).
config::Config settle(const Args& args, const char* log_level = nullptr);

/// Everything that net threads share, in the order of construction.
struct House {
  config::Config config;
  experts::NativeModels models;
  experts::RosterBoard roster;
  router::RulesBoard rules;
  store::Journal journal;
  http::Records records;

  explicit House(config::Config from);
};

/// What one net thread has of its own.
struct Rooms {
  experts::Pool pool;
  router::Pipeline pipeline;

  Rooms(boost::asio::io_context& loop, House& house, int index)
      : pool(loop, house.roster,
             {.net_threads = house.config.http.net_threads,
              .seed = static_cast<std::uint64_t>(index) + 1},
             experts::make_native_maker(house.models)),
        pipeline(pool, house.rules, house.journal) {}
};

/// What the edge asks, for one net thread. The house outlives them.
http::Doors make_doors(House& house, boost::asio::io_context& loop, int index);

/// Reads everything again; what is bad changes nothing.
void reload(House& house, const Args& args);

}  // namespace house
