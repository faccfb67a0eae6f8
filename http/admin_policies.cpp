#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "http/admin.h"
#include "http/admin_doors.h"
#include "http/net_thread.h"
#include "http/policy_keeper.h"
#include "http/records.h"
#include "http/workers.h"
#include "router/learn/policy_map.h"
#include "router/policy.h"
#include "router/version_text.h"

namespace http {

namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

using Json = nlohmann::json;

constexpr std::int64_t kPointsMax = 200;  // of a frontier
constexpr double kNormal95 = 1.96;        // standard deviations

bool is_version(const std::string& text) {
  return text.size() == 16 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

/// Names of the experts that are enabled.
std::set<std::string> pool_of(const AdminDoors& doors) {
  std::set<std::string> names;
  for (const auto& shown : doors.list("experts"))
    if (shown.document.value("enabled", true)) names.insert(shown.name);
  return names;
}

/// A row a skill, a column an expert, as the map's matrices are the other way round.
template <typename Figure>
Json by_skill(const router::PolicyMap& map, Figure figure) {
  Json rows = Json::array();
  for (std::size_t s = 0; s < map.skills.size(); ++s) {
    Json row = Json::array();
    for (std::size_t e = 0; e < map.experts.size(); ++e)
      row.push_back(figure(e * map.skills.size() + s));
    rows.push_back(std::move(row));
  }
  return rows;
}

Json profiles_of(const router::Policy& policy, const std::set<std::string>& pool) {
  const auto map = router::make_policy_map(policy, {});
  Json experts = Json::array();
  for (const auto& expert : policy.experts)
    experts.push_back({{"name", expert.name},
                       {"in_pool", pool.contains(expert.name)},
                       {"mean", expert.mean},
                       {"cost_usd", expert.cost_usd < 0 ? Json() : Json(expert.cost_usd)},
                       {"outcomes", expert.outcomes}});
  const auto& rate = map.problem.value;
  const auto outcomes = [&](std::size_t at) {
    const auto e = at / map.skills.size(), s = at % map.skills.size();
    return policy.support[s * policy.experts.size() + e];
  };
  const auto interval = [&](std::size_t at) {
    const double half = kNormal95 * map.sd[at];
    return Json{std::max(0.0, rate[at] - half), std::min(1.0, rate[at] + half)};
  };
  return {{"object", "skillyard.profiles"},
          {"policy", router::version_text(policy.version)},
          {"declared", policy.declared},
          {"skills", map.skills},
          {"traffic", map.problem.share},
          {"experts", std::move(experts)},
          {"rates", by_skill(map, [&](std::size_t at) { return rate[at]; })},
          {"intervals", by_skill(map, interval)},
          {"outcomes", by_skill(map, outcomes)}};
}

/// Over the experts that the policy knows and the pool has.
Json frontier_of(const router::Policy& policy, const std::set<std::string>& pool,
                 std::size_t points_max) {
  router::PolicyMapOptions options;
  for (const auto& expert : policy.experts)
    if (pool.contains(expert.name)) options.experts.push_back(expert.name);
  if (options.experts.empty())
    throw std::runtime_error("the running policy knows none of the pool's experts");
  const auto unpriced =
      std::find_if(policy.experts.begin(), policy.experts.end(),
                   [&](const auto& e) { return pool.contains(e.name) && e.cost_usd < 0; });
  if (unpriced != policy.experts.end())
    throw std::runtime_error("the running policy was trained on outcomes without the cost of " +
                             unpriced->name + ", so nobody knows what a budget buys");
  Json frontier =
      Json::parse(router::to_json(router::find_frontier(policy, options, "spend", points_max)));
  frontier["object"] = "skillyard.frontier";
  frontier["policy"] = router::version_text(policy.version);
  return frontier;
}

/// Has a worker work out what is shown of the running policy; 422 when there is nothing to show.
asio::awaitable<void> show_of_policy(
    Session& session,
    std::function<Json(const router::Policy&, const std::set<std::string>&)> make) {
  const AdminDoors& doors = admin_doors(session);
  const auto policy = doors.policy();
  const auto pool = pool_of(doors);
  Json shown;
  std::string failure;
  std::function<void()> job = [&] {
    try {
      if (policy->empty()) throw std::runtime_error("no policy is running");
      shown = make(*policy, pool);
    } catch (const std::runtime_error& error) {
      failure = error.what();
    }
  };
  co_await doors.workers->run(std::move(job));
  if (failure.empty())
    reply_json(session, shown);
  else
    reply_problem(session, Fault::bad_resource, failure);
}

}  // namespace

asio::awaitable<void> show_profiles(Session& session) {
  std::function<Json(const router::Policy&, const std::set<std::string>&)> make = profiles_of;
  co_await show_of_policy(session, std::move(make));
}

asio::awaitable<void> show_frontier(Session& session) {
  QueryFields query(session.request().query(), {"points"});
  const auto points = query.integer("points", kPointsMax, 2, kPointsMax);
  if (query.problem()) {
    fill(session.response(), *query.problem());
    co_return;
  }
  std::function<Json(const router::Policy&, const std::set<std::string>&)> make =
      [points](const router::Policy& policy, const std::set<std::string>& pool) {
        return frontier_of(policy, pool, static_cast<std::size_t>(points));
      };
  co_await show_of_policy(session, std::move(make));
}

asio::awaitable<void> list_policies(Session& session) {
  std::vector<store::PolicyRow> rows;
  std::function<void(store::Reader&)> job = [&](store::Reader& reader) {
    rows = reader.policies();
  };
  co_await session.thread().doors().records->ask(std::move(job));
  const auto running = session.thread().doors().policy_version();
  Json list = Json::array();
  for (const auto& row : rows) {
    list.push_back({{"version", router::version_text(row.version)},
                    {"running", row.version == running},
                    {"created_us", row.created_us},
                    {"sha256", row.sha256},
                    {"note", row.note}});
  }
  reply_json(session, {{"object", "list"},
                       {"running", router::version_text(running)},
                       {"data", std::move(list)},
                       {"has_more", false}});
}

void upload_policy(Session& session) {
  router::PolicyPtr policy;
  try {
    policy = router::decode_policy(session.request().body, "the uploaded file");
  } catch (const std::runtime_error& error) {
    return reply_problem(session, Fault::bad_resource, error.what());
  }
  const PolicyKeeper keeper(session, "uploaded");
  keeper.keep(*policy);
  Json experts = Json::array();
  for (const auto& expert : policy->experts) experts.push_back(expert.name);
  reply_json(session,
             {{"object", "skillyard.policy"},
              {"version", router::version_text(policy->version)},
              {"experts", std::move(experts)},
              {"skills", policy->skills}},
             201);
}

void promote_policy(Session& session) {
  const std::string version = session.argument();
  const fs::path path = PolicyKeeper(session, "").file_of(version);
  if (!is_version(version) || !fs::exists(path))
    return reply_problem(session, Fault::no_such_row,
                         "there is no uploaded policy `" + version + "`; GET /admin/policies",
                         "version");
  Edit edit;
  edit.verb = Edit::Verb::promote;
  edit.kind = "policies";
  edit.name = "running";
  edit.document = {{"version", version}, {"path", path.string()}};
  if (begin_edit(session, edit)) finish_edit(session, edit);
}

void release_policy(Session& session) {
  Edit edit;
  edit.verb = Edit::Verb::release;
  edit.kind = "policies";
  edit.name = "running";
  if (begin_edit(session, edit)) finish_edit(session, edit);
}

}  // namespace http
