// rooms: router
// How long does the exact map take, by pool size and budgets, and how often is greedy wrong?
// Instances: strengths per expert plus noise per skill, sizes 1 to 9 of which 15 % are four times
// as large, memory 30. Greedy (add the best gain, or gain by size, until nothing fits) is the
// baseline.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <random>

#include "router/learn/map.h"

namespace {

using namespace router;

MapProblem instance(std::uint64_t seed, std::uint32_t experts, std::uint32_t skills) {
  std::mt19937_64 engine(seed);
  const auto real = [&] { return static_cast<double>(engine() >> 11) * 0x1p-53; };
  MapProblem problem;
  problem.share.assign(skills, 1.0 / skills);
  problem.memory_max = 30;
  problem.count_max = 8;
  for (std::uint32_t e = 0; e < experts; ++e) {
    const double strength = 0.3 + 0.4 * real();
    const double size = 1 + static_cast<double>(engine() % 9);
    problem.experts.push_back({.memory = real() < 0.15 ? 4 * size : size});
    for (std::uint32_t s = 0; s < skills; ++s) {
      problem.value.push_back(strength + 0.3 * (real() + real() + real() - 1.5));
      problem.cost.push_back(strength * strength * (0.5 + real()));
    }
  }
  return problem;
}

double greedy(const MapProblem& problem, bool by_size) {
  const std::size_t skills = problem.share.size();
  std::vector<double> best(skills, 0);
  double left = problem.memory_max;
  for (std::uint32_t count = 0; count < problem.count_max; ++count) {
    double most = 0;
    std::size_t pick = problem.experts.size();
    for (std::size_t e = 0; e < problem.experts.size(); ++e) {
      if (problem.experts[e].memory > left) continue;
      double gain = 0;
      for (std::size_t s = 0; s < skills; ++s) {
        gain += problem.share[s] * std::max(0.0, problem.value[e * skills + s] - best[s]);
      }
      if (by_size) gain /= problem.experts[e].memory;
      if (gain > most) most = gain, pick = e;
    }
    if (pick == problem.experts.size()) break;
    left -= problem.experts[pick].memory;
    for (std::size_t s = 0; s < skills; ++s) {
      best[s] = std::max(best[s], problem.value[pick * skills + s]);
    }
  }
  double value = 0;
  for (std::size_t s = 0; s < skills; ++s) value += problem.share[s] * best[s];
  return value;
}

void measure(std::uint32_t experts, std::uint32_t skills, int seeds, bool spend) {
  double mean_ms = 0, worst_ms = 0, worst_gap = 0;
  std::uint64_t nodes = 0;
  int greedy_wrong = 0, proven = 0;
  for (int seed = 0; seed < seeds; ++seed) {
    MapProblem problem = instance(static_cast<std::uint64_t>(seed) + 1, experts, skills);
    if (spend) problem.spend_max = 0.2;
    const auto start = std::chrono::steady_clock::now();
    const MapSolution solution = solve_map(problem, {.nodes_max = 200'000});
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    mean_ms += took.count() / seeds;
    worst_ms = std::max(worst_ms, took.count());
    nodes = std::max(nodes, solution.nodes);
    proven += solution.proven;
    if (spend) continue;
    const double gap = solution.objective - std::max(greedy(problem, false), greedy(problem, true));
    greedy_wrong += gap > 1e-9;
    worst_gap = std::max(worst_gap, gap);
  }
  std::printf("%2u experts, %2u skills, %-22s %8.2f ms mean %8.2f worst %6llu nodes  proven %d/%d",
              experts, skills, spend ? "memory, count, spend" : "memory, count", mean_ms, worst_ms,
              static_cast<unsigned long long>(nodes), proven, seeds);
  if (!spend) std::printf("  greedy wrong %d, by at most %.4f", greedy_wrong, worst_gap);
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  const bool smoke = argc > 1 && std::strcmp(argv[1], "--smoke") == 0;
  const int seeds = smoke ? 1 : 20;
  for (const bool spend : {false, true}) {
    measure(14, 12, smoke ? 1 : 300, spend);
    measure(28, 24, seeds, spend);
    if (smoke) continue;
    measure(40, 32, seeds, spend);
    measure(64, 48, spend ? 2 : seeds / 2, spend);
    measure(64, 64, spend ? 2 : seeds / 2, spend);
  }
}
