#include "router/learn/map_search.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace router {
namespace {

constexpr int kPriceSteps = 12;  // of the bisection for a node's price of spend

/// sum of max(0, row - current), in four lanes so that the compiler may keep them in one register.
double gain_over(const double* row, const std::vector<double>& current) {
  double lanes[4] = {0, 0, 0, 0};
  std::size_t s = 0;
  for (; s + 4 <= current.size(); s += 4) {
    for (std::size_t i = 0; i < 4; ++i) lanes[i] += std::max(0.0, row[s + i] - current[s + i]);
  }
  for (; s < current.size(); ++s) lanes[0] += std::max(0.0, row[s] - current[s]);
  return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

void raise(std::vector<double>& current, const double* row) {
  for (std::size_t s = 0; s < current.size(); ++s) current[s] = std::max(current[s], row[s]);
}

double sum_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

}  // namespace

MapSearch::MapSearch(const MapProblem& problem, const MapLimits& limits)
    : problem_(problem),
      limits_(limits),
      skills_(problem.share.size()),
      priced_(problem.spend_max < kUnlimited && !problem.cost.empty()),
      worth_(problem.value.size()),
      price_(problem.value.size(), 0.0),
      floor_(skills_),
      current_(skills_),
      most_(skills_),
      priced_row_(skills_),
      most_spend_(skills_) {
  const std::size_t experts = problem.experts.size();
  std::vector<bool> allowed(worth_.size(), true);
  for (const MapPair& pair : problem.forbidden) allowed[pair.expert * skills_ + pair.skill] = false;
  double range = 0;
  for (std::size_t s = 0; s < skills_; ++s) {
    double least = kUnlimited, most = -kUnlimited;
    for (std::size_t e = 0; e < experts; ++e) {
      const std::size_t at = e * skills_ + s;
      if (!allowed[at]) continue;
      worth_[at] = problem.share[s] * problem.value[at];
      if (!problem.cost.empty()) price_[at] = problem.share[s] * problem.cost[at];
      least = std::min(least, worth_[at]);
      most = std::max(most, worth_[at]);
    }
    floor_[s] = least < kUnlimited ? least : 0;
    range += least < kUnlimited ? most - least : 0;
    tolerance_ = std::max(tolerance_, most > -kUnlimited ? std::abs(most) : 0);
  }
  const double dearest = priced_ ? *std::max_element(price_.begin(), price_.end()) : 0;
  if (dearest > 0) price_scale_ = range / (dearest * static_cast<double>(skills_));
  tolerance_ = 1e-12 * (1 + range + tolerance_) * (1 + static_cast<double>(skills_));
  for (std::size_t s = 0; s < skills_; ++s) {
    floor_[s] -= range + 1;
    for (std::size_t e = 0; e < experts; ++e) {
      if (!allowed[e * skills_ + s]) worth_[e * skills_ + s] = floor_[s];
    }
  }
}

double MapSearch::size_in(const Node& node, std::uint32_t expert) const {
  const MapExpert& one = problem_.experts[expert];
  const bool loads_base = one.base != kNobody && node.bases[one.base] == 0;
  return one.memory + (loads_base ? problem_.base_memory[one.base] : 0);
}

void MapSearch::enter(Node& node, std::uint32_t expert) const {
  node.memory_left -= size_in(node, expert);
  if (problem_.experts[expert].base != kNobody) ++node.bases[problem_.experts[expert].base];
  node.residents.push_back(expert);
  std::erase(node.open, expert);
  raise(node.best, worth_of(expert));
}

/// Open experts that do not fit any more, and (where spend is free) those that add nothing: gains
/// only shrink further down.
void MapSearch::drop_hopeless(Node& node) const {
  if (node.residents.size() >= problem_.count_max) node.open.clear();
  std::erase_if(node.open, [&](std::uint32_t expert) {
    if (size_in(node, expert) > node.memory_left + 1e-9 * (1 + std::abs(problem_.memory_max)) &&
        problem_.memory_max < kUnlimited) {
      return true;
    }
    return !priced_ && gain_over(worth_of(expert), node.best) <= tolerance_;
  });
}

/// Bounds (b) and (c) beyond the residents, from gains_.
double MapSearch::limited_gain(const Node& node) const {
  const std::size_t places = problem_.count_max - node.residents.size();
  std::vector<double> sorted = gains_;
  double by_count = 0;
  if (places < sorted.size()) {
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(places),
                     sorted.end(), std::greater<>());
    by_count =
        std::accumulate(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(places), 0.0);
  } else {
    by_count = sum_of(sorted);
  }
  if (problem_.memory_max == kUnlimited) return by_count;

  // A base that is not loaded yet is split over the open experts that share it: never more than
  // what any subset of them would really take.
  std::vector<std::uint32_t> sharers(problem_.base_memory.size(), 0);
  for (const std::uint32_t expert : node.open) {
    if (problem_.experts[expert].base != kNobody) ++sharers[problem_.experts[expert].base];
  }
  std::vector<std::pair<double, double>> sized;  // gain, size
  for (std::size_t i = 0; i < node.open.size(); ++i) {
    const MapExpert& one = problem_.experts[node.open[i]];
    double size = one.memory;
    if (one.base != kNobody && node.bases[one.base] == 0) {
      size += problem_.base_memory[one.base] / sharers[one.base];
    }
    sized.emplace_back(gains_[i], size);
  }
  std::sort(sized.begin(), sized.end(),
            [](const auto& a, const auto& b) { return a.first * b.second > b.first * a.second; });
  double left = std::max(0.0, node.memory_left), by_memory = 0;
  for (const auto& [gain, size] : sized) {
    if (size > left) {
      by_memory += gain * left / size;
      break;
    }
    by_memory += gain;
    left -= size;
  }
  return std::min(by_count, by_memory);
}

MapSearch::Bound MapSearch::bound_free(const Node& node) {
  Bound bound;
  most_ = node.best;
  gains_.clear();
  double largest = -1;
  for (const std::uint32_t expert : node.open) {
    const double gain = gain_over(worth_of(expert), node.best);
    gains_.push_back(gain);
    raise(most_, worth_of(expert));
    if (gain > largest) largest = gain, bound.branch = expert;
  }
  bound.value = std::min(sum_of(most_), sum_of(node.best) + limited_gain(node));
  return bound;
}

MapSearch::Bound MapSearch::bound_at(const Node& node, double price) {
  Bound bound;
  current_ = floor_;
  std::fill(most_spend_.begin(), most_spend_.end(), 0.0);
  const auto load = [&](std::uint32_t expert) {
    const double *worth = worth_of(expert), *spend = price_of(expert);
    for (std::size_t s = 0; s < skills_; ++s) priced_row_[s] = worth[s] - price * spend[s];
    return spend;
  };
  const auto raise_with_spend = [&](std::vector<double>& current, const double* spend) {
    for (std::size_t s = 0; s < skills_; ++s) {
      if (priced_row_[s] <= current[s]) continue;
      current[s] = priced_row_[s];
      most_spend_[s] = spend[s];
    }
  };
  for (const std::uint32_t expert : node.residents) raise_with_spend(current_, load(expert));
  most_ = current_;
  gains_.clear();
  double largest = -1;
  for (const std::uint32_t expert : node.open) {
    const double* spend = load(expert);
    const double gain = gain_over(priced_row_.data(), current_);
    gains_.push_back(gain);
    raise_with_spend(most_, spend);
    if (gain > largest) largest = gain, bound.branch = expert;
  }
  bound.spend = sum_of(most_spend_);
  bound.value =
      std::min(sum_of(most_), sum_of(current_) + limited_gain(node)) + price * problem_.spend_max;
  return bound;
}

/// The smallest bound over prices of spend: starts from the parent's price, brackets by the spend
/// of bound (a), bisects. Stops as soon as the node can be dropped. A valid bound at every step.
MapSearch::Bound MapSearch::tightest_bound(Node& node) {
  if (!priced_) return bound_free(node);
  Bound tightest = bound_at(node, node.price);
  double price = node.price, low = 0, high = kUnlimited;
  Bound last = tightest;
  for (int step = 0; step < kPriceSteps && tightest.value > best_ + tolerance_; ++step) {
    if (last.spend > problem_.spend_max) {
      low = price;
    } else {
      high = price;
    }
    price = high < kUnlimited ? 0.5 * (low + high) : std::max(8 * low, price_scale_);
    last = bound_at(node, price);
    if (last.value < tightest.value) tightest = last, node.price = price;
  }
  return tightest;
}

void MapSearch::take(const std::vector<std::uint32_t>& residents) {
  if (priced_) return take_with_spend(residents);
  std::vector<double> best = floor_;
  std::vector<std::uint32_t> expert_of(skills_, kNobody);
  std::vector<double> spend(skills_, 0);
  for (const std::uint32_t expert : residents) {
    for (std::size_t s = 0; s < skills_; ++s) {
      const double worth = worth_of(expert)[s], price = price_of(expert)[s];
      if (worth <= floor_[s]) continue;
      if (worth > best[s] || (worth == best[s] && price < spend[s])) {
        best[s] = worth, spend[s] = price, expert_of[s] = expert;
      }
    }
  }
  const double value = sum_of(best);
  if (!expert_of_.empty() && value <= best_ + tolerance_) return;
  best_ = value;
  expert_of_ = std::move(expert_of);
}

void MapSearch::take_with_spend(const std::vector<std::uint32_t>& residents) {
  SpendMenu menu(skills_);
  std::vector<std::vector<std::uint32_t>> who(skills_);
  for (std::size_t s = 0; s < skills_; ++s) {
    menu[s].push_back({floor_[s], 0});
    who[s].push_back(kNobody);
    for (const std::uint32_t expert : residents) {
      if (worth_of(expert)[s] <= floor_[s]) continue;
      menu[s].push_back({worth_of(expert)[s], price_of(expert)[s]});
      who[s].push_back(expert);
    }
  }
  const double above = expert_of_.empty() ? -kUnlimited : best_ + tolerance_;
  const SpendPick pick = best_spend(menu, problem_.spend_max, above, limits_.spend_points_max);
  if (pick.found) {
    best_ = pick.value;
    expert_of_.assign(skills_, kNobody);
    for (std::size_t s = 0; s < skills_; ++s) expert_of_[s] = who[s][pick.choice[s]];
  }
  if (pick.bound > best_ + tolerance_) open_bound_ = std::max(open_bound_, pick.bound);
}

void MapSearch::warm_start(const Node& root, bool by_size) {
  Node node = root;
  for (;;) {
    drop_hopeless(node);
    const Bound bound = priced_ ? bound_at(node, node.price) : bound_free(node);
    std::uint32_t next = bound.branch;
    if (by_size) {
      double most = 0;
      for (std::size_t i = 0; i < node.open.size(); ++i) {
        const double rate = gains_[i] / std::max(1e-12, size_in(node, node.open[i]));
        if (rate > most) most = rate, next = node.open[i];
      }
    }
    if (next == kNobody) break;
    const bool gains = *std::max_element(gains_.begin(), gains_.end()) > tolerance_;
    if (!gains) break;
    enter(node, next);
  }
  take(node.residents);
}

bool MapSearch::stop() {
  if (!stopped_ && (nodes_ >= limits_.nodes_max ||
                    (nodes_ % 64 == 63 && limits_.expired && limits_.expired()))) {
    stopped_ = true;
  }
  return stopped_;
}

void MapSearch::visit(Node node, bool fresh) {
  drop_hopeless(node);
  const Bound bound = tightest_bound(node);
  if (bound.value <= best_ + tolerance_) return;
  if (stop()) {
    open_bound_ = std::max(open_bound_, bound.value);
    return;
  }
  ++nodes_;
  if (fresh) {
    bool hopeful = true;
    if (priced_) {
      Node closed = node;
      closed.open.clear();
      hopeful = tightest_bound(closed).value > best_ + tolerance_;
    }
    if (hopeful) take(node.residents);
  }
  if (bound.branch == kNobody) return;
  Node with = node;
  enter(with, bound.branch);
  visit(std::move(with), true);
  std::erase(node.open, bound.branch);
  visit(std::move(node), false);
}

MapSolution MapSearch::solve() {
  Node root;
  root.best = floor_;
  root.bases.assign(problem_.base_memory.size(), 0);
  root.memory_left = problem_.memory_max;
  for (std::uint32_t e = 0; e < problem_.experts.size(); ++e) {
    if (!problem_.experts[e].disabled) root.open.push_back(e);
  }
  for (std::uint32_t e = 0; e < problem_.experts.size(); ++e) {
    if (problem_.experts[e].pinned) enter(root, e);
  }
  MapSolution broken;
  if (root.memory_left < 0 || root.residents.size() > problem_.count_max) {
    broken.obstacle = root.memory_left < 0
                          ? "the pinned experts need more memory than the budget has"
                          : "more experts are pinned than the budget's count allows";
    broken.proven = true;
    return broken;
  }
  best_ = -kUnlimited;
  open_bound_ = -kUnlimited;
  if (priced_) tightest_bound(root);  // sets the root's price of spend
  take(root.residents);
  warm_start(root, false);
  if (problem_.memory_max < kUnlimited) warm_start(root, true);
  visit(root, false);
  return finish();
}

MapSolution MapSearch::finish() const {
  MapSolution solution;
  solution.nodes = nodes_;
  solution.expert_of = expert_of_;
  std::vector<bool> resident(problem_.experts.size(), false);
  for (std::size_t e = 0; e < resident.size(); ++e) resident[e] = problem_.experts[e].pinned;
  std::size_t lost = 0;
  for (std::size_t s = 0; s < skills_; ++s) {
    const std::uint32_t expert = expert_of_[s];
    if (expert == kNobody) {
      ++lost;
      continue;
    }
    resident[expert] = true;
    solution.objective += worth_of(expert)[s];
    solution.spend += price_of(expert)[s];
  }
  std::vector<bool> loaded(problem_.base_memory.size(), false);
  for (std::uint32_t e = 0; e < resident.size(); ++e) {
    if (!resident[e]) continue;
    const MapExpert& one = problem_.experts[e];
    solution.residents.push_back(e);
    solution.memory += one.memory;
    if (one.base != kNobody && !loaded[one.base]) solution.memory += problem_.base_memory[one.base];
    if (one.base != kNobody) loaded[one.base] = true;
  }
  solution.proven = open_bound_ <= best_ + tolerance_;
  solution.bound = solution.proven ? solution.objective : open_bound_;
  solution.feasible = lost == 0;
  if (lost > 0) {
    solution.obstacle = std::to_string(lost) + (lost == 1 ? " skill has" : " skills have") +
                        " no expert that is allowed, resident and affordable within the budgets";
    if (!solution.proven) solution.obstacle += " (the search was stopped before that was certain)";
  }
  return solution;
}

}  // namespace router
