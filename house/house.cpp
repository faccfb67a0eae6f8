#include "house/house.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "experts/discover.h"
#include "experts/native_metrics.h"
#include "http/room_metrics.h"
#include "router/cards.h"

namespace house {

namespace {

namespace fs = std::filesystem;

constexpr int kDiscoverMs = 800;  // how long a start waits for servers that nobody named

/// The configuration file with the command line on top. Throws with every fault.
config::Config read_config(const Args& args) {
  auto config = args.config_path.empty() ? config::Config{} : config::read_file(args.config_path);
  if (!args.listen.empty()) config::parse_listen(args.listen, config.http);
  if (!args.data.empty()) config.data = args.data;
  if (!args.policy.empty()) config.policy = args.policy;
  for (const auto& text : args.experts) config.experts.push_back(config::parse_expert(text));
  if (config.data.empty()) config.data = config::default_data_dir();
  return config;
}

/// Servers that are there without being named: what the environment says, and the usual local
/// ports.
void discover(config::Config& config) {
  const char* off = std::getenv("SKILLYARD_DISCOVER");
  if (!config.experts.empty() || !config.discover || (off && std::string_view(off) == "off"))
    return;
  config.experts = experts::discover(experts::usual_places(), kDiscoverMs);
  for (const auto& expert : config.experts)
    spdlog::info("found expert {} at {}", expert.name, expert.url);
}

router::Rules read_rules(const config::Config& config) {
  router::Rules rules;
  std::vector<router::DeclaredExpert> declared;
  for (const auto& expert : config.experts) declared.emplace_back(expert.name, expert.skills);
  rules.policy = config.policy.empty() ? router::compile_cards(config.skills, declared)
                                       : router::load_policy(config.policy);
  rules.pools = config.pools;
  const auto is_auto = [](const auto& pool) { return pool.name == "auto"; };
  const auto found = std::find_if(rules.pools.begin(), rules.pools.end(), is_auto);
  if (found == rules.pools.end())
    rules.pools.insert(rules.pools.begin(), router::PoolOptions{})->name = "auto";
  else
    std::rotate(rules.pools.begin(), found, found + 1);
  return rules;
}

/// Says which of the policy's experts the pool lacks, and which of the pool's it knows nothing
/// about.
void tell_names(const router::Policy& policy, const experts::Roster& roster) {
  if (policy.empty() || policy.declared) {
    spdlog::info("no policy: {} decides; make one with `skillyard train`",
                 policy.empty() ? "each pool's default expert" : "what experts declare");
    return;
  }
  std::string missing, unknown;
  for (const auto& expert : policy.experts)
    if (!roster.find(expert.name)) missing += " " + expert.name;
  for (const auto& entry : roster.entries) {
    const auto same = [&](const auto& expert) { return expert.name == entry.options.name; };
    if (std::none_of(policy.experts.begin(), policy.experts.end(), same))
      unknown += " " + entry.options.name;
  }
  spdlog::info("policy {:016x}: {} experts, {} skills", policy.version, policy.experts.size(),
               policy.skills.size());
  if (!missing.empty()) spdlog::warn("in the policy, not in the pool:{}", missing);
  if (!unknown.empty()) spdlog::warn("in the pool, not in the policy (not routed to):{}", unknown);
}

void set_up_log(const std::string& level) {
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
  spdlog::set_level(spdlog::level::from_str(level == "warn" ? "warning" : level));
}

std::vector<http::Model> list_models(House& house) {
  std::vector<http::Model> models;
  const auto roster = house.roster.current();
  for (const auto& entry : roster->entries)
    models.push_back({.id = entry.options.name, .owned_by = "expert"});
  for (const auto& pool : house.rules.current()->pools)
    models.push_back({.id = "skillyard/" + pool.name, .owned_by = "skillyard"});
  return models;
}

std::string why_unready(House& house) {
  if (house.roster.current()->entries.empty()) return "no expert is configured";
  const auto now = experts::Clock::now();
  for (const auto& entry : house.roster.current()->entries)
    if (experts::is_healthy(*entry.standing, now)) return "";
  return "no expert is healthy";
}

}  // namespace

House::House(config::Config from)
    : config(std::move(from)),
      roster(experts::make_roster(config.experts, nullptr)),
      rules(read_rules(config)),
      journal(config.store, [](std::string_view sentence) { spdlog::warn("log: {}", sentence); }),
      records(config.store.path, journal) {
  tell_names(*rules.current()->policy, *roster.current());
}

http::Doors make_doors(House& house, boost::asio::io_context& loop, int index) {
  const auto rooms = std::make_shared<Rooms>(loop, house, index);
  http::Doors doors;
  doors.answer = [rooms](const router::Query& query, experts::Sink* sink) {
    return rooms->pipeline.answer(query, sink);
  };
  doors.route = [rooms](const router::Query& query) { return rooms->pipeline.route(query); };
  doors.explain = [rooms](const router::Query& query, const router::LoggedRoute& logged) {
    return rooms->pipeline.explain(query, logged);
  };
  doors.knows_expert = [&house](std::string_view name) {
    return house.roster.current()->find(name) != nullptr;
  };
  doors.knows_pool = [rooms](std::string_view name) { return rooms->pipeline.knows_pool(name); };
  doors.models = [&house] { return list_models(house); };
  doors.policy_version = [rooms] { return rooms->pipeline.policy_version(); };
  doors.records = &house.records;
  doors.metrics = [&house](std::string& out) {
    http::append_metrics(*house.roster.current(), out);
    http::append_metrics(house.journal.counts(), out);
    experts::append_metrics(house.models, out);
  };
  doors.unready = [&house] { return why_unready(house); };
  return doors;
}

/// Reads everything again; what is bad changes nothing.
void reload(House& house, const Args& args) {
  try {
    auto config = read_config(args);
    discover(config);
    auto rules = read_rules(config);
    house.roster.publish(experts::make_roster(config.experts, house.roster.current().get()));
    house.rules.publish(std::move(rules));
    tell_names(*house.rules.current()->policy, *house.roster.current());
    spdlog::info("configuration reloaded");
  } catch (const std::exception& error) {
    spdlog::error("the running configuration is kept: {}", error.what());
  }
}

config::Config settle(const Args& args, const char* log_level) {
  auto config = read_config(args);
  set_up_log(log_level ? log_level : config.log_level);
  discover(config);
  fs::create_directories(config.data);
  config.store.path = (fs::path(config.data) / "skillyard.db").string();
  return config;
}

}  // namespace house
