#include "router/learn/policy_diff.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <stdexcept>

#include "router/learn/play.h"
#include "router/learn/trial.h"

namespace router {
namespace {

constexpr std::size_t kChangesKept = 200;
constexpr std::size_t kChangesPrinted = 20;
constexpr std::size_t kSkillRowsMin = 100;  // of a skill whose loss counts as a finding

std::vector<std::string> names_of(const Policy& policy) {
  std::vector<std::string> names;
  for (const PolicyExpert& expert : policy.experts) names.push_back(expert.name);
  return names;
}

/// Names of `a` that `b` lacks.
std::vector<std::string> only_in(const std::vector<std::string>& a,
                                 const std::vector<std::string>& b) {
  std::vector<std::string> out;
  for (const std::string& name : a)
    if (std::find(b.begin(), b.end(), name) == b.end()) out.push_back(name);
  return out;
}

template <typename List>
std::ptrdiff_t place_of(const List& list, const std::string& name) {
  const auto found = std::find(list.begin(), list.end(), name);
  return found == list.end() ? -1 : found - list.begin();
}

std::vector<ProfileChange> compare_profiles(const Policy& before, const Policy& after) {
  const std::vector<std::string> old_names = names_of(before), new_names = names_of(after);
  std::vector<ProfileChange> changes;
  for (std::size_t s = 0; s < before.skills.size(); ++s) {
    const std::ptrdiff_t skill = place_of(after.skills, before.skills[s]);
    for (std::size_t e = 0; skill >= 0 && e < old_names.size(); ++e) {
      const std::ptrdiff_t expert = place_of(new_names, old_names[e]);
      if (expert < 0) continue;
      const std::size_t from = s * old_names.size() + e;
      const std::size_t to =
          static_cast<std::size_t>(skill) * new_names.size() + static_cast<std::size_t>(expert);
      ProfileChange change;
      change.skill = before.skills[s], change.expert = old_names[e];
      change.before = before.profile[from], change.after = after.profile[to];
      const double spread = change.before * (1 - change.before) / (before.support[from] + 1.0) +
                            change.after * (1 - change.after) / (after.support[to] + 1.0);
      change.z = spread > 0 ? (change.after - change.before) / std::sqrt(spread) : 0;
      if (change.before != change.after) changes.push_back(std::move(change));
    }
  }
  std::stable_sort(
      changes.begin(), changes.end(),
      [](const ProfileChange& a, const ProfileChange& b) { return std::abs(a.z) > std::abs(b.z); });
  if (changes.size() > kChangesKept) changes.resize(kChangesKept);
  return changes;
}

std::vector<double> shares_of(const Play& play, const std::vector<std::string>& experts) {
  std::vector<double> out;
  for (const std::string& name : experts) {
    const auto found = play.shares.find(name);
    out.push_back(found == play.shares.end() ? 0 : found->second);
  }
  return out;
}

void refuse_overlap(const Policy& policy, const Trial& trial, const EvaluateOptions& options) {
  std::size_t overlapping = 0;
  for (const std::uint64_t hash : trial.table.id_hashes)
    overlapping += std::binary_search(policy.trained_ids.begin(), policy.trained_ids.end(), hash);
  if (overlapping > 0 && !options.allow_overlap)
    throw std::runtime_error(std::to_string(overlapping) + " of " + std::to_string(trial.rows()) +
                             " rows were used to train the first policy; compare on rows that "
                             "neither has seen, or say --allow-overlap");
}

ReplayDiff replay(const Policy& before, const Policy& after, EvaluateOptions options) {
  if (options.experts.empty()) {
    const std::vector<std::string> mine = names_of(after);
    for (const std::string& name : names_of(before))
      if (place_of(mine, name) >= 0) options.experts.push_back(name);
  }
  if (options.experts.empty())
    throw std::runtime_error("the two policies have no expert in common");
  const auto progress = [&](const char* stage, double done) {
    if (options.progress) options.progress(stage, done);
  };
  progress("read the outcomes", 0);
  Trial trial = read_trial(after, options);
  refuse_overlap(before, trial, options);
  std::size_t without = prepare_vectors(before, options, trial);
  run_policy(before, options.quality, trial,
             [&](double done) { progress("route by the first", 0.2 + 0.4 * done); });
  const Play old_play = play_choices("before", trial, trial.chosen);
  without += prepare_vectors(after, options, trial);
  run_policy(after, options.quality, trial,
             [&](double done) { progress("route by the second", 0.6 + 0.4 * done); });
  const Play new_play = play_choices("after", trial, trial.chosen);
  ReplayDiff out;
  out.rows = trial.rows();
  out.by_words = without;
  out.before = mean_of(old_play.score), out.after = mean_of(new_play.score);
  if (trial.priced)
    out.cost_before = mean_of(old_play.cost_usd), out.cost_after = mean_of(new_play.cost_usd);
  std::vector<double> gains;
  std::map<std::string, std::vector<double>> by_skill;
  for (std::size_t r = 0; r < trial.rows(); ++r) {
    gains.push_back(new_play.score[r] - old_play.score[r]);
    if (!trial.skill[r].empty()) by_skill[trial.skill[r]].push_back(gains.back());
    out.same += new_play.expert[r] == old_play.expert[r];
  }
  out.same /= static_cast<double>(trial.rows());
  out.gain = bootstrap_mean(gains, options.seed);
  for (const auto& [skill, values] : by_skill)
    out.skills.push_back({skill, values.size(), bootstrap_mean(values, options.seed)});
  out.experts = trial.table.experts;
  out.share_before = shares_of(old_play, out.experts);
  out.share_after = shares_of(new_play, out.experts);
  progress("done", 1);
  return out;
}

void print_names(std::ostream& out, const char* what, const std::vector<std::string>& names) {
  if (names.empty()) return;
  out << what;
  for (const std::string& name : names) out << " " << name;
  out << "\n";
}

void print_replay(const ReplayDiff& replay, std::ostream& out) {
  if (replay.by_words > 0)
    out << replay.by_words
        << " decisions of both policies together lack a vector that their policy needs "
           "(--encoder): "
           "they are by words alone\n";
  out << std::fixed << std::setprecision(2) << "\n"
      << replay.rows << " rows: score " << 100 * replay.before << "% before, " << 100 * replay.after
      << "% after, gain " << 100 * replay.gain.mean << " (" << 100 * replay.gain.lo << " to "
      << 100 * replay.gain.hi << "); same expert on " << std::setprecision(1) << 100 * replay.same
      << "%\n";
  if (replay.cost_before)
    out << std::setprecision(6) << "usd a query: " << *replay.cost_before << " before, "
        << *replay.cost_after << " after\n";
  out << "\nshare of the queries                      before    after\n" << std::setprecision(1);
  for (std::size_t e = 0; e < replay.experts.size(); ++e) {
    if (replay.share_before[e] == 0 && replay.share_after[e] == 0) continue;
    out << "  " << std::left << std::setw(36) << replay.experts[e] << std::right << std::setw(9)
        << 100 * replay.share_before[e] << "%" << std::setw(8) << 100 * replay.share_after[e]
        << "%\n";
  }
  out << "\nskill                                   rows     gain (95%)\n";
  for (const SkillGain& skill : replay.skills) {
    if (skill.gain.lo == 0 && skill.gain.hi == 0) continue;
    out << "  " << std::left << std::setw(34) << skill.skill << std::right << std::setw(8)
        << skill.rows << std::setw(9) << 100 * skill.gain.mean << " (" << 100 * skill.gain.lo
        << " to " << 100 * skill.gain.hi << ")\n";
  }
  out << replay.worse(kSkillRowsMin) << " skills of " << kSkillRowsMin
      << " rows or more are significantly worse\n";
}

}  // namespace

std::size_t ReplayDiff::worse(std::size_t rows_min) const {
  return static_cast<std::size_t>(std::count_if(
      skills.begin(), skills.end(),
      [&](const SkillGain& skill) { return skill.rows >= rows_min && skill.gain.hi < 0; }));
}

PolicyDiff diff_policies(const Policy& before, const Policy& after,
                         const EvaluateOptions& options) {
  PolicyDiff diff;
  diff.before = before.version, diff.after = after.version;
  diff.experts_added = only_in(names_of(after), names_of(before));
  diff.experts_removed = only_in(names_of(before), names_of(after));
  diff.skills_added = only_in(after.skills, before.skills);
  diff.skills_removed = only_in(before.skills, after.skills);
  diff.changes = compare_profiles(before, after);
  if (!options.files.empty()) diff.replay = replay(before, after, options);
  return diff;
}

std::string to_json(const PolicyDiff& diff) {
  using OrderedJson = nlohmann::ordered_json;
  const auto interval = [](const Interval& gain) {
    return OrderedJson{gain.mean, gain.lo, gain.hi};
  };
  OrderedJson out = {
      {"before", std::to_string(diff.before)}, {"after", std::to_string(diff.after)},
      {"experts_added", diff.experts_added},   {"experts_removed", diff.experts_removed},
      {"skills_added", diff.skills_added},     {"skills_removed", diff.skills_removed},
      {"changes", OrderedJson::array()},       {"replay", nullptr}};
  for (const ProfileChange& change : diff.changes)
    out["changes"].push_back({{"skill", change.skill},
                              {"expert", change.expert},
                              {"before", change.before},
                              {"after", change.after},
                              {"z", change.z}});
  if (diff.replay) {
    const ReplayDiff& replay = *diff.replay;
    OrderedJson& to = out["replay"];
    to = {{"rows", replay.rows},
          {"by_words", replay.by_words},
          {"score_before", replay.before},
          {"score_after", replay.after},
          {"gain", interval(replay.gain)},
          {"same", replay.same},
          {"skills_worse", replay.worse(kSkillRowsMin)}};
    to["cost_before"] = replay.cost_before ? OrderedJson(*replay.cost_before) : OrderedJson();
    to["cost_after"] = replay.cost_after ? OrderedJson(*replay.cost_after) : OrderedJson();
    for (std::size_t e = 0; e < replay.experts.size(); ++e)
      to["shares"][replay.experts[e]] = {replay.share_before[e], replay.share_after[e]};
    for (const SkillGain& skill : replay.skills)
      to["skills"][skill.skill] = {{"rows", skill.rows}, {"gain", interval(skill.gain)}};
  }
  return out.dump(1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

void print(const PolicyDiff& diff, std::ostream& out) {
  out << std::hex << "from policy " << diff.before << " to " << diff.after << std::dec << "\n";
  print_names(out, "experts added:", diff.experts_added);
  print_names(out, "experts removed:", diff.experts_removed);
  print_names(out, "skills added:", diff.skills_added);
  print_names(out, "skills removed:", diff.skills_removed);
  if (diff.changes.empty()) out << "no success rate has changed\n";
  out << std::fixed << std::setprecision(1);
  for (std::size_t i = 0; i < std::min(kChangesPrinted, diff.changes.size()); ++i) {
    const ProfileChange& change = diff.changes[i];
    out << "  " << std::left << std::setw(30) << change.skill << std::setw(34) << change.expert
        << std::right << std::setw(6) << 100 * change.before << "% -> " << std::setw(5)
        << 100 * change.after << "%  z " << change.z << "\n";
  }
  if (diff.changes.size() > kChangesPrinted)
    out << "  and " << diff.changes.size() - kChangesPrinted << " smaller changes\n";
  if (diff.replay) print_replay(*diff.replay, out);
}

}  // namespace router
