#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "aggregator/forms.h"
#include "aggregator/json_value.h"

namespace aggregator {

std::optional<nlohmann::json> parse_bounded(std::string_view text, const ReadLimits& limits) {
  if (text.empty() || text.size() > limits.json_bytes_max) return {};
  bool too_deep = false;
  const auto guard = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    too_deep = too_deep || static_cast<std::size_t>(depth) > limits.json_depth_max;
    return !too_deep;
  };
  nlohmann::json value = nlohmann::json::parse(text, guard, false);
  if (too_deep || value.is_discarded()) return {};
  return value;
}

void normalise(nlohmann::json& value) {
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (std::isfinite(number) && number == std::floor(number) && std::abs(number) < 9e15) {
      value = static_cast<std::int64_t>(number);  // 1.0 and 1 are the same answer
    }
  } else if (value.is_string()) {
    value = std::string(forms::trim(value.get_ref<const std::string&>()));
  } else if (value.is_structured()) {
    for (auto& part : value) normalise(part);
  }
}

namespace {

bool has_type(const nlohmann::json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "null") return value.is_null();
  if (type == "number") return value.is_number();
  if (type == "integer") return value.is_number_integer();
  return true;  // not a type that JSON Schema knows: no constraint
}

bool type_fits(const nlohmann::json& value, const nlohmann::json& type) {
  if (type.is_string()) return has_type(value, type.get_ref<const std::string&>());
  if (!type.is_array()) return true;
  return std::any_of(type.begin(), type.end(), [&](const nlohmann::json& one) {
    return one.is_string() && has_type(value, one.get_ref<const std::string&>());
  });
}

bool object_fits(const nlohmann::json& value, const nlohmann::json& schema, std::size_t depth) {
  const auto required = schema.find("required");
  if (required != schema.end() && required->is_array()) {
    for (const auto& name : *required) {
      if (name.is_string() && !value.contains(name.get_ref<const std::string&>())) return false;
    }
  }
  const auto properties = schema.find("properties");
  const bool known = properties != schema.end() && properties->is_object();
  const auto others = schema.find("additionalProperties");
  const bool closed = others != schema.end() && others->is_boolean() && !others->get<bool>();
  for (const auto& [name, part] : value.items()) {
    if (known && properties->contains(name)) {
      if (!fits(part, (*properties)[name], depth + 1)) return false;
    } else if (closed) {
      return false;
    }
  }
  return true;
}

/// The last balanced object or array of a reply that talks around it.
std::string_view last_balanced(std::string_view text) {
  const std::size_t end = text.find_last_of("}]");
  if (end == std::string_view::npos) return {};
  // Forward from each opening bracket that could be the outermost one, strings respected.
  for (std::size_t begin = text.find_first_of("{["), tries = 0;
       begin != std::string_view::npos && tries < 16;
       begin = text.find_first_of("{[", begin + 1), ++tries) {
    std::size_t depth = 0, i = begin;
    bool quoted = false;
    for (; i <= end; ++i) {
      const char c = text[i];
      if (quoted) {
        if (c == '\\') ++i;
        quoted = c != '"';
        continue;
      }
      quoted = c == '"';
      depth += c == '{' || c == '[';
      if (c == '}' || c == ']') {
        if (depth == 0 || --depth == 0) break;
      }
    }
    if (i == end && depth == 0) return text.substr(begin, end + 1 - begin);
  }
  return {};
}

}  // namespace

bool fits(const nlohmann::json& value, const nlohmann::json& schema, std::size_t depth) {
  constexpr std::size_t kSchemaDepthMax = 64;
  if (!schema.is_object() || depth > kSchemaDepthMax) return true;
  const auto at = [&](const char* name) -> const nlohmann::json* {
    const auto found = schema.find(name);
    return found == schema.end() ? nullptr : &*found;
  };
  if (const auto* type = at("type"); type && !type_fits(value, *type)) return false;
  if (const auto* list = at("enum");
      list && list->is_array() && std::find(list->begin(), list->end(), value) == list->end()) {
    return false;
  }
  if (value.is_number()) {
    const double number = value.get<double>();
    if (const auto* least = at("minimum");
        least && least->is_number() && number < least->get<double>())
      return false;
    if (const auto* most = at("maximum"); most && most->is_number() && number > most->get<double>())
      return false;
  }
  if (value.is_array()) {
    if (const auto* least = at("minItems");
        least && least->is_number() && static_cast<double>(value.size()) < least->get<double>())
      return false;
    if (const auto* most = at("maxItems");
        most && most->is_number() && static_cast<double>(value.size()) > most->get<double>())
      return false;
    if (const auto* items = at("items")) {
      for (const auto& part : value) {
        if (!fits(part, *items, depth + 1)) return false;
      }
    }
  }
  return !value.is_object() || object_fits(value, schema, depth);
}

namespace forms {

JsonText read_json(std::string_view reply, std::string_view schema, const ReadLimits& limits) {
  std::vector<std::string_view> candidates;
  const std::size_t close = reply.rfind("```");
  if (close != std::string_view::npos && close > 0) {
    const std::size_t open = reply.rfind("```", close - 1);
    if (open != std::string_view::npos) {
      std::string_view inside = reply.substr(open + 3, close - open - 3);
      const std::size_t start = inside.find_first_of("{[\n");
      if (start != std::string_view::npos) candidates.push_back(trim(inside.substr(start)));
    }
  }
  candidates.push_back(trim(reply));
  candidates.push_back(last_balanced(reply));
  for (const std::string_view candidate : candidates) {
    auto value = parse_bounded(candidate, limits);
    if (!value || !value->is_structured()) continue;
    normalise(*value);
    if (!schema.empty()) {
      const auto wanted = parse_bounded(schema, limits);
      if (wanted && !fits(*value, *wanted, 0)) return {};
    }
    return {true, value->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)};
  }
  return {};
}

}  // namespace forms
}  // namespace aggregator
