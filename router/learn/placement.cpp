#include "router/learn/placement.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <queue>
#include <stdexcept>

namespace router {
namespace {

constexpr double kEqual = 1e-12;
constexpr std::uint64_t kWork = 2'000'000'000;  // of a search: steps times experts times nodes
constexpr double kUnreached = std::numeric_limits<double>::infinity();

void check(const PlacementProblem& problem) {
  const std::size_t experts = problem.work.size();
  const auto bad = [](double x) { return !(x >= 0) || std::isinf(x); };
  if (problem.nodes.empty()) throw std::runtime_error("placement: there is no node");
  if (experts == 0) throw std::runtime_error("placement: there is no expert");
  if (problem.memory.size() != experts || problem.together.size() != experts * experts)
    throw std::runtime_error("placement: memory or together has another number of experts");
  if (std::any_of(problem.work.begin(), problem.work.end(), bad) ||
      std::any_of(problem.memory.begin(), problem.memory.end(), bad) ||
      std::any_of(problem.together.begin(), problem.together.end(), bad) || bad(problem.apart))
    throw std::runtime_error("placement: a number is negative or not finite");
  for (const PlacementNode& node : problem.nodes) {
    if (!(node.speed > 0) || std::isinf(node.speed) || !(node.memory >= 0))
      throw std::runtime_error("placement: speed of node " + node.name +
                               " must be above 0, its memory not negative");
  }
}

/// A placement that grows and shrinks expert by expert.
class Draft {
 public:
  explicit Draft(const PlacementProblem& problem)
      : problem_(problem),
        experts_(problem.work.size()),
        nodes_(problem.nodes.size()),
        node_of_(experts_, kNobody),
        work_(nodes_),
        memory_(nodes_),
        count_(nodes_),
        wait_(experts_ * nodes_) {}

  bool has_room(std::size_t e, std::size_t n) const {
    return memory_[n] + problem_.memory[e] <= problem_.nodes[n].memory * (1 + kEqual);
  }

  void put(std::size_t e, std::size_t n) { change(e, n, 1); }

  void take(std::size_t e) { change(e, node_of_[e], -1); }

  /// What the experts on node `n` and `e` would wait for each other.
  double wait(std::size_t e, std::size_t n) const { return wait_[e * nodes_ + n]; }

  double time(std::size_t n) const { return work_[n] / problem_.nodes[n].speed; }

  double time_with(std::size_t e, std::size_t n) const {
    return (work_[n] + problem_.work[e]) / problem_.nodes[n].speed;
  }

  double peak() const {
    double peak = 0;
    for (std::size_t n = 0; n < nodes_; ++n) peak = std::max(peak, time(n));
    return peak;
  }

  double waits() const { return waits_; }

  double objective() const { return peak() + problem_.apart * waits_; }

  bool is_empty(std::size_t n) const { return count_[n] == 0; }

  std::size_t node(std::size_t e) const { return node_of_[e]; }

  const std::vector<std::uint32_t>& nodes() const { return node_of_; }

 private:
  static constexpr std::uint32_t kNobody = std::numeric_limits<std::uint32_t>::max();

  void change(std::size_t e, std::size_t n, int sign) {
    if (sign < 0) node_of_[e] = kNobody;
    waits_ += sign * wait(e, n);
    work_[n] += sign * problem_.work[e];
    memory_[n] += sign * problem_.memory[e];
    count_[n] += sign;
    if (count_[n] == 0) work_[n] = memory_[n] = 0;  // no rounding is carried on
    const double* const together = &problem_.together[e * experts_];
    for (std::size_t other = 0; other < experts_; ++other) {
      if (other != e) wait_[other * nodes_ + n] += sign * together[other] / problem_.nodes[n].speed;
    }
    if (sign > 0) node_of_[e] = static_cast<std::uint32_t>(n);
  }

  const PlacementProblem& problem_;
  const std::size_t experts_, nodes_;
  std::vector<std::uint32_t> node_of_;
  std::vector<double> work_, memory_;  // by node
  std::vector<int> count_;
  std::vector<double> wait_;  // [experts, nodes]
  double waits_ = 0;
};

/// Experts with most work first: what is placed late should be small.
std::vector<std::uint32_t> by_work(const PlacementProblem& problem) {
  std::vector<std::uint32_t> order(problem.work.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return problem.work[a] != problem.work[b] ? problem.work[a] > problem.work[b]
                                              : problem.memory[a] > problem.memory[b];
  });
  return order;
}

/// Each expert to the node where it costs least now. False: one found no room.
bool place_greedily(const PlacementProblem& problem, const std::vector<std::uint32_t>& order,
                    Draft& draft) {
  for (const std::uint32_t e : order) {
    std::size_t best = problem.nodes.size();
    double least = kUnreached;
    for (std::size_t n = 0; n < problem.nodes.size(); ++n) {
      if (!draft.has_room(e, n)) continue;
      const double cost = draft.time_with(e, n) + problem.apart * draft.wait(e, n);
      if (cost < least) least = cost, best = n;
    }
    if (best == problem.nodes.size()) return false;
    draft.put(e, best);
  }
  return true;
}

/// Moves of one expert and swaps of two, as long as one of them gains.
void improve(const PlacementProblem& problem, Draft& draft) {
  const std::size_t experts = problem.work.size();
  double now = draft.objective();
  const auto keeps = [&] {
    const double then = draft.objective();
    if (then >= now - kEqual) return false;
    now = then;
    return true;
  };
  const auto try_move = [&](std::size_t e) {
    const std::size_t from = draft.node(e);
    for (std::size_t n = 0; n < problem.nodes.size(); ++n) {
      if (n == from) continue;
      draft.take(e);
      const bool room = draft.has_room(e, n);
      draft.put(e, room ? n : from);
      if (!room) continue;
      if (keeps()) return true;
      draft.take(e);
      draft.put(e, from);
    }
    return false;
  };
  const auto try_swap = [&](std::size_t a, std::size_t b) {
    const std::size_t of_a = draft.node(a), of_b = draft.node(b);
    if (of_a == of_b) return false;
    draft.take(a);
    draft.take(b);
    const bool room = draft.has_room(a, of_b) && draft.has_room(b, of_a);
    draft.put(a, room ? of_b : of_a);
    draft.put(b, room ? of_a : of_b);
    if (!room) return false;
    if (keeps()) return true;
    draft.take(a);
    draft.take(b);
    draft.put(a, of_a);
    draft.put(b, of_b);
    return false;
  };
  for (bool better = true; better;) {
    better = false;
    for (std::size_t a = 0; a < experts; ++a) {
      better = try_move(a) || better;
      for (std::size_t b = a + 1; b < experts; ++b) better = try_swap(a, b) || better;
    }
  }
}

/// Depth first, the nearest child first. A child's bound: the peak is at least that of now, the
/// mean of all work, and the largest expert still to be placed; every expert waits at least where
/// it waits least.
class Search {
 public:
  Search(const PlacementProblem& problem, std::vector<std::uint32_t> order, std::uint64_t steps_max)
      : problem_(problem), order_(std::move(order)), steps_max_(steps_max), draft_(problem) {
    double speed = 0;
    for (const PlacementNode& node : problem.nodes) {
      speed += node.speed;
      fastest_ = std::max(fastest_, node.speed);
    }
    mean_ = std::accumulate(problem.work.begin(), problem.work.end(), 0.0) / speed;
  }

  void start_from(const Draft& draft) {
    best_ = draft.objective();
    best_nodes_ = draft.nodes();
  }

  void run() { descend(0, 0); }

  bool found() const { return !best_nodes_.empty(); }

  bool ended() const { return lowest_open_ == kUnreached; }

  std::uint64_t steps() const { return steps_; }

  double bound() const { return std::min(best_, lowest_open_); }

  const std::vector<std::uint32_t>& best() const { return best_nodes_; }

 private:
  struct Child {
    double bound = 0;
    std::size_t node = 0;
  };

  double bound_at(std::size_t depth) const {
    double peak = std::max(draft_.peak(), mean_);
    double waits = draft_.waits();
    for (std::size_t i = depth; i < order_.size(); ++i) {
      double least = kUnreached;
      for (std::size_t n = 0; n < problem_.nodes.size(); ++n)
        least = std::min(least, draft_.wait(order_[i], n));
      waits += least;
    }
    if (depth < order_.size()) peak = std::max(peak, problem_.work[order_[depth]] / fastest_);
    return peak + problem_.apart * waits;
  }

  /// An empty node like another empty one before it: the same placements by another name.
  bool is_twin(std::size_t n) const {
    if (!draft_.is_empty(n)) return false;
    for (std::size_t m = 0; m < n; ++m) {
      const PlacementNode &a = problem_.nodes[m], &b = problem_.nodes[n];
      if (draft_.is_empty(m) && a.speed == b.speed && a.memory == b.memory) return true;
    }
    return false;
  }

  void descend(std::size_t depth, double bound) {
    if (depth == order_.size()) {
      if (draft_.objective() >= best_ - kEqual) return;
      best_ = draft_.objective();
      best_nodes_ = draft_.nodes();
      return;
    }
    if (steps_ >= steps_max_) {
      lowest_open_ = std::min(lowest_open_, bound);
      return;
    }
    const std::uint32_t e = order_[depth];
    std::vector<Child> children;
    for (std::size_t n = 0; n < problem_.nodes.size(); ++n) {
      if (!draft_.has_room(e, n) || is_twin(n)) continue;
      draft_.put(e, n);
      children.push_back({bound_at(depth + 1), n});
      draft_.take(e);
    }
    steps_ += children.size();
    std::stable_sort(children.begin(), children.end(),
                     [](const Child& a, const Child& b) { return a.bound < b.bound; });
    for (const Child& child : children) {
      if (child.bound >= best_ - kEqual) break;
      draft_.put(e, child.node);
      descend(depth + 1, child.bound);
      draft_.take(e);
    }
  }

  const PlacementProblem& problem_;
  const std::vector<std::uint32_t> order_;
  const std::uint64_t steps_max_;
  Draft draft_;
  double mean_ = 0, fastest_ = 0;
  double best_ = kUnreached, lowest_open_ = kUnreached;
  std::vector<std::uint32_t> best_nodes_;
  std::uint64_t steps_ = 0;
};

std::string obstacle_of(const PlacementProblem& problem, bool searched_all) {
  double largest = 0, all = 0, room = 0;
  for (const double memory : problem.memory) {
    largest = std::max(largest, memory);
    all += memory;
  }
  double roomiest = 0;
  for (const PlacementNode& node : problem.nodes) {
    roomiest = std::max(roomiest, node.memory);
    room += node.memory;
  }
  if (largest > roomiest) return "an expert is larger than every node's memory";
  if (all > room) return "the experts together are larger than the nodes' memory";
  if (searched_all) return "no way to pack the experts fits the nodes' memory";
  return "no way to pack the experts into the nodes' memory was found within the search's limit";
}

}  // namespace

Placement judge_placement(const PlacementProblem& problem, std::vector<std::uint32_t> node_of) {
  check(problem);
  Draft draft(problem);
  Placement placement;
  placement.feasible = true;
  for (std::size_t e = 0; e < node_of.size(); ++e) {
    placement.feasible = placement.feasible && draft.has_room(e, node_of[e]);
    draft.put(e, node_of[e]);
  }
  placement.peak = draft.peak();
  placement.waits = draft.waits();
  placement.objective = draft.objective();
  placement.node_of = std::move(node_of);
  return placement;
}

Placement place_in_turn(const PlacementProblem& problem) {
  check(problem);
  Draft draft(problem);
  std::size_t next = 0;
  for (std::size_t e = 0; e < problem.work.size(); ++e) {
    std::size_t tries = 0;
    while (tries < problem.nodes.size() && !draft.has_room(e, next)) {
      next = (next + 1) % problem.nodes.size();
      ++tries;
    }
    if (tries == problem.nodes.size()) return {.obstacle = obstacle_of(problem, false)};
    draft.put(e, next);
    next = (next + 1) % problem.nodes.size();
  }
  return judge_placement(problem, draft.nodes());
}

Placement solve_placement(const PlacementProblem& problem, std::uint64_t steps_max) {
  check(problem);
  const std::vector<std::uint32_t> order = by_work(problem);
  if (steps_max == 0) steps_max = kWork / (problem.work.size() * problem.nodes.size());
  Search search(problem, order, steps_max);
  Draft draft(problem);
  if (place_greedily(problem, order, draft)) {
    improve(problem, draft);
    search.start_from(draft);
  }
  search.run();
  if (!search.found()) return {.obstacle = obstacle_of(problem, search.ended())};
  Placement placement = judge_placement(problem, search.best());
  placement.bound = search.ended() ? placement.objective : search.bound();
  placement.proven = placement.bound >= placement.objective - kEqual;
  placement.steps = search.steps();
  return placement;
}

PlacementTrial play_placement(const PlacementProblem& problem,
                              std::span<const std::uint32_t> node_of,
                              std::span<const PlacedQuery> queries, int slots) {
  using Times = std::priority_queue<double, std::vector<double>, std::greater<>>;
  PlacementTrial trial;
  trial.busy.assign(problem.nodes.size(), 0);
  if (queries.empty()) return trial;
  std::vector<Times> free(problem.nodes.size());
  for (Times& times : free)
    for (int i = 0; i < slots; ++i) times.push(queries.front().at);
  std::vector<double> took;
  double end = queries.front().at;
  for (const PlacedQuery& query : queries) {
    double last = query.at;
    for (const PlacedCall& call : query.calls) {
      const std::uint32_t n = node_of[call.expert];
      const double seconds = call.seconds / problem.nodes[n].speed;
      const double ends = std::max(query.at, free[n].top()) + seconds;
      free[n].pop();
      free[n].push(ends);
      trial.busy[n] += seconds;
      last = std::max(last, ends);
    }
    took.push_back(last - query.at);
    end = std::max(end, last);
  }
  const double span = end - queries.front().at;
  for (double& busy : trial.busy) busy = span > 0 ? busy / (span * slots) : 0;
  trial.mean = std::accumulate(took.begin(), took.end(), 0.0) / static_cast<double>(took.size());
  std::sort(took.begin(), took.end());
  trial.p50 = took[(took.size() - 1) / 2];
  trial.p99 = took[(took.size() - 1) * 99 / 100];
  return trial;
}

}  // namespace router
