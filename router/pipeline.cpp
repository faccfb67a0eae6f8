#include "router/pipeline.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

#include "router/notice.h"
#include "router/seats.h"
#include "router/splitmix.h"
#include "router/view.h"

namespace router {

namespace {

namespace asio = boost::asio;
using experts::Clock;

constexpr std::size_t kVoteBytesMax = 64;        // of a vote in the log
constexpr std::uint64_t kGateSalt = 0x67617465;  // the gate draws from a stream of its own

std::int64_t us_since(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start).count();
}

/// The experts to ask, in order: the route's first k, then as many as may be asked after failures,
/// those first that need not be loaded: whoever was refused for a load should not wait for another.
std::vector<std::string> names_of(const Route& route, const PoolView& view, int fallbacks_max) {
  const std::size_t seats = std::min<std::size_t>(route.k, route.eligible());
  const auto count =
      std::min<std::size_t>(route.eligible(), route.k + static_cast<std::size_t>(fallbacks_max));
  std::vector<std::string> names;
  names.reserve(count);
  for (std::size_t i = 0; i < seats; ++i)
    names.push_back(view.experts[route.candidates[i].expert].name);
  for (const bool loaded : {true, false}) {
    for (std::size_t i = seats; i < route.eligible() && names.size() < count; ++i) {
      const PoolExpert& expert = view.experts[route.candidates[i].expert];
      if ((expert.load_wait_ms == 0) == loaded) names.push_back(expert.name);
    }
  }
  return names;
}

/// The route of a client that named its expert: nothing to decide.
Route route_to(std::string_view name, const PoolView& view) {
  Route route;
  for (std::uint32_t i = 0; i < view.experts.size(); ++i) {
    if (view.experts[i].name != name) continue;
    route.candidates.push_back({.expert = i});
    route.reason = Reason::asked;
  }
  return route;
}

/// Call::kin of a query: its first skill under its policy.
std::uint64_t kin_of(const Route& route) {
  return route.skills.empty() ? 0 : route.policy_version + route.skills.front().skill + 1;
}

/// How answers become one, where the request or its pool says so.
std::optional<aggregator::Mode> mode_wanted(const Query& query, const AggregationOptions& pool) {
  return query.knobs.aggregation ? query.knobs.aggregation : pool.mode;
}

store::CallRow row_of(const experts::Reply& reply) {
  return {.expert = reply.expert,
          .outcome = std::string(experts::name_of(reply.outcome)),
          .status = reply.status,
          .attempts = reply.attempts,
          .usage_known = reply.usage.known,
          .prompt_tokens = reply.usage.prompt_tokens,
          .completion_tokens = reply.usage.completion_tokens,
          .cached_tokens = reply.usage.cached_tokens,
          .cost_microusd = reply.cost_microusd,
          .queued_us = reply.timings.queued_us,
          .first_byte_us = reply.timings.first_byte_us,
          .total_us = reply.timings.total_us};
}

}  // namespace

Pipeline::Pipeline(experts::Pool& pool, const RulesBoard& rules, store::Journal& journal,
                   Lookup* lookup, VectorOptions vectors, QueryVectors::Warn warn)
    : pool_(pool),
      board_(rules),
      journal_(journal),
      lookup_(lookup),
      vectors_(pool, vectors, std::move(warn)) {}

boost::asio::awaitable<aggregator::Answer> Pipeline::answer(Query& query, experts::Sink* sink) {
  const auto start = Clock::now();
  QueryVectors::Fetched vector;
  if (lacks_vector(query)) vector = co_await fetch_vector(query);
  const Decided decided = decide_for(query);
  query.call.kin = kin_of(decided.route);
  Retrieved retrieved;
  retrieved.cancelled = vector.cancelled;
  if (!vector.cancelled && may_retrieve(query, decided)) {
    const RetrievalTask task = task_of(query, decided);
    if (task.rules.mode != RetrievalMode::never)
      retrieved = co_await retrieve(*lookup_, pool_, query, task);
  }
  aggregator::Answer answer;
  if (retrieved.cancelled) {
    // Nobody is asked, nobody waits.
  } else if (decided.route.reason == Reason::outside) {
    answer = co_await give_notice(decided.desk->notice, query, sink);
  } else {
    answer = co_await ask_experts(query, decided, retrieved, sink);
  }
  answer.decision_id = query.id;
  answer.retrieval = std::move(retrieved.record);
  answer.cost_microusd += retrieved.cost_microusd + vector.cost_microusd;
  log(query, decided, answer, us_since(start));
  co_return answer;
}

/// One expert and its fallbacks, or a panel.
asio::awaitable<aggregator::Answer> Pipeline::ask_experts(const Query& query,
                                                          const Decided& decided,
                                                          const Retrieved& retrieved,
                                                          experts::Sink* sink) {
  const Desk& desk = *decided.desk;
  const std::vector<std::string> names = names_of(decided.route, desk.view, desk.fallbacks_max);
  const auto wanted = mode_wanted(query, desk.aggregation);
  const bool corrects = wanted == aggregator::Mode::corrected && !retrieved.passages.empty();
  PanelTask task;
  if (decided.route.k > 1 || corrects) task = panel_of(query, decided, retrieved);
  aggregator::Answer answer;
  if (task.plan.competence.size() < 2 && !corrects) {
    if (query.on_asking && !names.empty()) query.on_asking({names.front()});
    const experts::Call& call = retrieved.call ? *retrieved.call : query.call;
    answer = co_await ask_in_turn(pool_, names, call, sink);
    co_return answer;
  }
  task.names = names;
  if (query.on_asking)
    query.on_asking({names.begin(), names.begin() + std::ssize(task.plan.competence)});
  // An answer that was made of passages could not be held against them.
  const experts::Call& call = retrieved.call && !corrects ? *retrieved.call : query.call;
  answer = co_await ask_several(pool_, task, call, sink);
  co_return answer;
}

/// Who sits on the panel of a query, and how it is counted; one seat where nobody else need be
/// asked.
PanelTask Pipeline::panel_of(const Query& query, const Decided& decided,
                             const Retrieved& retrieved) {
  const Desk& desk = *decided.desk;
  PanelTask task;
  task.question = last_words(query.call);
  auto declared = query.knobs.answer_type;
  if (!declared && query.needs.json_schema) declared = aggregator::AnswerType::json;
  auto question = aggregator::read_question(task.question, declared);
  const auto choices = describe_choices(question);
  const auto mode =
      mode_of(*desk.policy, decided.route, question.type, mode_wanted(query, desk.aggregation));
  const std::uint32_t seats = seats_of(decided.route, mode);
  task.plan =
      plan_panel(*desk.policy, desk.view, decided.route, seats, mode, std::move(question), choices);
  if (mode == aggregator::Mode::corrected) task.plan.passages = retrieved.passages;
  task.reader = desk.aggregation.expert;
  for (const PoolExpert& expert : desk.view.experts) task.everyone.push_back(expert.name);
  task.seed = query.seed;
  return task;
}

/// The cheap question before task_of(), for the many queries that look nothing up.
bool Pipeline::may_retrieve(const Query& query, const Decided& decided) const {
  if (lookup_ == nullptr || decided.route.eligible() == 0 || decided.route.k == 0) return false;
  if (query.call.task == experts::Task::embeddings) return false;
  const auto mode = decided.desk->retrieval.mode;
  const bool wanted =
      query.knobs.retrieval || mode == PoolRetrieval::gated || mode == PoolRetrieval::on;
  return wanted && lookup_->has_passages();
}

RetrievalTask Pipeline::task_of(const Query& query, const Decided& decided) {
  const Desk& desk = *decided.desk;
  const Route& route = decided.route;
  RetrievalTask task = start_retrieval(desk.retrieval, query);
  task.model = desk.retrieval_model;
  const bool learned = !desk.policy->empty() && !desk.policy->declared;
  const Candidate& first = route.candidates.front();
  if (learned && route.reason != Reason::asked && first.p_correct > 0)
    task.c0 = static_cast<double>(first.p_correct);
  const std::uint32_t asked = std::max(1U, std::min(route.k, route.eligible()));
  for (std::uint32_t i = 0; i < asked; ++i) {
    const PoolExpert& expert = desk.view.experts[route.candidates[i].expert];
    task.price_in_microusd += expert.price_in_microusd;
    if (expert.context_tokens == 0) continue;
    const auto& needs = query.needs;
    task.tokens_free = std::min<std::int64_t>(
        task.tokens_free, expert.context_tokens - needs.tokens_in_estimate - needs.tokens_out_max);
  }
  std::uint64_t state = query.seed ^ kGateSalt;
  task.chance = draw_unit(state);
  return task;
}

bool Pipeline::lacks_vector(const Query& query) {
  const Policy& policy = *current_rules().policy;
  if (policy.dense.empty() || !query.expert.empty()) return false;
  return query.call.task != experts::Task::embeddings && vectors_.lacks(policy, query.text);
}

asio::awaitable<QueryVectors::Fetched> Pipeline::fetch_vector(const Query& query) {
  const PolicyPtr policy = current_rules().policy;  // it may be another one when the vector comes
  const auto fetched = co_await vectors_.fetch(*policy, query.text, query.call.deadline);
  co_return fetched;
}

asio::awaitable<void> Pipeline::prepare(const Query& query) {
  if (lacks_vector(query)) co_await fetch_vector(query);
}

LoggedRoute Pipeline::route(const Query& query) {
  Decided decided = decide_for(query);
  LoggedRoute named;
  for (auto& skill : decided.route.skills) {
    named.skills.push_back(decided.desk->policy->skills[skill.skill]);
    skill.skill = static_cast<std::uint32_t>(named.skills.size() - 1);
  }
  for (auto& candidate : decided.route.candidates) {
    named.experts.push_back(decided.desk->view.experts[candidate.expert].name);
    candidate.expert = static_cast<std::uint32_t>(named.experts.size() - 1);
  }
  named.route = std::move(decided.route);
  return named;
}

Explanation Pipeline::explain(const Query& query, const LoggedRoute& logged) {
  const auto& now = pool_.describe();
  const auto desk = desk_of(query);
  refresh(*desk, now);
  return router::explain(query, logged, *desk->policy, desk->view);
}

Pipeline::Decided Pipeline::decide_for(const Query& query) {
  const auto start = Clock::now();
  const auto& now = pool_.describe();  // notices a new roster, too
  const auto desk = desk_of(query);
  refresh(*desk, now);
  Decided decided;
  decided.desk = desk;
  if (query.call.task == experts::Task::embeddings && query.expert.empty()) {
    decided.route = route_to(encoder_of(query.pool), desk->view);
  } else if (query.expert.empty()) {
    // Without a policy nobody reads them.
    if (desk->policy->empty())
      features_ = {};
    else
      extractor_.extract(query.text, features_);
    if (!desk->policy->dense.empty()) features_.vector = vectors_.find(*desk->policy, query.text);
    decide(query, features_, *desk->policy, desk->view, scratch_, decided.route);
  } else {
    decided.route = route_to(query.expert, desk->view);
  }
  decided.took_us = us_since(start);
  return decided;
}

/// Taken from the board only when there are new ones.
const Rules& Pipeline::current_rules() {
  const auto version = board_.version();
  if (!rules_ || rules_version_ != version) {
    rules_version_ = version;
    rules_ = board_.current();
    desks_.clear();
  }
  return *rules_;
}

std::shared_ptr<Pipeline::Desk> Pipeline::desk_of(const Query& query) {
  const Rules& rules = current_rules();
  if (pool_version_ != pool_.version()) {
    pool_version_ = pool_.version();
    desks_.clear();
  }
  const std::string_view name = query.expert.empty() ? std::string_view(query.pool) : "auto";
  if (const auto found = desks_.find(name); found != desks_.end()) return found->second;
  const auto pool = std::find_if(rules.pools.begin(), rules.pools.end(),
                                 [&](const PoolOptions& options) { return options.name == name; });
  // The edge asks knows_pool() first; a pool that vanished in between has no members left.
  PoolOptions gone;
  gone.name = name;
  gone.experts = {""};
  auto desk = make_desk(rules, pool == rules.pools.end() ? gone : *pool);
  if (pool != rules.pools.end()) desks_.emplace(name, desk);
  return desk;
}

std::shared_ptr<Pipeline::Desk> Pipeline::make_desk(const Rules& rules, const PoolOptions& pool) {
  auto desk = std::make_shared<Desk>();
  desk->policy = rules.policy;
  desk->fallbacks_max = pool.fallbacks_max;
  desk->retrieval = pool.retrieval;
  desk->aggregation = pool.aggregation;
  desk->retrieval_model = rules.retrieval;
  std::vector<const experts::ExpertOptions*> experts;
  for (const auto& expert : pool_.describe()) experts.push_back(expert.options);
  desk->view = view_of(experts, pool, rules.lives, *desk->policy);
  if (!desk->policy->empty()) desk->notice = outside_notice(*desk->policy);
  return desk;
}

/// What moves between two queries: health, load, latency.
void Pipeline::refresh(Desk& desk, const std::vector<experts::ExpertView>& now) {
  for (std::size_t i = 0; i < now.size() && i < desk.view.experts.size(); ++i) {
    auto& expert = desk.view.experts[i];
    expert.healthy = now[i].healthy;
    expert.latency_ms = static_cast<float>(now[i].total_us) / 1000.0F;
    expert.load = static_cast<float>(now[i].inflight + now[i].queued) /
                  static_cast<float>(std::max(1, now[i].options->concurrency_max));
    expert.load_wait_ms = static_cast<float>(now[i].load_wait_us) / 1000.0F;
  }
}

void Pipeline::log(const Query& query, const Decided& decided, const aggregator::Answer& answer,
                   std::int64_t total_us) {
  const auto& [desk, route, took_us] = decided;
  store::Decision row;
  row.id = query.id;
  row.unix_us = query.unix_us;
  row.query_hash = XXH3_64bits(query.text.data(), query.text.size());
  if (journal_.keeps_text()) row.text = query.text;
  row.model = query.model;
  row.pool = query.pool;
  row.policy_version = route.policy_version;
  row.features_hash = route.features_hash;
  row.seed = query.seed;
  encode_route(
      route,
      [&of = *desk](std::uint32_t skill) { return std::string_view(of.policy->skills[skill]); },
      [&of = *desk](std::uint32_t expert) {
        return std::string_view(of.view.experts[expert].name);
      },
      row.route);
  row.reason = name_of(route.reason);
  row.gate = answer.retrieval;
  row.propensity = route.propensity;
  row.abstained = route.abstained;
  row.mode = aggregator::name_of(answer.mode);
  if (query.call.task == experts::Task::embeddings) row.mode = "embeddings";
  row.outcome = answer.mode == aggregator::Mode::notice ? "ok" : "nobody";
  if (!answer.replies.empty() && answer.mode != aggregator::Mode::notice) {
    const auto& reply = answer.reply();
    if (answer.ok()) row.expert = reply.expert;
    row.outcome = experts::name_of(reply.outcome);
    row.finish_reason = reply.finish_reason;
    row.first_byte_us = reply.timings.first_byte_us;
  }
  const auto calls = answer.mode == aggregator::Mode::notice ? 0 : answer.replies.size();
  row.calls.reserve(calls);
  for (std::size_t i = 0; i < calls; ++i) {
    row.calls.push_back(row_of(answer.replies[i]));
    if (i < answer.votes.size()) row.calls.back().vote = answer.votes[i].substr(0, kVoteBytesMax);
  }
  row.confidence = answer.confidence;
  row.changed = answer.changed;
  row.prompt_tokens = answer.usage.prompt_tokens;
  row.completion_tokens = answer.usage.completion_tokens;
  row.cached_tokens = answer.usage.cached_tokens;
  row.cost_microusd = answer.cost_microusd;
  row.decide_us = took_us;
  row.total_us = total_us;
  row.stream = query.call.stream;
  journal_.put(std::move(row));
}

bool Pipeline::knows_pool(std::string_view name) {
  const Rules& rules = current_rules();
  return std::any_of(rules.pools.begin(), rules.pools.end(),
                     [&](const PoolOptions& pool) { return pool.name == name; });
}

std::string Pipeline::encoder_of(std::string_view pool) {
  const Rules& rules = current_rules();
  const auto found = std::find_if(rules.pools.begin(), rules.pools.end(),
                                  [&](const PoolOptions& options) { return options.name == pool; });
  if (found == rules.pools.end()) return {};
  for (const auto& expert : pool_.describe())
    if (expert.options->capabilities.embeddings && is_member(*found, expert.name))
      return std::string(expert.name);
  return {};
}

std::uint64_t Pipeline::policy_version() {
  return current_rules().policy->version;
}

}  // namespace router
