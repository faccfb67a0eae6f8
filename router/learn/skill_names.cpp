#include "router/learn/skill_names.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>

namespace router {

namespace {

constexpr std::string_view kBlank = " \t\r.*-_\"'`()[]";

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(kBlank);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

/// Without "3." or "3)" before it.
std::string_view unnumbered(std::string_view name) {
  const auto digits = name.find_first_not_of("0123456789");
  const bool numbered = digits != 0 && digits != name.npos && digits <= 2 &&
                        (name[digits] == '.' || name[digits] == ')' || name[digits] == ':');
  return numbered ? trimmed(name.substr(digits + 1)) : name;
}

std::string folded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool blank = c == ' ' || c == '\t' || c == '_';
    if (blank && (out.empty() || out.back() == ' ')) continue;
    out.push_back(blank ? ' ' : c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c);
  }
  return out;
}

using Trigrams = std::map<std::string, double>;

Trigrams trigrams_of(std::string_view name) {
  const std::string padded = " " + std::string(name) + " ";
  Trigrams counts;
  for (std::size_t i = 0; i + 3 <= padded.size(); ++i) counts[padded.substr(i, 3)] += 1;
  return counts;
}

double norm_of(const Trigrams& counts) {
  double sum = 0;
  for (const auto& [gram, count] : counts) sum += count * count;
  return std::sqrt(sum);
}

double cosine(const Trigrams& a, const Trigrams& b) {
  double sum = 0;
  for (const auto& [gram, count] : a) {
    const auto found = b.find(gram);
    if (found != b.end()) sum += count * found->second;
  }
  const double norm = norm_of(a) * norm_of(b);
  return norm > 0 ? sum / norm : 0;
}

/// Names by how many of `lists` have them, most first, then by name.
std::vector<std::pair<std::string, std::size_t>> by_count(
    std::span<const std::vector<std::string>> lists) {
  std::map<std::string, std::size_t> counts;
  for (const auto& list : lists)
    for (std::size_t i = 0; i < list.size(); ++i)
      if (std::find(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(i), list[i]) ==
          list.begin() + static_cast<std::ptrdiff_t>(i))
        ++counts[list[i]];
  std::vector<std::pair<std::string, std::size_t>> sorted(counts.begin(), counts.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return sorted;
}

/// The skill that each rare name is counted for; names without one are not in it.
std::unordered_map<std::string, std::string> nearest_skills(
    const std::vector<std::pair<std::string, std::size_t>>& names,
    const std::vector<std::string>& skills, const NamingRules& rules) {
  std::vector<Trigrams> known;
  for (const std::string& skill : skills) known.push_back(trigrams_of(skill));
  std::unordered_map<std::string, std::string> nearest;
  for (const auto& [name, rows] : names) {
    const Trigrams grams = trigrams_of(name);
    double best = rules.similarity_min;
    for (std::size_t s = 0; s < skills.size(); ++s) {
      const double near = cosine(grams, known[s]);
      if (near < best || (near == best && nearest.contains(name))) continue;
      best = near;
      nearest[name] = skills[s];
    }
  }
  return nearest;
}

}  // namespace

std::string naming_prompt(std::string_view text) {
  std::string prompt =
      "Which core knowledge, subjects and skills does one need to answer the question between the "
      "marks? Do not answer it. Reply with two to five short keywords, separated by commas, and "
      "with nothing else.\n\n<<<\n";
  return prompt.append(text).append("\n>>>");
}

std::vector<std::string> read_names(std::string_view reply, const NamingRules& rules) {
  std::vector<std::string> names;
  while (!reply.empty() && names.size() < rules.names_max) {
    const auto end = std::min(reply.find_first_of(",;\n"), reply.size());
    std::string_view part = trimmed(reply.substr(0, end));
    reply.remove_prefix(std::min(end + 1, reply.size()));
    if (const auto colon = part.rfind(':'); colon != part.npos)
      part = trimmed(part.substr(colon + 1));
    const std::string name = folded(trimmed(unnumbered(part)));
    const bool wordy = std::count(name.begin(), name.end(), ' ') > 4;
    const bool fits = !name.empty() && name.size() <= rules.name_bytes_max && !wordy;
    const bool letters = std::any_of(
        name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c & 0x80) != 0; });
    const bool fresh = std::find(names.begin(), names.end(), name) == names.end();
    if (fits && letters && fresh) names.push_back(name);
  }
  return names;
}

std::vector<std::string> agree(std::span<const std::vector<std::string>> passes,
                               const NamingRules& rules) {
  std::vector<std::string> names;
  for (const auto& [name, count] : by_count(passes)) {
    if (count >= static_cast<std::size_t>(rules.agree_min) && names.size() < rules.names_max)
      names.push_back(name);
  }
  return names;
}

double name_similarity(std::string_view a, std::string_view b) {
  return cosine(trigrams_of(a), trigrams_of(b));
}

std::vector<std::string> settle_names(std::vector<std::vector<std::string>>& rows,
                                      const NamingRules& rules) {
  const auto names = by_count(rows);
  std::vector<std::string> skills;
  for (const auto& [name, count] : names) {
    if (count >= rules.rows_min && skills.size() < rules.skills_max) skills.push_back(name);
  }
  const auto nearest = nearest_skills(names, skills, rules);
  for (auto& row : rows) {
    std::vector<std::string> settled;
    for (const std::string& name : row) {
      const auto found = nearest.find(name);
      if (found == nearest.end()) continue;
      const bool fresh = std::find(settled.begin(), settled.end(), found->second) == settled.end();
      if (fresh) settled.push_back(found->second);
    }
    row = std::move(settled);
  }
  return skills;
}

}  // namespace router
