// Pools and skills as an administrator writes them: which experts answer under `skillyard/<name>`,
// and what the words mean that they declare.
#pragma once

#include <string>
#include <vector>

namespace router {

/// A skill as an administrator describes it, for routing before anything was learned.
struct SkillCard {
  std::string name, description;
  std::vector<std::string> examples;  // questions that need it
};

inline constexpr std::size_t kSkillCardsMax = 127;

struct PoolOptions {
  std::string name;  // `skillyard/<name>`; "auto" is always there and has every expert
  std::vector<std::string> experts;  // empty: every expert
  std::string default_expert;        // asked when nothing better is known; empty: the first one
  int fallbacks_max = 2;             // further experts that may be asked after one failed
  double explore = 0;  // share of the queries that go to a random eligible expert; the probability
                       // is logged, and `evaluate --log` needs it
};

}  // namespace router
