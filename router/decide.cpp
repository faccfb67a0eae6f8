#include "router/decide.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "router/cards.h"
#include "router/splitmix.h"

namespace router {
namespace {

constexpr float kTokensOutExpected = 256;
constexpr std::uint32_t kTokensInTypical = 256;
constexpr float kLoadWaitMs = 10'000;  // to wait so long for a load weighs like a full load
constexpr float kInterval = 1.645f;    // two-sided 90% of a normal
constexpr std::uint64_t kSeedBasis = 0xCBF29CE484222325, kSeedPrime = 0x100000001B3;

std::uint32_t wanted_capabilities(const Needs& needs) {
  std::uint32_t wanted = 0;
  if (needs.tools) wanted |= kCanTools;
  if (needs.json_schema) wanted |= kCanJsonSchema;
  if (needs.images) wanted |= kCanImages;
  if (needs.logprobs) wanted |= kCanLogprobs;
  if (needs.many) wanted |= kCanMany;
  return wanted;
}

Bar find_bar(const Query& query, const PoolExpert& expert, float cost) {
  if (!expert.enabled) return Bar::disabled;
  if (!expert.member) return Bar::pool;
  if (!expert.healthy) return Bar::unhealthy;
  const Needs& needs = query.needs;
  if (expert.context_tokens > 0 &&
      needs.tokens_in_estimate + needs.tokens_out_max > expert.context_tokens) {
    return Bar::context;
  }
  if (wanted_capabilities(needs) & ~expert.capabilities) return Bar::capability;
  if (query.knobs.cost_microusd_max && cost > static_cast<float>(*query.knobs.cost_microusd_max))
    return Bar::cost;
  if (query.knobs.latency_ms_max &&
      expert.latency_ms + expert.load_wait_ms > static_cast<float>(*query.knobs.latency_ms_max)) {
    return Bar::latency;
  }
  if (expert.share <= 0) return Bar::shadow;
  return Bar::none;
}

bool priced(const PoolExpert& expert) {
  return expert.price_in_microusd > 0 || expert.price_out_microusd > 0;
}

/// Configured prices, micro-usd.
float price_of(const PoolExpert& expert, std::uint32_t tokens_in, float tokens_out) {
  return 1e-6f * (static_cast<float>(tokens_in) * static_cast<float>(expert.price_in_microusd) +
                  tokens_out * static_cast<float>(expert.price_out_microusd));
}

const PolicyExpert* seen_in(const Policy& policy, const PoolExpert& expert) {
  if (expert.policy_expert < 0 || policy.empty()) return nullptr;
  return &policy.experts[static_cast<std::size_t>(expert.policy_expert)];
}

/// Micro-usd: configured prices, else what queries of such skills cost. `known` may be null.
float expect_cost(const Query& query, const Policy& policy, const Competence* known,
                  const PoolExpert& expert) {
  const PolicyExpert* seen = seen_in(policy, expert);
  if (priced(expert)) {
    float tokens_out = seen ? seen->tokens_out : kTokensOutExpected;
    if (query.needs.tokens_out_max > 0)
      tokens_out = std::min(tokens_out, static_cast<float>(query.needs.tokens_out_max));
    return price_of(expert, query.needs.tokens_in_estimate, tokens_out);
  }
  if (!known || !seen) return 0;
  return std::max(0.f, 1e6f * known->cost_usd[static_cast<std::size_t>(expert.policy_expert)]);
}

/// The same for no query in particular.
float typical_cost(const Policy& policy, const PoolExpert& expert) {
  const PolicyExpert* seen = seen_in(policy, expert);
  if (priced(expert))
    return price_of(expert, kTokensInTypical, seen ? seen->tokens_out : kTokensOutExpected);
  return seen ? std::max(0.f, 1e6f * seen->cost_usd) : 0;
}

void fill_candidates(const Query& query, const Policy& policy, const PoolView& pool,
                     const Competence* known, Route& out) {
  out.candidates.resize(pool.experts.size());
  for (std::uint32_t i = 0; i < pool.experts.size(); ++i) {
    const PoolExpert& expert = pool.experts[i];
    Candidate& c = out.candidates[i];
    c = Candidate{};
    c.expert = i;
    c.cost_microusd = expect_cost(query, policy, known, expert);
    c.bar = find_bar(query, expert, c.cost_microusd);
    if (!known) continue;
    if (expert.policy_expert < 0) {
      if (c.bar == Bar::none) c.bar = Bar::absent;
      continue;
    }
    const auto e = static_cast<std::size_t>(expert.policy_expert);
    c.p_correct = known->p[e];
    c.skill_term = known->skill_term[e];
    c.word_term = known->word_term[e];
    c.support = known->support[e];
    const float spread = kInterval * std::sqrt(c.p_correct * (1 - c.p_correct) / (c.support + 2));
    c.p_lo = std::max(0.f, c.p_correct - spread);
    c.p_hi = std::min(1.f, c.p_correct + spread);
  }
}

/// What a micro-usd costs in probability of a right answer: the same for every query, or a long
/// query would be worth more than a short one.
double weigh_price(const Query& query, const Policy& policy, const PoolView& pool,
                   const Route& route) {
  float dearest = 0;
  for (const Candidate& c : route.candidates) {
    if (c.bar == Bar::none)
      dearest = std::max(dearest, typical_cost(policy, pool.experts[c.expert]));
  }
  double weight = pool.value_microusd > 0 ? 1 / pool.value_microusd : 0;
  const double quality = std::clamp(query.knobs.quality.value_or(pool.quality), 1e-3, 1.0);
  const double ratio = (1 - quality) / quality;
  if (dearest > 0) weight += ratio * ratio / dearest;
  return weight;
}

/// What the guard lets count of an estimate: a gain over the default must first exceed the margin;
/// an expert that is merely as good may still be taken for its price.
double guarded_value(const PoolView& pool, bool by_words, const PoolExpert& expert, double p,
                     double p_default) {
  if (p <= p_default) return p;
  const bool kept = (by_words ? pool.by_words.guarded : pool.guarded) && !expert.probed;
  const float margin = by_words && !expert.probed ? pool.by_words.margin : expert.margin;
  return kept ? p_default : p_default + std::max(0.0, p - p_default - margin);
}

/// Whether the query's vector would have counted, and was not there.
bool is_by_words(const Policy& policy, const Route& out) {
  return !policy.dense.empty() && !out.with_vector;
}

void weigh_utility(const Query& query, const Policy& policy, const PoolView& pool, Route& out) {
  const double price_weight = weigh_price(query, policy, pool, out);
  const bool by_words = is_by_words(policy, out);
  const Candidate* fallback = nullptr;
  if (!policy.empty() && pool.default_expert < out.candidates.size()) {
    fallback = &out.candidates[pool.default_expert];
    if (fallback->bar != Bar::none) fallback = nullptr;
  }
  for (Candidate& c : out.candidates) {
    const PoolExpert& expert = pool.experts[c.expert];
    double value = c.p_correct;
    if (fallback && &c != fallback)
      value = guarded_value(pool, by_words, expert, value, fallback->p_correct);
    const double load = expert.load + std::min(1.0F, expert.load_wait_ms / kLoadWaitMs);
    c.utility =
        static_cast<float>(value - pool.load_penalty * load - price_weight * c.cost_microusd);
  }
}

void sort_candidates(const PoolView& pool, Route& out) {
  std::sort(out.candidates.begin(), out.candidates.end(),
            [&](const Candidate& a, const Candidate& b) {
              if ((a.bar == Bar::none) != (b.bar == Bar::none)) return a.bar == Bar::none;
              if (a.utility != b.utility) return a.utility > b.utility;
              const bool a_default = a.expert == pool.default_expert,
                         b_default = b.expert == pool.default_expert;
              if (a_default != b_default) return a_default;
              if (a.cost_microusd != b.cost_microusd) return a.cost_microusd < b.cost_microusd;
              return a.expert < b.expert;
            });
}

void list_skills(const Competence& known, Route& out) {
  constexpr std::size_t kListed = 5;
  out.skills.clear();
  for (std::uint32_t s = 0; s < known.skills.size(); ++s) {
    const SkillShare share{s, known.skills[s]};
    if (out.skills.size() == kListed && share.share <= out.skills.back().share) continue;
    auto at = out.skills.begin();
    while (at != out.skills.end() && at->share >= share.share) ++at;
    out.skills.insert(at, share);
    if (out.skills.size() > kListed) out.skills.pop_back();
  }
}

std::uint64_t fnv(std::string_view bytes, std::uint64_t hash) {
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * kSeedPrime;
  return hash;
}

/// What the turns of newcomers are drawn by. Not the features: they take all numbers for one.
std::uint64_t turns_of(const Query& query, const Features& features) {
  return query.text.empty() ? features.hash : fnv(query.text, kSeedBasis);
}

/// Whether a newcomer gets this query if it wins it. Drawn by the query's words and the expert's
/// name: the same query falls the same way again, and what it got it keeps when its share grows.
bool has_turn(std::uint64_t turns, const PoolExpert& expert) {
  if (expert.share >= 1) return true;
  std::uint64_t draws = fnv(expert.name, turns);
  return draw_unit(draws) < static_cast<double>(expert.share);
}

/// Who comes first when nothing is explored: the best candidate that has its turn, or the best if
/// none has.
std::uint32_t first_in_turn(std::uint64_t turns, const PoolView& pool, const Route& out,
                            std::uint32_t eligible) {
  for (std::uint32_t i = 0; i < eligible; ++i) {
    if (has_turn(turns, pool.experts[out.candidates[i].expert])) return i;
  }
  return 0;
}

/// How likely, over all queries that are weighed like this one, first_in_turn() is `index`.
double chance_in_turn(const PoolView& pool, const Route& out, std::uint32_t eligible,
                      std::uint32_t index) {
  double before = 1, none = 1;
  for (std::uint32_t i = 0; i < eligible; ++i) {
    const double share = pool.experts[out.candidates[i].expert].share;
    if (i < index) before *= 1 - share;
    none *= 1 - share;
  }
  const double own = pool.experts[out.candidates[index].expert].share;
  return before * own + (index == 0 ? none : 0);
}

/// Newcomers that do not have their turn are barred, behind the eligible ones.
void bar_out_of_turn(std::uint64_t turns, const PoolView& pool, Route& out) {
  for (std::uint32_t i = 1; i < out.candidates.size(); ++i) {
    Candidate& c = out.candidates[i];
    if (c.bar == Bar::none && !has_turn(turns, pool.experts[c.expert])) c.bar = Bar::shadow;
  }
  std::stable_partition(out.candidates.begin(), out.candidates.end(),
                        [](const Candidate& c) { return c.bar == Bar::none; });
}

/// Puts the first choice first: with probability pool.explore any eligible candidate, else the best
/// that has its turn. The propensity says how likely the one that came first was. True when it was
/// drawn and is not the one that would have come first without.
bool choose_first(const Query& query, const Features& features, const PoolView& pool, Route& out) {
  const std::uint32_t eligible = out.eligible();
  const auto is_newcomer = [](const PoolExpert& expert) { return expert.share < 1; };
  const bool newcomers = std::any_of(pool.experts.begin(), pool.experts.end(), is_newcomer);
  if (eligible == 0 || (!newcomers && (pool.explore <= 0 || eligible < 2))) return false;
  const std::uint64_t turns = newcomers ? turns_of(query, features) : 0;
  const std::uint32_t best = newcomers ? first_in_turn(turns, pool, out, eligible) : 0;
  std::uint32_t chosen = best;
  const double each = pool.explore / eligible;
  std::uint64_t draws = query.seed;
  const double draw = draw_unit(draws);
  if (draw < pool.explore) chosen = std::min(eligible - 1, static_cast<std::uint32_t>(draw / each));
  const double in_turn = newcomers ? chance_in_turn(pool, out, eligible, chosen) : chosen == 0;
  out.propensity = static_cast<float>((1 - pool.explore) * in_turn + each);
  std::rotate(out.candidates.begin(), out.candidates.begin() + chosen,
              out.candidates.begin() + chosen + 1);
  if (newcomers) bar_out_of_turn(turns, pool, out);
  return chosen != best;
}

Reason find_reason(const Policy& policy, const PoolView& pool, const Route& out) {
  const std::uint32_t eligible = out.eligible();
  if (eligible == 0) return Reason::nobody;
  if (eligible == 1) return Reason::only_one;
  if (policy.empty()) return Reason::fallback;
  const bool is_default = out.candidates[0].expert == pool.default_expert;
  if (policy.declared) {
    const bool matched = out.candidates[0].p_correct > kDeclaredPrior + kDeclaredMargin;
    return matched ? Reason::declared : Reason::fallback;
  }
  const bool guarded = is_by_words(policy, out) ? pool.by_words.guarded : pool.guarded;
  return is_default && (guarded || out.abstained) ? Reason::guarded : Reason::learned;
}

/// True when another expert had the better estimate and the guard kept the default.
bool kept_by_guard(const PoolView& pool, const Route& out) {
  if (out.eligible() < 2 || out.candidates[0].expert != pool.default_expert) return false;
  for (std::uint32_t i = 1; i < out.eligible(); ++i) {
    if (out.candidates[i].p_correct > out.candidates[0].p_correct) return true;
  }
  return false;
}

/// A notice is words: who asks for JSON, tool calls or log-probabilities needs an expert.
bool wants_words(const Needs& needs) {
  return !needs.tools && !needs.json_schema && !needs.logprobs && !needs.many;
}

}  // namespace

void choose(const Query& query, const Features& features, const Policy& policy,
            const PoolView& pool, const Competence& competence, Route& out) {
  out.k = 1;
  out.reason = Reason::nobody;
  out.abstained = false;
  out.outside = !policy.empty() && competence.outside;
  out.propensity = 1;
  out.policy_version = policy.version;
  out.features_hash = features.hash;
  out.with_vector = !policy.empty() && competence.with_vector;
  out.gain_lo = is_by_words(policy, out) ? pool.by_words.gain_lo : pool.gain_lo;
  out.general = policy.empty() ? 1 : competence.general;
  out.skills.clear();
  if (!policy.empty()) list_skills(competence, out);
  fill_candidates(query, policy, pool, policy.empty() ? nullptr : &competence, out);
  weigh_utility(query, policy, pool, out);
  sort_candidates(pool, out);
  out.abstained = !policy.empty() && kept_by_guard(pool, out);
  if (out.outside && pool.answers_outside && wants_words(query.needs)) {
    out.reason = Reason::outside;
    out.abstained = true;
    out.k = 0;
    return;
  }
  const bool explored = choose_first(query, features, pool, out);
  out.reason = explored ? Reason::explored : find_reason(policy, pool, out);
  if (query.knobs.k)
    out.k =
        static_cast<std::uint32_t>(std::clamp(*query.knobs.k, 1, static_cast<int>(kExpertsAsked)));
  out.k = std::min(out.k, out.eligible());
}

void decide(const Query& query, const Features& features, const Policy& policy,
            const PoolView& pool, DecideScratch& scratch, Route& out) {
  if (!policy.empty()) estimate(policy, features, scratch.competence);
  choose(query, features, policy, pool, scratch.competence, out);
}

Route decide(const Query& query, const Features& features, const Policy& policy,
             const PoolView& pool) {
  DecideScratch scratch;
  Route out;
  decide(query, features, policy, pool, scratch, out);
  return out;
}

}  // namespace router
