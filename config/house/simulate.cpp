// What a change would do to the traffic: the log's newest queries under both configurations.
#include "router/learn/simulate.h"

#include "config/house/house.h"
#include "http/model_name.h"
#include "router/view.h"

namespace house {

namespace {

router::Setting setting_of(const House& house, const config::Config& config,
                           router::PolicyPtr policy) {
  router::Setting setting;
  setting.policy = std::move(policy);
  std::vector<const experts::ExpertOptions*> members;
  for (const auto& expert : config.experts) {
    if (!expert.enabled) continue;
    members.push_back(&expert);
    setting.experts.insert(expert.name);
  }
  const auto roster = house.roster.current();
  for (const auto& pool : config::pools_of(config)) {
    auto view = router::view_of(members, pool, config.lives, *setting.policy);
    for (auto& expert : view.experts) {
      const auto* entry = roster->find(expert.name);
      if (entry == nullptr) continue;
      expert.latency_ms = static_cast<float>(entry->standing->total_us.load()) / 1000.0F;
    }
    setting.pools.emplace(pool.name, std::move(view));
  }
  return setting;
}

}  // namespace

nlohmann::json simulate(const House& house, const config::Ledger::Change& change,
                        const std::string& pool) {
  const bool same = change.before.policy == change.after.policy && !change.after.policy.empty();
  const auto running = house.rules.current()->policy;
  const auto before = setting_of(house, change.before, running);
  const auto after = setting_of(house, change.after, same ? running : policy_of(change.after));
  auto traffic = router::read_traffic(house.config.store.path, [](router::Query& query) {
    const std::string model = query.model;
    http::read_model_name(model, query);  // what it cannot read has no knobs
  });
  if (traffic.rows.empty())
    traffic = router::recall_traffic(*running, before.pools.contains(pool) ? pool : "auto");
  return nlohmann::json::parse(router::to_json(router::simulate(before, after, traffic)));
}

}  // namespace house
