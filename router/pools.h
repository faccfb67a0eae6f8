// Pools as an administrator writes them: which experts answer under `skillyard/<name>`.
#pragma once

#include <string>
#include <vector>

namespace router {

struct PoolOptions {
  std::string name;  // `skillyard/<name>`; "auto" is always there and has every expert
  std::vector<std::string> experts;  // empty: every expert
  std::string default_expert;        // asked when nothing better is known; empty: the first one
  int fallbacks_max = 2;             // further experts that may be asked after one failed
};

}  // namespace router
