// What the edge asks of the house.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <cmath>
#include <filesystem>

#include "config/house/house.h"
#include "experts/check.h"
#include "experts/cost.h"
#include "experts/native_metrics.h"
#include "http/room_metrics.h"
#include "router/encoder.h"
#include "router/interview.h"
#include "router/passage_search.h"
#include "router/passages.h"
#include "router/vector_maker.h"
#include "router/vectors.h"

namespace house {

namespace {

using Json = nlohmann::json;

constexpr std::int64_t kTokensOutAssumed = 16'384;  // of a reply that nobody bounds
constexpr std::int64_t kTokensOfTemplate = 1'024;   // that a server adds around the messages
constexpr std::size_t kAdminConnectionsMax = 64;
constexpr int kCheckMs = 10'000;  // for an expert to list its models, and again to answer

std::vector<http::Model> list_models(House& house) {
  std::vector<http::Model> models;
  const auto roster = house.roster.current();
  for (const auto& entry : roster->entries) {
    http::Model model = {.id = entry.options.name, .owned_by = "expert"};
    const auto state = entry.standing->load_state.load(std::memory_order_relaxed);
    if (state != experts::Standing::kAlwaysThere) {
      model.state = experts::name_of(static_cast<experts::LoadState>(state));
      model.load_wait_ms = entry.standing->load_wait_us.load(std::memory_order_relaxed) / 1000;
    }
    models.push_back(std::move(model));
  }
  const auto rules = house.rules.current();
  for (const auto& pool : rules->pools)
    models.push_back({.id = "skillyard/" + pool.name, .owned_by = "skillyard"});
  return models;
}

std::string why_unready(House& house) {
  const auto roster = house.roster.current();
  if (roster->entries.empty()) return "no expert is configured";
  const auto now = experts::Clock::now();
  for (const auto& entry : roster->entries)
    if (experts::is_healthy(*entry.standing, now)) return "";
  return "no expert is healthy";
}

/// No token is shorter than a byte, so the request's bytes bound its tokens.
/// `passages`: what may be put before the question, in bytes.
std::int64_t call_bound_microusd(const router::Query& query, const experts::ExpertOptions& expert,
                                 std::int64_t passages) {
  auto out = query.needs.tokens_out_max;
  if (out == 0) out = expert.context_tokens > 0 ? expert.context_tokens : kTokensOutAssumed;
  experts::Usage most;
  most.known = true;
  most.prompt_tokens =
      static_cast<std::int64_t>(query.call.wire.size()) + kTokensOfTemplate + passages;
  most.completion_tokens = out * query.needs.choices;
  experts::Prices dearest = expert.prices;
  dearest.in = std::max(dearest.in, dearest.cached);
  return experts::cost_of(most, dearest) + 1;
}

/// Most that a query's vector may cost.
std::int64_t encode_bound_microusd(const House& house) {
  const auto roster = house.roster.current();
  const auto* encoder = roster->find(house.lookup.options().encoder);
  if (encoder == nullptr || !house.lookup.wants_vector()) return 0;
  const auto bytes = static_cast<std::int64_t>(house.lookup.options().rules.query_bytes_max);
  return bytes * encoder->options.prices.in / 1'000'000 + 1;
}

/// The same of the vector that the policy reads.
std::int64_t route_bound_microusd(const experts::Roster& roster, const router::Policy& policy) {
  constexpr auto kBytes =
      static_cast<std::int64_t>(router::kEncodedBytesMax + router::kFingerprintText.size());
  if (policy.dense.empty()) return 0;
  for (const auto& entry : roster.entries)
    if (entry.options.capabilities.embeddings &&
        router::encoder_name(entry.options) == policy.dense.encoder)
      return kBytes * entry.options.prices.in / 1'000'000 + 1;
  return 0;
}

http::CostBound cost_bound(const House& house, const router::Query& query) {
  http::CostBound bound;
  const auto rules = house.rules.current();
  const auto roster = house.roster.current();
  const router::PoolOptions* pool = nullptr;
  for (const auto& one : rules->pools)
    if (one.name == (query.expert.empty() ? std::string_view(query.pool) : "auto")) pool = &one;
  const bool reads =
      house.lookup.has_passages() && pool != nullptr &&
      router::start_retrieval(pool->retrieval, query).rules.mode != router::RetrievalMode::never;
  const std::int64_t passages = reads ? router::kFrameBytesMax : 0;
  const bool encodes = query.call.task == experts::Task::embeddings;
  for (const auto& entry : roster->entries) {
    if (entry.options.capabilities.embeddings != encodes) continue;
    const auto& name = entry.options.name;
    const bool named = !query.expert.empty() && query.expert == name;
    const bool member =
        query.expert.empty() && pool != nullptr &&
        (pool->experts.empty() ||
         std::find(pool->experts.begin(), pool->experts.end(), name) != pool->experts.end());
    const bool reader = pool != nullptr && pool->aggregation.expert == name;
    if (named || member || reader)
      bound.call_microusd =
          std::max(bound.call_microusd, call_bound_microusd(query, entry.options, passages));
  }
  if (reads && !encodes) bound.call_microusd += encode_bound_microusd(house);
  if (query.expert.empty() && !encodes)
    bound.call_microusd += route_bound_microusd(*roster, *rules->policy);
  const int k = query.knobs.k.value_or(1);
  const auto wanted =
      pool == nullptr || query.knobs.aggregation ? query.knobs.aggregation : pool->aggregation.mode;
  const bool corrects = reads && wanted == aggregator::Mode::corrected;
  bound.calls = k > 1 || corrects ? k + 1 : 1;  // one more may be asked, to read the answers
  return bound;
}

std::string_view name_of(experts::BreakerState state) {
  switch (state) {
    case experts::BreakerState::closed:
      return "closed";
    case experts::BreakerState::open:
      return "open";
    default:
      return "half_open";
  }
}

std::string_view name_of(router::Stage stage) {
  switch (stage) {
    case router::Stage::shadow:
      return "shadow";
    case router::Stage::ramp:
      return "ramp";
    case router::Stage::draining:
      return "draining";
    default:
      return "active";
  }
}

/// What the running policy has of an expert; null: it does not know it, or nothing was learned.
Json known_of(const router::Policy& policy, std::string_view name) {
  if (policy.declared) return {};
  const auto found = std::find_if(policy.experts.begin(), policy.experts.end(),
                                  [&](const auto& expert) { return expert.name == name; });
  if (found == policy.experts.end()) return {};
  return {{"outcomes", found->outcomes}, {"mean", found->mean}};
}

/// Why an expert that is well is, or is not, asked.
std::string reason_of(const router::Life& life, const experts::Standing& standing,
                      const router::Policy& policy, bool known) {
  const auto running = standing.inflight.load() + standing.queued.load();
  switch (life.stage) {
    case router::Stage::shadow:
      return "weighed and logged with every query, not asked";
    case router::Stage::ramp:
      return "asked for " + std::to_string(std::lround(100 * life.share)) +
             "% of the queries that it wins";
    case router::Stage::draining:
      return running > 0 ? std::to_string(running) + " calls have not ended yet"
                         : "no call runs: it can be removed";
    case router::Stage::active:
      break;
  }
  const bool learned = !policy.empty() && !policy.declared;
  return learned && !known ? "the running policy does not know it: asked by name only, until probed"
                           : "";
}

/// Why clients are kept from an expert, as far as its calls say.
std::string why_unwell(const experts::Standing& standing, experts::BreakerState breaker) {
  if (breaker == experts::BreakerState::closed) return "it asked for a pause (429)";
  std::uint64_t most = 0;
  std::string_view mostly;
  for (std::size_t i = 0; i < experts::kOutcomes; ++i) {
    const auto outcome = static_cast<experts::Outcome>(i);
    const auto count = standing.outcomes[i].load();
    if (!experts::counts_as_failure(outcome) || count <= most) continue;
    most = count;
    mostly = name_of(outcome);
  }
  const std::string tail = most == 0 ? "" : ", mostly: " + std::string(mostly);
  return "it failed too often" + tail;
}

/// Stage, health and load of an expert, all net threads together.
Json status_of(const House& house, const std::string& name) {
  const auto roster = house.roster.current();
  const auto rules = house.rules.current();
  const auto policy = rules->policy;
  const auto* entry = roster->find(name);
  Json known = known_of(*policy, name);
  Json checked = house.checks.last(name);
  if (entry == nullptr)
    return {{"state", "disabled"},
            {"healthy", false},
            {"reason", "an administrator, or the file, disabled it"},
            {"checked", std::move(checked)},
            {"policy", std::move(known)}};
  const auto found = rules->lives.find(name);
  const auto life = found == rules->lives.end() ? router::Life() : found->second;
  const auto& standing = *entry->standing;
  const auto now = experts::Clock::now();
  const bool healthy = experts::is_healthy(standing, now);
  const auto breaker = standing.breaker.state(now);
  Json outcomes = Json::object();
  for (std::size_t i = 0; i < experts::kOutcomes; ++i) {
    const auto count = standing.outcomes[i].load();
    if (count > 0) outcomes[std::string(name_of(static_cast<experts::Outcome>(i)))] = count;
  }
  const auto reason = healthy ? reason_of(life, standing, *policy, !known.is_null())
                              : why_unwell(standing, breaker);
  return {{"state", name_of(life.stage)},
          {"share", life.stage == router::Stage::shadow ? 0 : life.share},
          {"healthy", healthy},
          {"reason", reason},
          {"checked", std::move(checked)},
          {"policy", std::move(known)},
          {"breaker", name_of(breaker)},
          {"inflight", standing.inflight.load()},
          {"queued", standing.queued.load()},
          {"first_byte_us", standing.first_byte_us.load()},
          {"total_us", standing.total_us.load()},
          {"cost_microusd", standing.cost_microusd.load()},
          {"outcomes", std::move(outcomes)}};
}

/// Whether an expert, enabled or not, can be reached and answers.
std::optional<Json> check_now(const House& house, const std::string& name) {
  const auto config = house.ledger.config();
  const auto found = std::find_if(config.experts.begin(), config.experts.end(),
                                  [&](const auto& expert) { return expert.name == name; });
  if (found == config.experts.end()) return std::nullopt;
  if (found->kind == experts::Kind::native) {
    const bool there = std::filesystem::exists(found->url);
    return Json{{"object", "skillyard.check"}, {"good", there}, {"file", there}};
  }
  const auto checked = experts::check(*found, kCheckMs);
  const auto& wanted = found->model.empty() ? found->name : found->model;
  const auto& all = checked.models;
  Json has_model;  // null: it does not say
  if (checked.listed) has_model = std::find(all.begin(), all.end(), wanted) != all.end();
  const bool good = checked.reply.outcome == experts::Outcome::ok;
  return Json{{"object", "skillyard.check"},       {"good", good},
              {"lists_models", checked.listed},    {"models", checked.models},
              {"has_model", std::move(has_model)}, {"outcome", name_of(checked.reply.outcome)},
              {"error", checked.reply.error},      {"total_us", checked.reply.timings.total_us}};
}

/// Why a check went wrong, in words.
std::string why_bad(const Json& checked) {
  if (checked.contains("file")) return "its file is not there";
  const auto outcome = checked.value("outcome", ""), error = checked.value("error", "");
  return error.empty() ? outcome : outcome + ": " + error;
}

std::optional<Json> check(House& house, const std::string& name) {
  auto checked = check_now(house, name);
  if (!checked) return checked;
  Json how = {{"good", checked->at("good")}};
  how["reason"] = checked->at("good").get<bool>() ? "" : why_bad(*checked);
  house.checks.note(name, std::move(how), unix_now_us());
  return checked;
}

void append_lookups(const router::Lookup& lookup, std::string& out) {
  out.append("# TYPE skillyard_lookups_total counter\n");
  const auto counts = lookup.counts();
  for (std::size_t i = 0; i < counts.size(); ++i)
    out.append("skillyard_lookups_total{outcome=\"")
        .append(name_of(static_cast<router::LookupOutcome>(i)))
        .append("\"} ")
        .append(std::to_string(counts[i]))
        .append("\n");
  out.append("# TYPE skillyard_passage_vectors gauge\nskillyard_passage_vectors ")
      .append(std::to_string(lookup.vectors()))
      .append("\n");
}

http::Edited edit(House& house, const http::Edit& wish) {
  std::optional<config::Ledger::Change> change;
  auto edited = house.ledger.edit(wish, wish.simulate ? &change : nullptr);
  if (change)
    edited.simulation = simulate(house, *change, wish.kind == "pools" ? wish.name : "auto");
  return edited;
}

std::unique_ptr<experts::Pool> make_pool(House& house, boost::asio::io_context& loop) {
  const experts::PoolOptions options = {.net_threads = house.config.http.net_threads};
  return std::make_unique<experts::Pool>(loop, house.roster, options,
                                         experts::make_native_maker(house.models),
                                         house.residents.wrapper());
}

}  // namespace

std::unique_ptr<router::VectorFill> fill_vectors(House& house) {
  if (house.config.lookup.encoder.empty()) return nullptr;
  return std::make_unique<router::VectorFill>(
      house.lookup.options(), house.roster,
      [&house](boost::asio::io_context& loop) { return make_pool(house, loop); },
      [](std::string_view sentence) { spdlog::warn("knowledge: {}", sentence); });
}

Rooms::Rooms(boost::asio::io_context& loop, House& house, int index)
    : pool(loop, house.roster,
           {.net_threads = house.config.http.net_threads,
            .seed = static_cast<std::uint64_t>(index) + 1},
           experts::make_native_maker(house.models), house.residents.wrapper()),
      pipeline(pool, house.rules, house.journal, &house.lookup, house.config.vectors,
               [](std::string_view sentence) { spdlog::warn("policy: {}", sentence); }) {}

http::Doors make_doors(House& house, boost::asio::io_context& loop, int index) {
  const auto rooms = std::make_shared<Rooms>(loop, house, index);
  http::Doors doors;
  doors.answer = [rooms](router::Query& query, experts::Sink* sink) {
    return rooms->pipeline.answer(query, sink);
  };
  doors.prepare = [rooms](const router::Query& query) { return rooms->pipeline.prepare(query); };
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
  doors.batches = house.batches;
  doors.keys = &house.keys;
  doors.cost_bound = [&house](const router::Query& query) { return cost_bound(house, query); };
  doors.metrics = [&house](std::string& out) {
    http::append_metrics(*house.roster.current(), out);
    http::append_metrics(house.journal.counts(), out);
    append_lookups(house.lookup, out);
    experts::append_metrics(house.models, out);
    experts::append_metrics(house.residents, out);
    out.append("# TYPE skillyard_key_refusals_total counter\nskillyard_key_refusals_total ");
    out.append(std::to_string(house.keys.refusals())).append("\n");
  };
  doors.unready = [&house] { return why_unready(house); };
  return doors;
}

http::Options admin_options(const config::Config& config) {
  http::Options options = config.http;
  config::parse_listen(config.admin.listen, options.address, options.port);
  options.tls = config.admin.tls;
  options.net_threads = 1;
  options.connections_max = kAdminConnectionsMax;
  options.body_bytes_max = config.admin.policy_bytes_max;
  options.bodies_bytes_max = 2 * config.admin.policy_bytes_max;
  return options;
}

http::Doors make_admin_doors(House& house, boost::asio::io_context& loop) {
  boost::system::error_code bad;
  const auto address = boost::asio::ip::make_address(admin_options(house.config).address, bad);
  http::AdminDoors& admin = house.admin;
  admin.options = house.config.admin;
  admin.keys = &house.keys;
  admin.on_loopback = !bad && address.is_loopback();
  admin.log_path = house.config.store.path;
  admin.knowledge_path = (std::filesystem::path(house.config.data) / "knowledge.sqlite").string();
  admin.policies_dir = (std::filesystem::path(house.config.data) / "policies").string();
  admin.outcomes_dir = (std::filesystem::path(house.config.data) / "outcomes").string();
  house.eval_book = std::make_unique<store::EvalBook>(house.config.store.path, unix_now_us());
  house.jobs = std::make_unique<router::Jobs>(*house.eval_book);
  admin.eval_book = house.eval_book.get();
  admin.jobs = house.jobs.get();
  admin.policy = [&house] { return house.rules.current()->policy; };
  admin.edit = [&house](const http::Edit& wish) { return edit(house, wish); };
  admin.list = [&house](std::string_view kind) { return house.ledger.list(kind); };
  admin.status = [&house](std::string_view name) { return status_of(house, std::string(name)); };
  admin.workers = &house.workers;
  admin.check = [&house](const std::string& name) { return check(house, name); };
  admin.quote = [&house](const router::InterviewTask& task) {
    return router::quote(task, *house.roster.current());
  };
  const router::InterviewDoors interviews = {house.roster, experts::make_native_maker(house.models),
                                             house.residents.wrapper()};
  admin.interview = [interviews](const router::InterviewTask& task, const router::GoOn& go_on) {
    return router::interview(task, interviews, go_on);
  };
  admin.vectors = router::make_vectors(
      (std::filesystem::path(house.config.data) / "vectors.db").string(), interviews);
  admin.config = [&house] { return house.ledger.show(); };
  admin.shapes = [] { return config::shapes(); };
  admin.versions = [&house](std::int64_t before, int limit) {
    return house.ledger.versions(before, limit);
  };
  admin.version = [&house](std::int64_t number) { return house.ledger.version(number); };
  const auto rooms = std::make_shared<Rooms>(loop, house, house.config.http.net_threads);
  http::Doors doors;
  doors.explain = [rooms](const router::Query& query, const router::LoggedRoute& logged) {
    return rooms->pipeline.explain(query, logged);
  };
  doors.admin = &admin;
  doors.batches = house.batches;
  doors.keys = &house.keys;
  doors.records = &house.records;
  doors.policy_version = [&house] { return house.rules.current()->policy->version; };
  return doors;
}

}  // namespace house
