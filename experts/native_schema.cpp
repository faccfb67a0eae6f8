#include "experts/native_schema.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <set>
#include <stdexcept>

#include "experts/target.h"

namespace experts {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;
using simdjson::dom::object;
using Form = moe::JsonShape::Kind;

constexpr std::array<std::string_view, 12> kDescribing = {
    "title",    "description", "default",     "examples",   "$schema",  "$id",
    "$comment", "$defs",       "definitions", "deprecated", "readOnly", "writeOnly"};

bool is_one_of(std::string_view key, std::initializer_list<std::string_view> keys) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

std::string text_of(element value) {
  return simdjson::minify(value);
}

/// A string as it stands between the quotes of a JSON text.
std::string escaped(std::string_view text) {
  const std::string quoted = quote_json(text);
  return quoted.substr(1, quoted.size() - 2);
}

/// Throws std::invalid_argument with what the schema says and this cannot hold.
class SchemaReader {
 public:
  explicit SchemaReader(element root) : root_(root) {}

  moe::JsonShape read(element schema, std::size_t depth) {
    if (++nodes_ > kSchemaNodesMax || depth > moe::kJsonDepthMax) {
      throw std::invalid_argument("the schema is too large, too deep, or recursive");
    }
    bool anything = false;
    if (!schema.get(anything)) {
      if (!anything) throw std::invalid_argument("the schema `false` allows nothing");
      return {};
    }
    object keys;
    if (schema.get(keys)) throw std::invalid_argument("a schema that is no object");
    element value;
    if (!keys["$ref"].get(value)) return read_only(keys, "$ref", follow(value), depth);
    if (!keys["anyOf"].get(value)) return alternatives(keys, value, depth);
    if (!keys["allOf"].get(value)) return read_only(keys, "allOf", single(value), depth);
    if (!keys["const"].get(value)) {
      refuse_others(keys, {"const", "type"});
      return literal({text_of(value)});
    }
    if (!keys["enum"].get(value)) return enumeration(keys, value);
    return by_type(keys, depth);
  }

 private:
  static void refuse_others(object keys, std::initializer_list<std::string_view> known) {
    for (const auto [key, value] : keys) {
      const bool describes =
          std::find(kDescribing.begin(), kDescribing.end(), key) != kDescribing.end();
      if (describes || is_one_of(key, known)) continue;
      throw std::invalid_argument("the keyword `" + std::string(key) + "` here");
    }
  }

  static moe::JsonShape literal(std::vector<std::string> texts) {
    moe::JsonShape shape;
    shape.kind = Form::literal;
    shape.literals = std::move(texts);
    return shape;
  }

  moe::JsonShape read_only(object keys, std::string_view key, element inner, std::size_t depth) {
    refuse_others(keys, {key});
    return read(inner, depth + 1);
  }

  static element single(element list) {
    simdjson::dom::array items;
    if (list.get(items) || items.size() != 1) {
      throw std::invalid_argument("`allOf` of more than one schema");
    }
    return items.at(0);
  }

  /// `#`, or `#/$defs/NAME` and the like.
  element follow(element reference) const {
    std::string_view path;
    if (reference.get(path) || !path.starts_with('#')) {
      throw std::invalid_argument("a `$ref` that leaves the schema");
    }
    element target = root_;
    if (path != "#" && root_.at_pointer(path.substr(1)).get(target)) {
      throw std::invalid_argument("the `$ref` `" + std::string(path) + "`, which is not there");
    }
    return target;
  }

  moe::JsonShape alternatives(object keys, element list, std::size_t depth) {
    refuse_others(keys, {"anyOf"});
    simdjson::dom::array items;
    if (list.get(items)) throw std::invalid_argument("`anyOf` that is no list");
    moe::JsonShape shape;
    shape.kind = Form::any_of;
    for (const element item : items) shape.items.push_back(read(item, depth + 1));
    return shape;
  }

  static moe::JsonShape enumeration(object keys, element list) {
    refuse_others(keys, {"enum", "type"});
    simdjson::dom::array items;
    if (list.get(items)) throw std::invalid_argument("`enum` that is no list");
    std::vector<std::string> texts;
    for (const element item : items) texts.push_back(text_of(item));
    return literal(std::move(texts));
  }

  moe::JsonShape by_type(object keys, std::size_t depth) {
    element type;
    if (keys["type"].get(type)) {
      if (keys["properties"].error() == simdjson::SUCCESS) return object_shape(keys, depth);
      refuse_others(keys, {});
      return {};
    }
    simdjson::dom::array several;
    if (type.get(several)) return of_type(type, keys, depth);
    moe::JsonShape shape;
    shape.kind = Form::any_of;
    for (const element one : several) {
      std::string_view name;
      const bool structured = !one.get(name) && is_one_of(name, {"object", "array"});
      if (!structured) {  // what is said about members is not about this one
        shape.items.push_back(scalar(name));
        continue;
      }
      shape.items.push_back(of_type(one, keys, depth));
    }
    if (std::none_of(several.begin(), several.end(), [](element one) {
          std::string_view name;
          return !one.get(name) && is_one_of(name, {"object", "array"});
        })) {
      refuse_others(keys, {"type"});
    }
    return shape;
  }

  moe::JsonShape of_type(element type, object keys, std::size_t depth) {
    std::string_view name;
    if (type.get(name)) throw std::invalid_argument("a `type` that is no string");
    if (name == "object") return object_shape(keys, depth);
    if (name == "array") return array_shape(keys, depth);
    refuse_others(keys, {"type"});
    return scalar(name);
  }

  static moe::JsonShape scalar(std::string_view name) {
    if (name == "null") return literal({"null"});
    if (name == "boolean") return literal({"true", "false"});
    moe::JsonShape shape;
    if (name == "string") {
      shape.kind = Form::string;
    } else if (name == "number") {
      shape.kind = Form::number;
    } else if (name == "integer") {
      shape.kind = Form::integer;
    } else {
      throw std::invalid_argument("the type `" + std::string(name) + "`");
    }
    return shape;
  }

  moe::JsonShape object_shape(object keys, std::size_t depth) {
    refuse_others(keys, {"type", "properties", "required", "additionalProperties"});
    moe::JsonShape shape;
    shape.kind = Form::object;
    object properties;
    const bool has_properties = !keys["properties"].get(properties);
    bool others = true;
    element additional;
    if (!keys["additionalProperties"].get(additional) && additional.get(others) &&
        !has_properties) {
      throw std::invalid_argument("a schema in `additionalProperties`");
    }
    std::set<std::string_view> required;
    simdjson::dom::array names;
    if (!keys["required"].get(names)) {
      for (const element name : names) {
        std::string_view text;
        if (!name.get(text)) required.insert(text);
      }
    }
    if (has_properties) {
      for (const auto [name, value] : properties) {
        shape.add_property(escaped(name), read(value, depth + 1), required.erase(name) > 0);
      }
    }
    if (!required.empty()) {
      throw std::invalid_argument("`required` names `" + std::string(*required.begin()) +
                                  "`, which `properties` does not define");
    }
    if (shape.properties.empty() && !others) return literal({"{}"});
    return shape;
  }

  moe::JsonShape array_shape(object keys, std::size_t depth) {
    refuse_others(keys, {"type", "items", "minItems", "maxItems"});
    moe::JsonShape shape;
    shape.kind = Form::array;
    element items;
    if (!keys["items"].get(items)) shape.items.push_back(read(items, depth + 1));
    std::uint64_t bound = 0;
    if (!keys["minItems"].get(bound)) shape.items_min = static_cast<std::size_t>(bound);
    if (!keys["maxItems"].get(bound)) shape.items_max = static_cast<std::size_t>(bound);
    return shape;
  }

  const element root_;
  std::size_t nodes_ = 0;
};

}  // namespace

ReplyShape shape_of(std::string_view response_format) {
  simdjson::dom::parser parser;
  element format, schema;
  std::string_view type;
  if (parser.parse(simdjson::padded_string(response_format)).get(format) ||
      format["type"].get(type)) {
    return {std::nullopt, "`response_format` is no object with a type"};
  }
  if (type == "json_object") {
    moe::JsonShape shape;
    shape.kind = Form::object;
    return {std::move(shape), ""};
  }
  if (format.at_pointer("/json_schema/schema").get(schema)) {
    return {std::nullopt, "`response_format.json_schema.schema` is missing"};
  }
  try {
    return {SchemaReader(schema).read(schema, 0), ""};
  } catch (const std::invalid_argument& reason) {
    return {std::nullopt, "`response_format.json_schema.schema`: a native expert cannot hold to " +
                              std::string(reason.what())};
  }
}

}  // namespace experts
