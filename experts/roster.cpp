#include "experts/roster.h"

#include <stdexcept>
#include <unordered_set>

namespace experts {
namespace {

Entry make_entry(const ExpertOptions& options, const Roster* previous) {
  Entry entry;
  entry.options = options;
  if (options.kind == Kind::remote) {
    entry.target = std::make_shared<const Target>(make_target(options));
  }
  const Entry* old = previous == nullptr ? nullptr : previous->find(options.name);
  if (old != nullptr && old->options == options &&
      (entry.target == nullptr || old->target->key == entry.target->key)) {
    return *old;
  }
  entry.standing = std::make_shared<Standing>(options);
  return entry;
}

}  // namespace

const Entry* Roster::find(std::string_view name) const {
  for (const Entry& entry : entries) {
    if (entry.options.name == name) return &entry;
  }
  return nullptr;
}

std::shared_ptr<const Roster> make_roster(const std::vector<ExpertOptions>& experts,
                                          const Roster* previous) {
  auto roster = std::make_shared<Roster>();
  std::unordered_set<std::string_view> names;
  std::string complaints;
  for (const ExpertOptions& options : experts) {
    try {
      if (options.name.empty()) throw std::runtime_error("an expert has no name");
      if (!names.insert(options.name).second) {
        throw std::runtime_error("expert `" + options.name + "`: the name is used twice");
      }
      if (options.enabled) roster->entries.push_back(make_entry(options, previous));
    } catch (const std::runtime_error& error) {
      complaints.append(complaints.empty() ? "" : "\n").append(error.what());
    }
  }
  if (!complaints.empty()) throw std::runtime_error(complaints);
  return roster;
}

}  // namespace experts
