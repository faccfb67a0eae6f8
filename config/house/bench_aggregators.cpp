#include "config/house/bench_aggregators.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <iostream>
#include <memory>

#include "config/house/house.h"
#include "router/learn/commands.h"
#include "router/learn/reader_bench.h"
#include "router/learn/report.h"

namespace house {
namespace {

constexpr std::size_t kCallsAtOnce = 8;

struct BenchArgs {
  Args service;
  router::ReaderBenchOptions options;
  std::string pool = "auto", task = "write", json;
  std::vector<std::string> candidates;
  bool dry_run = false;
};

/// Asks one expert everything, some calls at a time, on a loop of its own.
class Asking {
 public:
  Asking(boost::asio::io_context& loop, experts::Pool& pool, const std::string& name,
         const std::vector<experts::Call>& calls)
      : loop_(loop), pool_(pool), name_(name), calls_(calls), replies_(calls.size()) {}

  std::vector<experts::Reply> run() {
    for (std::size_t i = 0; i < std::min(kCallsAtOnce, calls_.size()); ++i) start();
    loop_.restart();
    if (!calls_.empty()) loop_.run();
    return std::move(replies_);
  }

 private:
  void start() {
    const std::size_t at = next_++;
    boost::asio::co_spawn(loop_, pool_.ask(name_, calls_[at], nullptr),
                          [this, at](const std::exception_ptr& error, experts::Reply reply) {
                            if (error) std::rethrow_exception(error);
                            replies_[at] = std::move(reply);
                            router::show_progress(name_, static_cast<double>(++done_) /
                                                             static_cast<double>(calls_.size()));
                            if (next_ < calls_.size()) return start();
                            if (done_ == calls_.size()) loop_.stop();
                          });
  }

  boost::asio::io_context& loop_;
  experts::Pool& pool_;
  const std::string& name_;
  const std::vector<experts::Call>& calls_;
  std::vector<experts::Reply> replies_;
  std::size_t next_ = 0, done_ = 0;
};

const router::PoolOptions& find_pool(const router::Rules& rules, const std::string& name) {
  const auto found = std::find_if(rules.pools.begin(), rules.pools.end(),
                                  [&](const auto& pool) { return pool.name == name; });
  if (found == rules.pools.end())
    throw std::runtime_error("there is no pool `" + name + "` in the configuration");
  return *found;
}

/// The experts to test: those that were named, or the pool's.
std::vector<router::ReaderCandidate> candidates_of(const experts::Roster& roster,
                                                   const router::PoolOptions& pool,
                                                   const std::vector<std::string>& named) {
  std::vector<router::ReaderCandidate> candidates;
  const std::vector<std::string>& wanted = named.empty() ? pool.experts : named;
  for (const std::string& name : wanted)
    if (roster.find(name) == nullptr)
      throw std::runtime_error("there is no expert `" + name + "` in the configuration");
  for (const auto& entry : roster.entries) {
    const auto& options = entry.options;
    const bool asked = std::find(wanted.begin(), wanted.end(), options.name) != wanted.end();
    if (wanted.empty() || asked)
      candidates.push_back({options.name, options.prices.in, options.prices.out});
  }
  if (candidates.empty())
    throw std::runtime_error("the pool has no expert that could read answers");
  return candidates;
}

void bench(BenchArgs& args) {
  if (args.options.items.files.empty() == args.options.items.log.empty())
    throw std::runtime_error("bench-aggregators needs --outcomes FILES or --log DATABASE");
  House house(settle(args.service, "warn"));
  const auto rules = house.rules.current();
  const router::PoolOptions& pool = find_pool(*rules, args.pool);
  router::ReaderBenchOptions& options = args.options;
  options.candidates = candidates_of(*house.roster.current(), pool, args.candidates);
  if (options.incumbent.empty())
    options.incumbent =
        pool.aggregation.expert.empty() ? std::string(router::kVote) : pool.aggregation.expert;
  options.task = args.task == "choose" ? aggregator::Task::choose : aggregator::Task::write;
  const router::ReaderBenchPlan plan = plan_readers(options);
  print(options, plan, std::cout);
  if (args.dry_run) return;
  boost::asio::io_context loop;
  Rooms rooms(loop, house, 0);
  const auto ask = [&](const std::string& name, const std::vector<experts::Call>& calls) {
    return Asking(loop, rooms.pool, name, calls).run();
  };
  const router::ReaderBenchReport report = run_readers(options, plan, ask);
  print(report, std::cout);
  if (!args.json.empty()) router::write_file(args.json, to_json(report));
}

}  // namespace

void add_bench_command(CLI::App& app) {
  auto args = std::make_shared<BenchArgs>();
  auto& options = args->options;
  options.incumbent.clear();
  auto* command = app.add_subcommand(
      "bench-aggregators", "test which expert makes the best one of several experts' answers");
  command->add_option("--config", args->service.config_path,
                      "configuration file, JSON with comments");
  command->add_option("--data", args->service.data, "folder of the database");
  command->add_option("--expert", args->service.experts,
                      "NAME=URL[,model=NAME][,key-env=VARIABLE]");
  auto* outcomes = command->add_option("--outcomes", options.items.files,
                                       "files with recorded answers, JSON Lines, gzip allowed");
  command
      ->add_option("--log", options.items.log,
                   "instead: the service's database; needs texts, and feedback with correct_answer")
      ->excludes(outcomes);
  command->add_option("--pool", args->pool, "whose experts are tested [auto]");
  command->add_option("--candidates", args->candidates, "only these")->delimiter(',');
  command
      ->add_option("--panel", options.items.panel,
                   "whose answers are shown; else the --k with the best mean score")
      ->delimiter(',');
  command->add_option("--incumbent", options.incumbent,
                      "what aggregates now: an expert, or `vote`; else as the pool says");
  command
      ->add_option("--task", args->task, "write one answer, or choose one of those shown [write]")
      ->check(CLI::IsMember({"write", "choose"}));
  command->add_option("--k", options.items.k, "answers shown [3]")->check(CLI::Range(2, 8));
  command->add_option("--items", options.items.items_max, "questions in all [200]")
      ->check(CLI::Range(10, 100'000));
  command->add_option("--orders", options.orders, "of the answers of each question [2]")
      ->check(CLI::Range(1, 6));
  command->add_option("--value-usd", options.value_usd, "of a right answer over a wrong one [0.01]")
      ->check(CLI::Range(1e-6, 1e6));
  command->add_option("--seed", options.items.seed);
  command->add_option("--json", args->json, "the report, for programs");
  command->add_flag("--dry-run", args->dry_run, "tell calls and cost, ask nobody");
  command->callback([args] { bench(*args); });
}

}  // namespace house
