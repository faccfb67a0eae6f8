#include "router/learn/loads.h"

#include <algorithm>

namespace router {

double loads_per_thousand(const std::vector<std::uint32_t>& chosen, std::size_t resident,
                          std::size_t together) {
  std::vector<std::uint32_t> memory;  // least recently used first
  std::size_t loads = 0;
  const auto use = [&](std::uint32_t expert) {
    const auto at = std::find(memory.begin(), memory.end(), expert);
    if (at != memory.end()) {
      memory.erase(at);
    } else {
      ++loads;
      if (memory.size() == resident) memory.erase(memory.begin());
    }
    memory.push_back(expert);
  };
  for (std::size_t from = 0; from < chosen.size(); from += together) {
    const std::size_t to = std::min(chosen.size(), from + together);
    std::vector<std::uint32_t> wanted;
    for (std::size_t i = from; i < to; ++i) {
      if (std::find(wanted.begin(), wanted.end(), chosen[i]) == wanted.end())
        wanted.push_back(chosen[i]);
    }
    std::stable_partition(wanted.begin(), wanted.end(), [&](std::uint32_t expert) {
      return std::find(memory.begin(), memory.end(), expert) != memory.end();
    });
    for (const std::uint32_t expert : wanted) use(expert);
  }
  return chosen.empty() ? 0
                        : 1000 * static_cast<double>(loads) / static_cast<double>(chosen.size());
}

}  // namespace router
