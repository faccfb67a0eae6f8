// Reads one JSON object of the configuration into plain structs and collects every fault at once.
//
// A Section knows its place (`experts[2].prices`), so a message names it; keys nobody asked for are
// faults too, with the nearest known key. The Faults list outlives all sections. Given a `shown`
// document, a Section also writes there what is in force after each read: defaults and all.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace config {

class Section {
 public:
  Section(const nlohmann::json& json, std::string place, Faults& faults,
          nlohmann::json* shown = nullptr);
  ~Section();  // reports unknown keys
  Section(const Section&) = delete;
  Section& operator=(const Section&) = delete;

  /// Each reads `key` into `target` when it is there; a wrong type or range is a fault and leaves
  /// it.
  void read(const char* key, std::string& target);
  void read(const char* key, bool& target);
  void read(const char* key, std::vector<std::string>& target);
  void read(const char* key, double& target, double min, double max);

  template <typename Integer>
  void read(const char* key, Integer& target, std::int64_t min, std::int64_t max) {
    std::int64_t value = static_cast<std::int64_t>(target);
    if (read_integer(key, value, min, max)) target = static_cast<Integer>(value);
    show(key, target);
  }

  /// One of `names`; the index goes to `target`.
  template <typename Enum>
  void read_choice(const char* key, Enum& target, const std::vector<std::string>& names) {
    const int index = choice(key, names);
    if (index >= 0) target = static_cast<Enum>(index);
    const auto now = static_cast<std::size_t>(target);
    if (now < names.size()) show(key, names[now]);
  }

  bool has(const char* key);

  /// What is in force at `key`, for keys whose value is not read as it is.
  template <typename Value>
  void show(const char* key, const Value& value) {
    if (shown_ != nullptr) (*shown_)[key] = value;
  }

  /// Calls `visit(Section&)` for the object at `key`, if there is one, or if all is to be shown.
  template <typename Visit>
  void object(const char* key, Visit visit) {
    static const nlohmann::json kNothing = nlohmann::json::object();
    const auto* child = find(key);
    if (child != nullptr && !child->is_object()) return fault(key, "must be an object");
    if (child == nullptr && shown_ == nullptr) return;
    nlohmann::json* shown = nullptr;
    if (shown_ != nullptr) shown = &((*shown_)[key] = nlohmann::json::object());
    Section section(child == nullptr ? kNothing : *child, place_of(key), faults_, shown);
    visit(section);
  }

  /// Calls `visit(Section&)` for each object of the array at `key`.
  template <typename Visit>
  void objects(const char* key, Visit visit) {
    show(key, nlohmann::json::array());
    if (const auto* child = find(key)) {
      if (!child->is_array()) return fault(key, "must be an array of objects");
      for (std::size_t i = 0; i < child->size(); ++i) {
        const auto place = place_of(key) + "[" + std::to_string(i) + "]";
        if (!(*child)[i].is_object()) {
          faults_.push_back(place + ": must be an object");
          continue;
        }
        nlohmann::json* shown = nullptr;
        if (shown_ != nullptr) {
          (*shown_)[key].push_back(nlohmann::json::object());
          shown = &(*shown_)[key].back();
        }
        Section section((*child)[i], place, faults_, shown);
        visit(section);
      }
    }
  }

  void fault(const char* key, std::string_view sentence);

 private:
  const nlohmann::json* find(const char* key);
  bool read_integer(const char* key, std::int64_t& value, std::int64_t min, std::int64_t max);
  int choice(const char* key, const std::vector<std::string>& names);
  std::string place_of(const char* key) const;

  const nlohmann::json& json_;
  std::string place_;
  Faults& faults_;
  nlohmann::json* shown_;
  std::set<std::string> known_;
};

/// The entry of `names` with the smallest edit distance to `word`, empty when none is close.
std::string nearest(std::string_view word, const std::set<std::string>& names);

}  // namespace config
