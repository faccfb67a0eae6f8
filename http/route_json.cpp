#include "http/route_json.h"

#include <nlohmann/json.hpp>

#include "router/version_text.h"

namespace http {

namespace {

using OrderedJson = nlohmann::ordered_json;

OrderedJson json_of(const router::Candidate& candidate, const std::string& name) {
  return {{"expert", name},
          {"eligible", candidate.bar == router::Bar::none},
          {"barred_by", candidate.bar == router::Bar::none ? OrderedJson()
                                                           : OrderedJson(name_of(candidate.bar))},
          {"p_correct", candidate.p_correct},
          {"p_correct_interval", {candidate.p_lo, candidate.p_hi}},
          {"utility", candidate.utility},
          {"cost_microusd", candidate.cost_microusd},
          {"skill_term", candidate.skill_term},
          {"word_term", candidate.word_term},
          {"support", candidate.support}};
}

/// A number that does not index its list is our bug, but no reason to fail a report.
std::string named(const std::vector<std::string>& names, std::uint32_t index) {
  return index < names.size() ? names[index] : "#" + std::to_string(index);
}

}  // namespace

OrderedJson json_of(const router::LoggedRoute& logged) {
  const router::Route& route = logged.route;
  OrderedJson skills = OrderedJson::array();
  for (const router::SkillShare& skill : route.skills) {
    skills.push_back({{"skill", named(logged.skills, skill.skill)}, {"share", skill.share}});
  }
  OrderedJson candidates = OrderedJson::array();
  OrderedJson chosen = OrderedJson::array();
  for (const router::Candidate& candidate : route.candidates) {
    const std::string name = named(logged.experts, candidate.expert);
    if (chosen.size() < route.k && candidate.bar == router::Bar::none) chosen.push_back(name);
    candidates.push_back(json_of(candidate, name));
  }
  return {{"experts", std::move(chosen)},
          {"k", route.k},
          {"reason", name_of(route.reason)},
          {"abstained", route.abstained},
          {"outside", route.outside},
          {"with_vector", route.with_vector},
          {"gain_lo", route.gain_lo},
          {"general", route.general},
          {"propensity", route.propensity},
          {"policy_version", router::version_text(route.policy_version)},
          {"features_hash", std::to_string(route.features_hash)},
          {"skills", std::move(skills)},
          {"candidates", std::move(candidates)}};
}

OrderedJson json_of(const router::Explanation& e) {
  OrderedJson skills = OrderedJson::array(), similar = OrderedJson::array(),
              rivals = OrderedJson::array(), turns = OrderedJson::array();
  for (const router::SkillEvidence& skill : e.skills) {
    OrderedJson one = {{"skill", skill.skill}, {"share", skill.share}};
    one["rate"] = skill.outcomes > 0 ? OrderedJson(skill.rate) : OrderedJson();
    one["outcomes"] = skill.outcomes;
    skills.push_back(std::move(one));
  }
  for (const router::SimilarQuery& query : e.similar) {
    OrderedJson scores = OrderedJson::object();
    for (std::size_t i = 0; i < e.compared.size(); ++i)
      scores[e.compared[i]] = query.scores[i] >= 0 ? OrderedJson(query.scores[i]) : OrderedJson();
    similar.push_back(
        {{"id", query.id}, {"similarity", query.similarity}, {"scores", std::move(scores)}});
  }
  for (const router::Rival& rival : e.rivals) {
    rivals.push_back(
        {{"expert", rival.expert},
         {"p_correct", rival.p_correct},
         {"behind", rival.behind},
         {"p_correct_needed", rival.p_needed ? OrderedJson(*rival.p_needed) : OrderedJson()}});
  }
  for (const router::Turn& turn : e.turns)
    turns.push_back({{"quality", turn.quality}, {"expert", turn.expert}});
  return {{"chosen", e.chosen.empty() ? OrderedJson() : OrderedJson(e.chosen)},
          {"bound_by", name_of(e.bound)},
          {"bar", e.bound == router::Bound::bar ? OrderedJson(name_of(e.bar)) : OrderedJson()},
          {"kept_from", e.kept_from.empty() ? OrderedJson() : OrderedJson(e.kept_from)},
          {"margin", e.margin},
          {"quality", e.quality},
          {"policy_known", e.policy_known},
          {"repeatable", e.repeatable},
          {"text_known", e.text_known},
          {"skills", std::move(skills)},
          {"similar", std::move(similar)},
          {"rivals", std::move(rivals)},
          {"turns", std::move(turns)},
          {"sentences", e.sentences}};
}

}  // namespace http
