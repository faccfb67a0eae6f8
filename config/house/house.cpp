#include "config/house/house.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "config/embedded.h"
#include "experts/discover.h"
#include "router/cards.h"
#include "router/encoder.h"
#include "router/learn/gate_log.h"
#include "router/version_text.h"

namespace house {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int kDiscoverMs = 800;  // how long a start waits for servers that nobody named
constexpr std::chrono::seconds kSaveEvery{1};  // what keys spent; a kill -9 forgets that much

Json document_of(const Args& args) {
  Json document = Json::object();
  if (!args.listen.empty()) document["listen"] = args.listen;
  if (!args.admin.empty()) document["admin"] = {{"listen", args.admin}};
  if (!args.data.empty()) document["data"] = args.data;
  if (!args.policy.empty()) document["policy"] = args.policy;
  if (args.no_embedded) document["embedded"] = "never";
  for (const auto& text : args.experts)
    document["experts"].push_back(config::document_of(config::parse_expert(text)));
  return document;
}

/// Servers that are there without being named: what the environment says, and the usual local
/// ports.
void find_servers(config::Layers& layers, const config::Config& settings, store::AdminBook& book) {
  const char* off = std::getenv("SKILLYARD_DISCOVER");
  if (!settings.discover || (off && std::string_view(off) == "off")) return;
  if (!config::merge(layers, book.resources()).document["experts"].empty()) return;
  for (const auto& expert : experts::discover(experts::usual_places(), kDiscoverMs)) {
    spdlog::info("found expert {} at {}", expert.name, expert.url);
    layers.found.push_back(config::document_of(expert));
  }
}

/// The pool that comes with the program. One that is broken must not keep others from serving.
void find_embedded(config::Layers& layers, const config::Config& settings) {
  if (settings.embedded == config::Embedded::never) return;
  const auto dir = config::embedded_dir();
  if (dir.empty()) return;
  try {
    layers.embedded = config::read_embedded(dir);
    layers.embedded_always = settings.embedded == config::Embedded::always;
  } catch (const std::exception& error) {
    spdlog::warn("the embedded experts cannot serve: {}", error.what());
  }
}

/// What serves without being named by file or command line.
void discover(config::Layers& layers, const config::Config& settings, store::AdminBook& book) {
  find_servers(layers, settings, book);
  find_embedded(layers, settings);
}

/// Who serves because nobody else was named.
void tell_embedded(const config::Ledger& ledger) {
  std::string names;
  for (const auto& expert : ledger.list("experts"))
    if (expert.origin == name_of(config::Origin::embedded)) names += " " + expert.name;
  if (!names.empty())
    spdlog::info("embedded experts:{} (another expert takes their place; --no-embedded)", names);
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
    if (!entry.options.capabilities.embeddings &&
        std::none_of(policy.experts.begin(), policy.experts.end(), same))
      unknown += " " + entry.options.name;
  }
  spdlog::info("policy {}: {} experts, {} skills", router::version_text(policy.version),
               policy.experts.size(), policy.skills.size());
  if (!missing.empty()) spdlog::warn("in the policy, not in the pool:{}", missing);
  if (!unknown.empty()) spdlog::warn("in the pool, not in the policy (not routed to):{}", unknown);
  const auto makes_vectors = [&](const auto& entry) {
    return entry.options.capabilities.embeddings &&
           router::encoder_name(entry.options) == policy.dense.encoder;
  };
  if (!policy.dense.empty() &&
      std::none_of(roster.entries.begin(), roster.entries.end(), makes_vectors))
    spdlog::warn(
        "the policy was trained with the vectors of `{}`, and no expert with "
        "capabilities.embeddings has that model: it decides by words alone",
        policy.dense.encoder);
}

router::LookupOptions lookup_of(const config::Config& config) {
  router::LookupOptions options = config.lookup;
  options.path = (fs::path(config.data) / "knowledge.sqlite").string();
  return options;
}

/// What the vectors of the configured encoder are recorded under, now.
std::function<std::string()> encoder_of(const config::Config& config,
                                        const experts::RosterBoard& roster) {
  if (config.lookup.encoder.empty()) return nullptr;
  return [&roster, name = config.lookup.encoder] {
    const auto now = roster.current();
    const auto* entry = now->find(name);
    return entry == nullptr ? std::string() : router::encoder_name(entry->options);
  };
}

/// The learned gate: the file that is named, or the one that lies beside the database.
router::RetrievalModel gate_of(const config::Config& config) {
  if (!config.gate.empty()) return router::load_gate(config.gate);
  const auto usual = fs::path(config.data) / "gate.json";
  return fs::exists(usual) ? router::load_gate(usual.string()) : router::RetrievalModel{};
}

/// The text of a log line as members of a JSON object: `message`, and before it `request_id` where
/// the text begins with one in brackets (http/session.cpp).
class JsonText : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& line, const std::tm&,
              spdlog::memory_buf_t& out) override {
    std::string_view text(line.payload.data(), line.payload.size());
    const auto end = text.find("] ");
    if (text.starts_with('[') && end != std::string_view::npos) {
      append(R"("request_id":)", text.substr(1, end - 1), out);
      out.push_back(',');
      text.remove_prefix(end + 2);
    }
    append(R"("message":)", text, out);
  }

  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<JsonText>();
  }

 private:
  static void append(std::string_view head, std::string_view text, spdlog::memory_buf_t& out) {
    const auto replace = nlohmann::json::error_handler_t::replace;
    const std::string quoted = nlohmann::json(text).dump(-1, ' ', false, replace);
    out.append(head.data(), head.data() + head.size());
    out.append(quoted.data(), quoted.data() + quoted.size());
  }
};

void set_up_log(const std::string& level, const std::string& format) {
  if (format == "json") {
    auto lines = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
    lines->add_flag<JsonText>('*').set_pattern(
        R"({"time":"%Y-%m-%dT%H:%M:%S.%fZ","level":"%l",%*})");
    spdlog::set_formatter(std::move(lines));
  } else {
    spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
  }
  spdlog::set_level(spdlog::level::from_str(level == "warn" ? "warning" : level));
}

/// Old and new experts together, the new ones' options: what serves while pools and experts are
/// swapped one after the other.
std::shared_ptr<const experts::Roster> bridge_of(const experts::Roster& from,
                                                 const experts::Roster& to) {
  auto both = std::make_shared<experts::Roster>(to);
  for (const auto& entry : from.entries)
    if (!to.find(entry.options.name)) both->entries.push_back(entry);
  return both;
}

}  // namespace

std::int64_t unix_now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Settled settle(const Args& args, const char* log_level) {
  Settled settled;
  settled.layers = config::read_layers(args.config_path, document_of(args));
  config::Faults faults;
  const auto merged = config::merge(settled.layers, {});
  auto& settings = settled.settings;
  settings = config::read(merged.document, faults);
  if (!faults.empty()) config::refuse("the command line", faults);
  if (settings.data.empty()) settings.data = config::default_data_dir();
  set_up_log(log_level ? log_level : settings.log_level, settings.log_format);
  fs::create_directories(settings.data);
  settings.store.path = (fs::path(settings.data) / "skillyard.db").string();
  if (args.file_only) {
    store::AdminBook book(settings.store.path);
    config::give_back(book, unix_now_us());
  }
  return settled;
}

House::House(Settled from)
    : config(std::move(from.settings)),
      book(config.store.path),
      ledger((discover(from.layers, config, book), std::move(from.layers)), book),
      residents(config.residency, models),
      roster(experts::make_roster(ledger.config().experts, nullptr)),
      rules(rules_of(ledger.config())),
      journal(config.store, [](std::string_view sentence) { spdlog::warn("log: {}", sentence); }),
      lookup(
          lookup_of(config),
          [](std::string_view sentence) { spdlog::warn("knowledge: {}", sentence); },
          encoder_of(config, roster)),
      records(config.store.path, journal),
      keys(book, config.admin.require_key, unix_now_us()),
      checks(fs::path(config.data) / "checks.json") {
  tell_embedded(ledger);
  tell_names(*rules.current()->policy, *roster.current());
  const auto is_healthy = [this](std::string_view name) {
    const auto now = roster.current();
    const auto* entry = now->find(name);
    return entry == nullptr || experts::is_healthy(*entry->standing, experts::Clock::now());
  };
  ledger.connect([this](const config::Config& next) { return prepare(next); }, is_healthy);
  policy_path_ = ledger.config().policy;
  saver_ = std::jthread([this](const std::stop_token& stop) { keep_saving(stop); });
}

House::~House() {
  saver_.request_stop();
  saver_.join();
  save_spend();
}

void House::save_spend() {
  try {
    keys.save_spend(unix_now_us());
  } catch (const std::exception& error) {
    spdlog::warn("what keys spent is not saved: {}", error.what());
  }
}

void House::keep_saving(const std::stop_token& stop) {
  std::unique_lock lock(saving_);
  while (!stop.stop_requested()) {
    stopped_.wait_for(lock, stop, kSaveEvery, [] { return false; });
    save_spend();
  }
}

router::PolicyPtr policy_of(const config::Config& config) {
  if (!config.policy.empty()) return router::load_policy(config.policy);
  std::vector<router::DeclaredExpert> declared;
  for (const auto& expert : config.experts)
    if (expert.enabled && !expert.capabilities.embeddings)
      declared.emplace_back(expert.name, expert.skills);
  return router::compile_cards(config.skills, declared);
}

router::Rules House::rules_of(const config::Config& next) const {
  router::Rules made;
  const bool same =
      !next.policy.empty() && next.policy == policy_path_ && reloads_ == policy_reloads_;
  made.policy = same ? rules.current()->policy : policy_of(next);
  made.retrieval = gate_of(config);
  made.pools = config::pools_of(next);
  made.lives = next.lives;
  return made;
}

std::function<void()> House::prepare(const config::Config& next) {
  const auto now = roster.current();
  for (const auto& expert : next.experts)
    if (expert.kind == experts::Kind::native && expert.enabled && !fs::exists(expert.url))
      throw std::runtime_error("expert `" + expert.name + "`: there is no file " + expert.url);
  auto to = experts::make_roster(next.experts, now.get());
  const auto reloads = reloads_.load();
  auto made = rules_of(next);
  auto bridge = bridge_of(*now, *to);
  return [this, to = std::move(to), made = std::move(made), bridge = std::move(bridge),
          path = next.policy, reloads] {
    roster.publish(bridge);
    rules.publish(made);
    roster.publish(to);
    policy_path_ = path;  // not before: a change that is only validated loads its policy, too
    policy_reloads_ = reloads;
  };
}

void House::reload(const Args& args) {
  try {
    auto layers = config::read_layers(args.config_path, document_of(args));
    discover(layers, config, book);
    ++reloads_;  // the policy is read again, too
    const auto hidden = ledger.reload(std::move(layers));
    keys.reload(unix_now_us());
    tell_embedded(ledger);
    tell_names(*rules.current()->policy, *roster.current());
    for (const auto& name : hidden)
      spdlog::warn(
          "{} of the file is not used: administrators changed it since; POST "
          "/admin/{}/release gives it back",
          name, name);
    spdlog::info("configuration reloaded");
  } catch (const std::exception& error) {
    spdlog::error("the running configuration is kept: {}", error.what());
  }
}

}  // namespace house
