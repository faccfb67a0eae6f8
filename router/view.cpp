#include "router/view.h"

#include <algorithm>

#include "router/guard.h"

namespace router {

namespace {

std::uint32_t bits_of(const experts::Capabilities& can) {
  return (can.tools ? kCanTools : 0U) | (can.json_schema ? kCanJsonSchema : 0U) |
         (can.images ? kCanImages : 0U) | (can.logprobs ? kCanLogprobs : 0U) |
         (can.many ? kCanMany : 0U);
}

float share_of(const Life& life) {
  if (life.stage == Stage::shadow) return 0;
  return life.stage == Stage::ramp ? static_cast<float>(life.share) : 1;
}

}  // namespace

bool is_member(const PoolOptions& pool, std::string_view expert) {
  return pool.experts.empty() ||
         std::find(pool.experts.begin(), pool.experts.end(), expert) != pool.experts.end();
}

PoolView view_of(const std::vector<const experts::ExpertOptions*>& experts, const PoolOptions& pool,
                 const Lives& lives, const Policy& policy) {
  PoolView view;
  view.explore = pool.explore;
  view.answers_outside = pool.outside == Outside::answer;
  for (const auto* options : experts) {
    PoolExpert member;
    member.name = options->name;
    member.price_in_microusd = options->prices.in;
    member.price_out_microusd = options->prices.out;
    member.context_tokens = options->context_tokens;
    member.capabilities = bits_of(options->capabilities);
    // What makes vectors takes no chats: it is never a candidate.
    member.member = is_member(pool, options->name) && !options->capabilities.embeddings;
    if (const auto life = lives.find(options->name); life != lives.end()) {
      member.enabled = life->second.stage != Stage::draining;
      member.share = share_of(life->second);
    }
    if (options->name == pool.default_expert)
      view.default_expert = static_cast<std::uint32_t>(view.experts.size());
    view.experts.push_back(std::move(member));
  }
  bind(policy, view);
  return view;
}

}  // namespace router
