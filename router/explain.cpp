#include "router/explain.h"

#include <algorithm>
#include <cstdio>

#include "router/competence.h"
#include "router/decide.h"

namespace router {
namespace {

constexpr int kQualitySteps = 100;
constexpr int kHalvings = 20;  // of the search for an estimate: finer than a float needs

std::string number(double value, int digits = 3) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

/// The decision once more, from the terms that were logged.
class Again {
 public:
  Again(const Query& query, const LoggedRoute& logged, const Policy& policy, const PoolView& pool)
      : query_(query), policy_(policy), pool_(pool) {
    pool_.explore = 0;
    query_.knobs.cost_microusd_max.reset();  // bars are those of the log
    query_.knobs.latency_ms_max.reset();
    competence_.p.resize(policy.experts.size());
    competence_.skill_term = competence_.word_term = competence_.support = competence_.p;
    competence_.cost_usd = competence_.p;
    competence_.skills.assign(policy.skills.size(), 0);
    competence_.general = logged.route.general;
    competence_.with_vector = logged.route.with_vector;
    for (PoolExpert& expert : pool_.experts) {
      expert.enabled = false;
      expert.share = 1;  // whose turn it was not is barred by the log
    }
    for (const Candidate& candidate : logged.route.candidates) {
      const std::string& name = logged.experts[candidate.expert];
      PoolExpert* expert = find(name);
      if (expert == nullptr || expert->policy_expert < 0) continue;
      allow(*expert, candidate.bar == Bar::none);
      const auto e = static_cast<std::size_t>(expert->policy_expert);
      competence_.p[e] = candidate.p_correct;
      competence_.cost_usd[e] = 1e-6f * candidate.cost_microusd;
    }
  }

  std::string first() {
    choose(query_, features_, policy_, pool_, competence_, route_);
    return route_.eligible() > 0 ? pool_.experts[route_.candidates.front().expert].name : "";
  }

  std::string first_at(double quality) {
    const auto before = query_.knobs.quality;
    query_.knobs.quality = quality;
    std::string name = first();
    query_.knobs.quality = before;
    return name;
  }

  /// Who would be first if this expert were not barred.
  std::string first_with(const std::string& name) {
    PoolExpert* expert = find(name);
    if (expert == nullptr || expert->policy_expert < 0) return "";
    const PoolExpert before = *expert;
    allow(*expert, true);
    std::string first_name = first();
    *find(name) = before;
    return first_name;
  }

  std::string first_without_load() {
    const double before = pool_.load_penalty;
    pool_.load_penalty = 0;
    std::string name = first();
    pool_.load_penalty = before;
    return name;
  }

  /// The smallest estimate with which this expert would be first.
  std::optional<float> estimate_needed(const std::string& name, float from) {
    const PoolExpert* expert = find(name);
    if (expert == nullptr || expert->policy_expert < 0) return std::nullopt;
    float& p = competence_.p[static_cast<std::size_t>(expert->policy_expert)];
    const float before = p;
    float low = from, high = 1;
    p = high;
    const bool ever = first() == name;
    for (int i = 0; ever && i < kHalvings; ++i) {
      p = (low + high) / 2;
      (first() == name ? high : low) = p;
    }
    p = before;
    return ever ? std::optional(high) : std::nullopt;
  }

  float margin_of(const std::string& name) {
    const PoolExpert* expert = find(name);
    if (expert == nullptr) return 0;
    const bool by_words = !policy_.dense.empty() && !competence_.with_vector;
    return by_words && !expert->probed ? pool_.by_words.margin : expert->margin;
  }

  double quality() const { return query_.knobs.quality.value_or(pool_.quality); }

 private:
  PoolExpert* find(const std::string& name) {
    const auto found = std::find_if(pool_.experts.begin(), pool_.experts.end(),
                                    [&](const PoolExpert& expert) { return expert.name == name; });
    return found == pool_.experts.end() ? nullptr : &*found;
  }

  /// Bars are taken from the log alone: what the expert can do now does not matter.
  static void allow(PoolExpert& expert, bool eligible) {
    expert.enabled = eligible;
    expert.healthy = expert.member = true;
    expert.context_tokens = 0;
    expert.capabilities = kCanAll;
    expert.latency_ms = 0;
  }

  Query query_;
  const Policy& policy_;
  PoolView pool_;
  Competence competence_;
  Features features_;
  Route route_;
};

std::string skill_name(const LoggedRoute& logged, const SkillShare& skill) {
  return skill.skill < logged.skills.size() ? logged.skills[skill.skill] : "?";
}

void add_skills(const LoggedRoute& logged, const Policy& policy, const PoolView& pool,
                Explanation& out) {
  std::size_t column = policy.experts.size();
  for (const PoolExpert& expert : pool.experts) {
    if (out.policy_known && expert.name == out.chosen && expert.policy_expert >= 0)
      column = static_cast<std::size_t>(expert.policy_expert);
  }
  for (const SkillShare& share : logged.route.skills) {
    SkillEvidence evidence;
    evidence.skill = skill_name(logged, share);
    evidence.share = share.share;
    const auto found = std::find(policy.skills.begin(), policy.skills.end(), evidence.skill);
    if (column < policy.experts.size() && found != policy.skills.end()) {
      const auto at =
          static_cast<std::size_t>(found - policy.skills.begin()) * policy.experts.size() + column;
      if (at < policy.profile.size()) evidence.rate = policy.profile[at];
      if (at < policy.support.size()) evidence.outcomes = policy.support[at];
    }
    out.skills.push_back(std::move(evidence));
  }
}

void add_similar(const Query& query, const Policy& policy, Explanation& out) {
  if (!out.text_known || policy.memory.rows == 0) return;
  Extractor extractor;
  Features features;
  extractor.extract(query.text, features);
  Competence competence;
  estimate(policy, features, competence);
  recall(policy, competence);
  auto& near = competence.neighbours;
  std::sort(near.begin(), near.end(), [](const Neighbour& a, const Neighbour& b) {
    return a.similarity != b.similarity ? a.similarity > b.similarity : a.row < b.row;
  });
  if (near.size() > kSimilarListed) near.resize(kSimilarListed);
  for (const Neighbour& neighbour : near) {
    SimilarQuery similar;
    similar.id =
        neighbour.row < policy.memory.label.size() ? policy.memory.label[neighbour.row] : "";
    similar.similarity = neighbour.similarity;
    for (const std::string& name : out.compared) {
      const auto found = std::find_if(policy.experts.begin(), policy.experts.end(),
                                      [&](const PolicyExpert& e) { return e.name == name; });
      const auto column = static_cast<std::size_t>(found - policy.experts.begin());
      const std::size_t at = std::size_t{neighbour.row} * policy.experts.size() + column;
      const bool known = found != policy.experts.end() && policy.memory.score[at] != kUnknown;
      similar.scores.push_back(known ? static_cast<float>(policy.memory.score[at]) / kScoreSteps
                                     : -1);
    }
    out.similar.push_back(std::move(similar));
  }
}

void find_bound(const LoggedRoute& logged, Again& again, Explanation& out) {
  const Route& route = logged.route;
  if (route.reason == Reason::explored) {
    out.bound = Bound::exploration;
    out.kept_from = again.first();
    return;
  }
  if (!out.repeatable) {
    if (route.abstained) out.bound = Bound::guard;
    return;
  }
  for (const Candidate& candidate : route.candidates) {
    if (candidate.bar == Bar::none || candidate.bar == Bar::absent || candidate.bar == Bar::pool)
      continue;
    const std::string& name = logged.experts[candidate.expert];
    if (again.first_with(name) != name) continue;
    out.bound = Bound::bar, out.bar = candidate.bar, out.kept_from = name;
    return;
  }
  const std::pair<Bound, std::string> causes[] = {{Bound::price, again.first_at(1)},
                                                  {Bound::load, again.first_without_load()}};
  for (const auto& [bound, name] : causes) {
    if (name == out.chosen) continue;
    out.bound = bound, out.kept_from = name;
    return;
  }
  if (!route.abstained) return;
  out.bound = Bound::guard;
  const Candidate* best = &route.candidates.front();
  for (std::uint32_t i = 1; i < route.eligible(); ++i) {
    if (route.candidates[i].p_correct > best->p_correct) best = &route.candidates[i];
  }
  out.kept_from = logged.experts[best->expert];
  out.margin = again.margin_of(out.kept_from);
}

void find_turns(Again& again, Explanation& out) {
  const int own = static_cast<int>(again.quality() * kQualitySteps + 0.5);
  for (const int step : {-1, 1}) {
    for (int at = own + step; at >= 0 && at <= kQualitySteps; at += step) {
      const double quality = static_cast<double>(at) / kQualitySteps;
      const std::string name = again.first_at(quality);
      if (name == out.chosen) continue;
      out.turns.push_back({static_cast<float>(quality), name});
      break;
    }
  }
}

std::string sentence_of_bound(const Explanation& e, const Route& route) {
  const std::string other = e.kept_from.empty() ? "another expert" : e.kept_from;
  switch (e.bound) {
    case Bound::none:
      return "";
    case Bound::bar:
      return "Barred: " + other +
             " would have been chosen, but for its bar: " + std::string(name_of(e.bar)) + ".";
    case Bound::guard:
      return "The guard kept " + e.chosen + ": the estimate of " + other +
             " is higher, by less than the margin of " + number(e.margin) +
             " that held-out rows ask for, or no gain can be trusted in this pool.";
    case Bound::price:
      return "Price: at quality 1 it would have been " + other + ".";
    case Bound::load:
      return "Load: without it it would have been " + other + ".";
    case Bound::exploration:
      return "Drawn at random, with probability " + number(route.propensity) + "; without chance " +
             "it would have been " + other + ".";
    case Bound::nobody:
      return "No expert was eligible:";
    case Bound::outside:
      return "Nobody was asked: the pool answers such questions itself.";
  }
  return "";
}

void tell_bars(const LoggedRoute& logged, std::vector<std::string>& out) {
  for (const Candidate& candidate : logged.route.candidates)
    out.push_back("  " + logged.experts[candidate.expert] + ": " +
                  std::string(name_of(candidate.bar)) + ".");
}

void tell_evidence(const Explanation& e, std::vector<std::string>& out) {
  for (const SkillEvidence& skill : e.skills) {
    if (skill.share < 0.01F) continue;
    std::string line = "Skill " + skill.skill + ", " + number(100 * skill.share, 0) + "%";
    if (skill.outcomes > 0)
      line += ": " + e.chosen + " was right on " + number(100 * skill.rate, 1) + "% of " +
              number(skill.outcomes, 0) + " outcomes";
    out.push_back(line + ".");
  }
  for (const SimilarQuery& similar : e.similar) {
    std::string line = "Similar query " + similar.id + " (" + number(similar.similarity, 2) + "):";
    for (std::size_t i = 0; i < e.compared.size(); ++i) {
      if (similar.scores[i] >= 0)
        line += (i ? ", " : " ") + e.compared[i] + " " + number(similar.scores[i], 2);
    }
    out.push_back(line + ".");
  }
}

void tell_changes(const Explanation& e, std::vector<std::string>& out) {
  for (const Rival& rival : e.rivals) {
    std::string line = rival.expert + " is " + number(rival.behind) +
                       " behind in utility (p_correct " + number(rival.p_correct) + ")";
    if (rival.p_needed)
      line += "; with " + number(*rival.p_needed) + " it would have been chosen";
    else if (e.repeatable)
      line += "; no estimate of it alone would have changed the choice";
    out.push_back(line + ".");
  }
  for (const Turn& turn : e.turns)
    out.push_back("At quality " + number(turn.quality, 2) + " (now " + number(e.quality, 2) +
                  ") it would have been " + turn.expert + ".");
}

void tell(const LoggedRoute& logged, Explanation& e) {
  auto& out = e.sentences;
  const Route& route = logged.route;
  if (e.by_words)
    out.emplace_back(
        "Decided by words alone: the policy was trained with vectors, and this query's was not "
        "there in time.");
  if (route.outside)
    out.push_back("Outside of what the policy was trained on: " + number(100 * route.general, 0) +
                  "% of the weight of its words was never seen, and no skill is near.");
  if (!e.chosen.empty()) {
    const Candidate& first = route.candidates.front();
    std::string line = e.chosen + " was chosen (" + std::string(name_of(route.reason)) + ")";
    if (first.p_correct > 0)
      line += ": p_correct " + number(first.p_correct) + " (" + number(first.p_lo) + " to " +
              number(first.p_hi) + ", from " + number(first.support, 0) + " outcomes)";
    if (first.cost_microusd > 0) line += ", " + number(first.cost_microusd, 0) + " micro-usd";
    out.push_back(line + ".");
  }
  if (const std::string bound = sentence_of_bound(e, route); !bound.empty()) out.push_back(bound);
  if (e.bound == Bound::nobody) tell_bars(logged, out);
  tell_evidence(e, out);
  tell_changes(e, out);
  if (route.policy_version == 0 || route.reason == Reason::asked ||
      route.reason == Reason::explored || e.chosen.empty())
    return;
  if (!e.policy_known)
    out.emplace_back(
        "Another policy serves now: similar queries and what would have changed the choice are not "
        "known any more.");
  else if (!e.repeatable)
    out.emplace_back(
        "The pool has changed since (or the request had knobs that the log does not keep): what "
        "would have changed the choice is not known any more.");
  else if (!e.text_known)
    out.emplace_back("The query's text was not stored, so similar queries are not known.");
}

}  // namespace

std::string_view name_of(Bound bound) {
  switch (bound) {
    case Bound::none:
      return "none";
    case Bound::bar:
      return "bar";
    case Bound::guard:
      return "guard";
    case Bound::price:
      return "price";
    case Bound::load:
      return "load";
    case Bound::exploration:
      return "exploration";
    case Bound::nobody:
      return "nobody";
    case Bound::outside:
      return "outside";
  }
  return "unknown";
}

Explanation explain(const Query& query, const LoggedRoute& logged, const Policy& policy,
                    const PoolView& pool) {
  Explanation out;
  const Route& route = logged.route;
  const std::uint32_t eligible = route.eligible();
  out.policy_known = !policy.empty() && policy.version == route.policy_version;
  out.text_known = out.policy_known && !query.text.empty();
  out.by_words = out.policy_known && route.reason != Reason::asked && !policy.dense.empty() &&
                 !route.with_vector;
  if (eligible == 0 || route.reason == Reason::outside) {
    out.bound = eligible == 0 ? Bound::nobody : Bound::outside;
    tell(logged, out);
    return out;
  }
  out.chosen = logged.experts[route.candidates.front().expert];
  out.compared.push_back(out.chosen);
  for (std::uint32_t i = 1; i < eligible && i <= kRivalsListed; ++i) {
    const Candidate& rival = route.candidates[i];
    out.rivals.push_back({logged.experts[rival.expert], rival.p_correct,
                          route.candidates.front().utility - rival.utility, std::nullopt});
    out.compared.push_back(out.rivals.back().expert);
  }
  add_skills(logged, policy, pool, out);
  if (out.policy_known && route.reason != Reason::asked) {
    Again again(query, logged, policy, pool);
    out.quality = static_cast<float>(again.quality());
    out.repeatable = again.first() == out.chosen;
    find_bound(logged, again, out);
    if (out.repeatable) {
      for (Rival& rival : out.rivals)
        rival.p_needed = again.estimate_needed(rival.expert, rival.p_correct);
      find_turns(again, out);
    }
    add_similar(query, policy, out);
  }
  tell(logged, out);
  return out;
}

}  // namespace router
