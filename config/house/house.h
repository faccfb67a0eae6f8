// Everything of the service put together: what net threads share, what each has of its own, and how
// a new configuration is swapped in while they serve. Only main.cpp includes this.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "config/house/checks.h"
#include "config/layers.h"
#include "config/ledger.h"
#include "experts/native.h"
#include "experts/pool.h"
#include "experts/residents.h"
#include "experts/roster.h"
#include "http/admin_doors.h"
#include "http/doors.h"
#include "http/keys.h"
#include "http/records.h"
#include "http/workers.h"
#include "router/board.h"
#include "router/learn/jobs.h"
#include "router/lookup.h"
#include "router/pipeline.h"
#include "router/vector_fill.h"
#include "store/admin_book.h"
#include "store/eval_book.h"
#include "store/journal.h"

namespace house {

/// What `serve`, `route` and `ask` take from the command line; beats the configuration file.
struct Args {
  std::string config_path, listen, admin, data, policy;
  std::vector<std::string> experts;
  bool file_only = false;  // give everything that administrators changed back to the file
  bool no_embedded = false;
};

/// What a start goes by: the settings that belong to the file and the command line, and all layers.
struct Settled {
  config::Config settings;
  config::Layers layers;
};

std::int64_t unix_now_us();

/// Reads file and command line, sets the log's level (to `log_level` when that is not null), makes
/// the folder of the database. Throws with every fault.
Settled settle(const Args& args, const char* log_level = nullptr);

/// Everything that net threads share, in the order of construction.
class House {
  // Of the policy that rules hold, guarded by the ledger's writer: its file, and reloads_ when it
  // was read.
  std::string policy_path_;
  std::uint64_t policy_reloads_ = 0;
  std::atomic<std::uint64_t> reloads_{0};

 public:
  explicit House(Settled from);
  ~House();
  House(const House&) = delete;
  House& operator=(const House&) = delete;

  /// Reads everything again; what is bad changes nothing.
  void reload(const Args& args);

  const config::Config config;  // settings of the process; resources are in the ledger
  store::AdminBook book;
  config::Ledger ledger;
  experts::NativeModels models;
  experts::Residents residents;
  experts::RosterBoard roster;
  router::RulesBoard rules;
  store::Journal journal;
  router::Lookup lookup;
  http::Records records;
  http::KeyDesk keys;
  // Only where administrators are served: a second process on the same data must not touch runs.
  std::unique_ptr<store::EvalBook> eval_book;
  http::AdminDoors admin;
  Checks checks;
  std::unique_ptr<router::Jobs> jobs;  // behind all that jobs use
  http::Workers workers{1};
  http::BatchDesk* batches = nullptr;  // set before the net threads are made, where there is one

 private:
  std::function<void()> prepare(const config::Config& next);
  router::Rules rules_of(const config::Config& next) const;
  void save_spend();
  void keep_saving(const std::stop_token& stop);

  std::mutex saving_;
  std::condition_variable_any stopped_;
  std::jthread saver_;  // last: runs on everything above
};

/// What one net thread has of its own.
struct Rooms {
  experts::Pool pool;
  router::Pipeline pipeline;

  Rooms(boost::asio::io_context& loop, House& house, int index);
};

/// Fills in vectors of passages while it lives; null where no encoder is configured.
std::unique_ptr<router::VectorFill> fill_vectors(House& house);

/// The policy that a configuration routes by: what its experts declare, or the file that it names.
/// Throws as load_policy() does.
router::PolicyPtr policy_of(const config::Config& config);

/// What a change would do to recent queries. Blocks for a second at most.
nlohmann::json simulate(const House& house, const config::Ledger::Change& change,
                        const std::string& pool);

/// What the edge asks, for one net thread. The house outlives them.
http::Doors make_doors(House& house, boost::asio::io_context& loop, int index);

/// The same for the administrators' listener.
http::Doors make_admin_doors(House& house, boost::asio::io_context& loop);

/// The administrators' listener as the edge's options. Throws when its address is no good.
http::Options admin_options(const config::Config& config);

}  // namespace house
