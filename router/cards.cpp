#include "router/cards.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <set>
#include <string_view>

#include "router/features.h"

namespace router {
namespace {

constexpr float kDeclared = 0.75f;  // of an expert that declares a skill
constexpr float kOutcomes = 2;      // what either is worth
constexpr float kSharpness = 8;     // of the softmax over unit vectors
constexpr float kDoubt = 2;         // logit of `general` before any evidence
constexpr float kUnseen = 0.2f;     // evidence of an n-gram on no card, for `general`
constexpr float kSteps = 20;        // int8 steps per unit of evidence: ln(1 + 127) * 20 < 127

/// Words that say nothing about a subject; the n-grams they make are left out.
constexpr std::string_view kFunctionWords[] = {
    "a",     "about", "all",  "an",     "and",    "any",  "are",   "as",    "at",
    "be",    "by",    "can",  "could",  "did",    "do",   "does",  "for",   "from",
    "give",  "has",   "have", "how",    "i",      "if",   "in",    "into",  "is",
    "it",    "its",   "me",   "more",   "my",     "no",   "not",   "of",    "on",
    "or",    "our",   "out",  "please", "should", "so",   "some",  "such",  "tell",
    "than",  "that",  "the",  "their",  "them",   "then", "there", "these", "they",
    "this",  "to",    "up",   "using",  "was",    "we",   "were",  "what",  "when",
    "where", "which", "who",  "why",    "will",   "with", "would", "you",   "your",
};

std::vector<SkillCard> list_skills(const std::vector<SkillCard>& cards,
                                   const std::vector<DeclaredExpert>& experts) {
  std::vector<SkillCard> skills = cards;
  std::set<std::string> named;
  for (const SkillCard& card : cards) named.insert(card.name);
  for (const auto& [expert, declared] : experts) {
    for (const std::string& skill : declared) {
      if (named.insert(skill).second)
        skills.push_back({.name = skill, .description = {}, .examples = {}});
    }
  }
  if (skills.size() > kSkillCardsMax) skills.resize(kSkillCardsMax);
  return skills;
}

/// Which buckets each card has, sorted.
std::vector<std::vector<std::uint32_t>> read_cards(const std::vector<SkillCard>& skills,
                                                   Extractor& extractor) {
  std::vector<std::vector<std::uint32_t>> buckets(skills.size());
  Features features;
  for (std::size_t s = 0; s < skills.size(); ++s) {
    const auto add = [&](const std::string& text) {
      extractor.extract(text, features);
      buckets[s].insert(buckets[s].end(), features.buckets.begin(), features.buckets.end());
    };
    add(skills[s].name);
    add(skills[s].description);
    for (const std::string& example : skills[s].examples) add(example);
    std::sort(buckets[s].begin(), buckets[s].end());
    buckets[s].erase(std::unique(buckets[s].begin(), buckets[s].end()), buckets[s].end());
  }
  return buckets;
}

/// Euclidean length of each card's evidence: a card with many words matches much by chance.
template <typename Evidence>
std::vector<float> measure_cards(const std::vector<std::vector<std::uint32_t>>& buckets,
                                 const Evidence& evidence) {
  std::vector<float> lengths;
  for (const auto& of_card : buckets) {
    float squares = 1;  // an empty card has a length, too
    for (const std::uint32_t bucket : of_card) squares += evidence(bucket) * evidence(bucket);
    lengths.push_back(std::sqrt(squares));
  }
  return lengths;
}

void fill_bag(const std::vector<SkillCard>& skills, Policy& policy) {
  Extractor extractor;
  const auto buckets = read_cards(skills, extractor);
  std::vector<std::uint32_t> holders(kBuckets, 0);
  for (const auto& of_card : buckets) {
    for (const std::uint32_t bucket : of_card) ++holders[bucket];
  }
  const std::size_t dim = policy.dim, first = policy.experts.size(),
                    general = first + skills.size();
  policy.bag.assign(std::size_t{kBagRows} * dim, 0);
  policy.mass.assign(kBagRows, 0);
  std::fill_n(policy.mass.begin(), kBuckets, 1.f);  // a word on no card speaks for `general`
  const auto evidence = [&](std::uint32_t bucket) {
    return std::log(static_cast<float>(skills.size() + 1) / static_cast<float>(holders[bucket]));
  };
  const auto lengths = measure_cards(buckets, evidence);
  const float mean =
      std::accumulate(lengths.begin(), lengths.end(), 0.f) / static_cast<float>(lengths.size());
  const auto steps = [](float weight) {
    return static_cast<std::int8_t>(std::clamp(std::round(weight * kSteps), 0.f, 127.f));
  };
  for (std::uint32_t b = 0; b < kPlainBuckets; ++b) policy.bag[b * dim + general] = steps(kUnseen);
  for (std::size_t s = 0; s < skills.size(); ++s) {
    for (const std::uint32_t b : buckets[s]) {
      policy.bag[b * dim + first + s] = steps(evidence(b) * mean / lengths[s]);
      policy.bag[b * dim + general] = 0;
    }
  }
  Features features;
  for (const std::string_view word : kFunctionWords) {
    extractor.extract(word, features);
    for (const std::uint32_t b : features.buckets)
      std::fill_n(policy.bag.begin() + static_cast<std::ptrdiff_t>(b * dim), dim, std::int8_t{0});
  }
}

}  // namespace

PolicyPtr compile_cards(const std::vector<SkillCard>& cards,
                        const std::vector<DeclaredExpert>& experts) {
  auto policy = std::make_shared<Policy>();
  const bool declares = std::any_of(experts.begin(), experts.end(),
                                    [](const auto& expert) { return !expert.second.empty(); });
  if (!declares) return policy;
  const auto skills = list_skills(cards, experts);
  const std::size_t count = skills.size() + 1, dim = (experts.size() + count + 15) / 16 * 16;
  policy->declared = true;
  policy->dim = static_cast<std::uint32_t>(dim);
  policy->bag_scale.assign(dim, 1);
  policy->key_scale.assign(dim, 0);
  policy->surface_edge.assign(std::size_t{kSurfaceCount} * kSurfaceEdges, 0);
  policy->skill_sharpness = kSharpness;
  policy->skill_bias.assign(count, 0);
  policy->skill_bias.back() = kDoubt;
  policy->skill_gain.assign(count * experts.size(), 0);
  policy->skill_cost.assign(count * experts.size(), -1);
  policy->profile.assign(count * experts.size(), kDeclaredPrior);
  policy->support.assign(count * experts.size(), kOutcomes);
  for (const SkillCard& skill : skills) policy->skills.push_back(skill.name);
  policy->skills.push_back("general");
  for (std::size_t e = 0; e < experts.size(); ++e) {
    PolicyExpert known;
    known.name = experts[e].first;
    known.mean = kDeclaredPrior;
    policy->experts.push_back(known);
    for (std::size_t s = 0; s < skills.size(); ++s) {
      const auto& declared = experts[e].second;
      if (std::find(declared.begin(), declared.end(), skills[s].name) != declared.end())
        policy->profile[s * experts.size() + e] = kDeclared,
                                             policy->skill_gain[s * experts.size() + e] =
                                                 kDeclared - kDeclaredPrior;
    }
  }
  fill_bag(skills, *policy);
  policy->source = "declared skills";
  return policy;
}

}  // namespace router
