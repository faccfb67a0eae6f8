#include "config/section.h"

#include <algorithm>
#include <sstream>

namespace config {

namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const auto above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string text_of(double value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

}  // namespace

std::string nearest(std::string_view word, const std::set<std::string>& names) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const auto& name : names) {
    const auto distance = edit_distance(word, name);
    if (distance < best_distance) {
      best_distance = distance;
      best = name;
    }
  }
  return best;
}

Section::Section(const nlohmann::json& json, std::string place, Faults& faults,
                 nlohmann::json* shown)
    : json_(json), place_(std::move(place)), faults_(faults), shown_(shown) {}

Section::~Section() {
  for (const auto& [key, value] : json_.items()) {
    if (known_.contains(key)) continue;
    const auto near = nearest(key, known_);
    faults_.push_back(place_of(key.c_str()) + ": unknown key" +
                      (near.empty() ? std::string() : "; did you mean `" + near + "`?"));
  }
}

std::string Section::place_of(const char* key) const {
  return place_.empty() ? std::string(key) : place_ + "." + key;
}

void Section::fault(const char* key, std::string_view sentence) {
  faults_.push_back(place_of(key) + ": " + std::string(sentence));
}

const nlohmann::json* Section::find(const char* key) {
  known_.insert(key);
  const auto found = json_.find(key);
  return found == json_.end() ? nullptr : &*found;
}

bool Section::has(const char* key) {
  return find(key) != nullptr;
}

void Section::read(const char* key, std::string& target) {
  if (const auto* value = find(key)) {
    if (value->is_string())
      target = value->get<std::string>();
    else
      fault(key, "must be a string");
  }
  show(key, target);
}

void Section::read(const char* key, bool& target) {
  if (const auto* value = find(key)) {
    if (value->is_boolean())
      target = value->get<bool>();
    else
      fault(key, "must be true or false");
  }
  show(key, target);
}

void Section::read(const char* key, std::vector<std::string>& target) {
  if (const auto* value = find(key)) {
    const auto is_text = [](const auto& item) { return item.is_string(); };
    if (value->is_array() && std::all_of(value->begin(), value->end(), is_text))
      target = value->get<std::vector<std::string>>();
    else
      fault(key, "must be an array of strings");
  }
  show(key, target);
}

void Section::read(const char* key, double& target, double min, double max) {
  if (const auto* value = find(key)) {
    if (value->is_number() && value->get<double>() >= min && value->get<double>() <= max)
      target = value->get<double>();
    else
      fault(key, "must be a number from " + text_of(min) + " to " + text_of(max));
  }
  show(key, target);
}

bool Section::read_integer(const char* key, std::int64_t& target, std::int64_t min,
                           std::int64_t max) {
  const auto* value = find(key);
  if (!value) return false;
  // A number above INT64_MAX is stored unsigned and would wrap: compare it as it is.
  const auto fits = value->is_number_integer() &&
                    (!value->is_number_unsigned() ||
                     value->get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX)) &&
                    value->get<std::int64_t>() >= min && value->get<std::int64_t>() <= max;
  if (!fits) {
    fault(key, "must be an integer from " + std::to_string(min) + " to " + std::to_string(max));
    return false;
  }
  target = value->get<std::int64_t>();
  return true;
}

int Section::choice(const char* key, const std::vector<std::string>& names) {
  const auto* value = find(key);
  if (!value) return -1;
  std::string list;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (value->is_string() && value->get<std::string>() == names[i]) return static_cast<int>(i);
    list += (i ? ", " : "") + names[i];
  }
  fault(key, "must be one of " + list);
  return -1;
}

}  // namespace config
