#include "aggregator/fuse.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "aggregator/forms.h"
#include "aggregator/json_value.h"

namespace aggregator {
namespace {

using nlohmann::json;

struct Voice {
  const json* value;
  double weight;
};

double weight_of(const std::vector<Voice>& voices) {
  double sum = 0;
  for (const Voice& voice : voices) sum += voice.weight;
  return sum;
}

/// What makes two values the same when they are voted on whole.
std::string vote_key(const json& value) {
  if (value.is_string()) return "s" + forms::text_key(value.get_ref<const std::string&>());
  return "v" + value.dump(-1, ' ', false, json::error_handler_t::replace);
}

class Fusion {
 public:
  Fusion(const FuseRules& rules, FusedJson& report) : rules_(rules), report_(report) {}

  json fuse(std::vector<Voice> voices, const std::string& path, std::size_t depth) {
    keep_heaviest_kind(voices);
    const json& first = *voices.front().value;
    if (depth >= rules_.depth_max) return vote(voices, path);
    if (first.is_object()) return fuse_objects(voices, path, depth);
    if (first.is_array() && !first.empty() && same_length(voices)) {
      return fuse_arrays(voices, path, depth);
    }
    if (first.is_number()) return fuse_values(voices, path);
    return vote(voices, path);
  }

  double agreement() const { return leaves_ > 0 ? agreed_ / leaves_ : 1; }

 private:
  static int kind_of(const json& value) {
    return value.is_number() ? -1 : static_cast<int>(value.type());
  }

  static void keep_heaviest_kind(std::vector<Voice>& voices) {
    std::map<int, double> weights;
    for (const Voice& voice : voices) weights[kind_of(*voice.value)] += voice.weight;
    int kind = kind_of(*voices.front().value);
    for (const auto& [other, weight] : weights) {
      if (weight > weights[kind]) kind = other;
    }
    std::erase_if(voices, [&](const Voice& voice) { return kind_of(*voice.value) != kind; });
  }

  static bool same_length(const std::vector<Voice>& voices) {
    return std::all_of(voices.begin(), voices.end(), [&](const Voice& voice) {
      return voice.value->size() == voices.front().value->size();
    });
  }

  json fuse_objects(const std::vector<Voice>& voices, const std::string& path, std::size_t depth) {
    const double total = weight_of(voices);
    std::map<std::string, std::vector<Voice>> fields;
    for (const Voice& voice : voices) {
      for (const auto& [name, value] : voice.value->items()) {
        fields[name].push_back({&value, voice.weight});
      }
    }
    json fused = json::object();
    for (const auto& [name, values] : fields) {
      if (weight_of(values) < rules_.field_share_min * total) continue;
      fused[name] = fuse(values, path + "/" + name, depth + 1);
    }
    return fused;
  }

  json fuse_arrays(const std::vector<Voice>& voices, const std::string& path, std::size_t depth) {
    json fused = json::array();
    for (std::size_t i = 0; i < voices.front().value->size(); ++i) {
      std::vector<Voice> elements;
      for (const Voice& voice : voices) elements.push_back({&(*voice.value)[i], voice.weight});
      fused.push_back(fuse(elements, path + "/" + std::to_string(i), depth + 1));
    }
    return fused;
  }

  json fuse_values(const std::vector<Voice>& voices, const std::string& path) {
    const auto [winner, share] = heaviest(voices);
    if (share > 0.5) return leaf(*winner, share, path);
    std::vector<WeightedNumber> numbers;
    for (const Voice& voice : voices) numbers.push_back({voice.value->get<double>(), voice.weight});
    return leaf(*voices[fuse_numbers(numbers, rules_).chosen].value, share, path);
  }

  json vote(const std::vector<Voice>& voices, const std::string& path) {
    const auto [winner, share] = heaviest(voices);
    return leaf(*winner, share, path);
  }

  /// The value with the most weight behind it, in the wording of its heaviest voice; ties: the
  /// first.
  static std::pair<const json*, double> heaviest(const std::vector<Voice>& voices) {
    struct Group {
      std::string key;
      double weight;
      Voice voice;
    };

    std::vector<Group> groups;
    for (const Voice& voice : voices) {
      std::string key = vote_key(*voice.value);
      const auto at = std::find_if(groups.begin(), groups.end(),
                                   [&](const Group& group) { return group.key == key; });
      if (at == groups.end()) {
        groups.push_back({std::move(key), voice.weight, voice});
        continue;
      }
      at->weight += voice.weight;
      if (voice.weight > at->voice.weight) at->voice = voice;
    }
    const auto best =
        std::max_element(groups.begin(), groups.end(),
                         [](const Group& a, const Group& b) { return a.weight < b.weight; });
    return {best->voice.value, best->weight / weight_of(voices)};
  }

  const json& leaf(const json& value, double share, const std::string& path) {
    constexpr std::size_t kContestedMax = 32;
    agreed_ += share;
    ++leaves_;
    if (share <= 0.5 && report_.contested.size() < kContestedMax) report_.contested.push_back(path);
    return value;
  }

  const FuseRules& rules_;
  FusedJson& report_;
  double agreed_ = 0;
  double leaves_ = 0;
};

}  // namespace

FusedNumber fuse_numbers(const std::vector<WeightedNumber>& numbers, const FuseRules& rules) {
  double total = 0;
  for (const WeightedNumber& one : numbers) total += std::max(0.0, one.weight);
  std::vector<std::uint32_t> order(numbers.size());
  for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return numbers[a].value < numbers[b].value;
  });
  const bool equal = !(total > 0);
  if (equal) total = static_cast<double>(numbers.size());
  const auto at_share = [&](double share) {
    double sum = 0;
    for (const std::uint32_t i : order) {
      sum += equal ? 1 : std::max(0.0, numbers[i].weight);
      if (sum >= share * total * (1 - 1e-12)) return numbers[i].value;
    }
    return numbers[order.back()].value;
  };
  FusedNumber fused;
  fused.value = at_share(0.5);
  fused.low = at_share((1 - rules.interval_share) / 2);
  fused.high = at_share((1 + rules.interval_share) / 2);
  double heaviest = -1;
  for (std::uint32_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i].value != fused.value || numbers[i].weight <= heaviest) continue;
    heaviest = numbers[i].weight;
    fused.chosen = i;
  }
  return fused;
}

FusedJson fuse_json(const std::vector<WeightedJson>& documents, std::string_view schema,
                    const FuseRules& rules, const ReadLimits& limits) {
  FusedJson result;
  const auto wanted = parse_bounded(schema, limits);
  std::vector<json> values;
  std::vector<double> weights;
  for (const WeightedJson& document : documents) {
    auto value = parse_bounded(document.text, limits);
    if (!value) continue;
    normalise(*value);
    if (wanted && !fits(*value, *wanted, 0)) continue;
    values.push_back(std::move(*value));
    weights.push_back(std::max(0.0, document.weight));
  }
  if (values.empty()) return result;
  const bool equal = std::all_of(weights.begin(), weights.end(), [](double w) { return w <= 0; });
  std::vector<Voice> voices;
  for (std::size_t i = 0; i < values.size(); ++i) {
    voices.push_back({&values[i], equal ? 1.0 : weights[i]});
  }
  Fusion fusion(rules, result);
  const json fused = fusion.fuse(voices, "", 0);
  if (wanted && !fits(fused, *wanted, 0)) return {};
  result.fused = true;
  result.agreement = fusion.agreement();
  result.text = fused.dump(-1, ' ', false, json::error_handler_t::replace);
  return result;
}

}  // namespace aggregator
