#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "experts/moe/jinja_builtins.h"
#include "experts/moe/unicode.h"

namespace moe::jinja {
namespace {

Value to_integer(const Value& value, const Arguments& arguments) {
  const Value* otherwise = arguments.find(0, "default");
  if (const auto* real = value.as<double>()) {
    if (std::fabs(*real) < 9e18) return static_cast<std::int64_t>(*real);
  } else if (is_number(value)) {
    return integer(value, "int");
  } else if (const auto* text = value.text()) {
    std::int64_t number = 0;
    const auto end = text->data() + text->size();
    if (std::from_chars(text->data(), end, number).ptr == end && !text->empty()) return number;
  }
  return otherwise != nullptr ? *otherwise : Value(std::int64_t{0});
}

Value to_real(const Value& value, const Arguments& arguments) {
  const Value* otherwise = arguments.find(0, "default");
  if (is_number(value)) return number(value);
  if (const auto* text = value.text()) {
    double real = 0;
    const auto end = text->data() + text->size();
    if (std::from_chars(text->data(), end, real).ptr == end && !text->empty()) return real;
  }
  return otherwise != nullptr ? *otherwise : Value(0.0);
}

// Looks up "a.b" step by step, as map(attribute="a.b") does.
Value find_attribute(const Value& object, const Value& path, Runtime& runtime) {
  if (path.text() == nullptr) return find_item(object, path, runtime);
  Value value = object;
  std::string_view rest = *path.text();
  while (true) {
    const std::size_t dot = rest.find('.');
    value = find_item(value, Value(std::string(rest.substr(0, dot))), runtime);
    if (dot == std::string_view::npos) return value;
    rest.remove_prefix(dot + 1);
  }
}

Value join(const Value& value, const Arguments& arguments, Runtime& runtime) {
  const Value* separator = arguments.find(0, "d");
  const Value* attribute = arguments.find(1, "attribute");
  const std::string between = separator != nullptr ? to_text(*separator) : "";
  std::string text;
  bool first = true;
  for (const Value& item : items_of(value, runtime)) {
    if (!first) text += between;
    first = false;
    text += to_text(attribute != nullptr ? find_attribute(item, *attribute, runtime) : item);
  }
  return make_text(runtime, std::move(text));
}

Value use_default(const Value& value, const Arguments& arguments) {
  const Value* otherwise = arguments.find(0, "default_value");
  const Value* falsy_too = arguments.find(1, "boolean");
  const bool replace =
      value.undefined() || (falsy_too != nullptr && is_true(*falsy_too) && !is_true(value));
  if (!replace) return value;
  return otherwise != nullptr ? *otherwise : Value("");
}

// map, select and their like take what is false, none too, for empty.
List filtered_items(const Value& value, Runtime& runtime) {
  return is_true(value) ? items_of(value, runtime) : List();
}

Value map(const Value& value, const Arguments& arguments, Runtime& runtime) {
  List out;
  const Value* attribute = arguments.find(99, "attribute");
  const Value* otherwise = arguments.find(99, "default");
  Arguments rest = arguments;
  if (attribute == nullptr) {
    if (rest.positional.empty()) throw Error("the filter \"map\" needs a filter or an attribute");
    rest.positional.erase(rest.positional.begin());
  }
  for (const Value& item : filtered_items(value, runtime)) {
    runtime.heap.charge_step();
    if (attribute == nullptr) {
      out.push_back(apply_filter(to_text(arguments.positional[0]), item, rest, runtime));
      continue;
    }
    Value found = find_attribute(item, *attribute, runtime);
    out.push_back(found.undefined() && otherwise != nullptr ? *otherwise : std::move(found));
  }
  return runtime.heap.add(std::move(out));
}

// select, reject, selectattr, rejectattr: a test (default: is true) on the item or its attribute.
Value choose(const Value& value, const Arguments& arguments, Runtime& runtime, bool by_attribute,
             bool keep) {
  Arguments rest = arguments;
  const auto take = [&rest] {
    const Value first = rest.positional.front();
    rest.positional.erase(rest.positional.begin());
    return first;
  };
  if (by_attribute && rest.positional.empty()) throw Error("selectattr needs an attribute's name");
  const Value attribute = by_attribute ? take() : Value();
  const std::string test = rest.positional.empty() ? "" : to_text(take());
  List out;
  for (const Value& item : filtered_items(value, runtime)) {
    runtime.heap.charge_step();
    const Value subject = by_attribute ? find_attribute(item, attribute, runtime) : item;
    const bool holds = test.empty() ? is_true(subject) : apply_test(test, subject, rest);
    if (holds == keep) out.push_back(item);
  }
  return runtime.heap.add(std::move(out));
}

Value sort(const Value& value, const Arguments& arguments, Runtime& runtime) {
  const Value* reversed = arguments.find(0, "reverse");
  const Value* case_sensitive = arguments.find(1, "case_sensitive");
  const Value* attribute = arguments.find(2, "attribute");
  const bool fold = case_sensitive == nullptr || !is_true(*case_sensitive);
  List items = items_of(value, runtime);
  const auto key = [&](const Value& item) {
    Value k = attribute != nullptr ? find_attribute(item, *attribute, runtime) : item;
    return fold && k.text() != nullptr ? Value(to_lower(*k.text())) : k;
  };
  std::stable_sort(items.begin(), items.end(), [&](const Value& a, const Value& b) {
    runtime.heap.charge_step();
    return reversed != nullptr && is_true(*reversed) ? less(key(b), key(a)) : less(key(a), key(b));
  });
  return runtime.heap.add(std::move(items));
}

Value unique(const Value& value, Runtime& runtime) {
  List out;
  for (const Value& item : items_of(value, runtime)) {
    const bool seen = std::any_of(out.begin(), out.end(), [&](const Value& other) {
      runtime.heap.charge_step();
      return equal(item, other);
    });
    if (!seen) out.push_back(item);
  }
  return runtime.heap.add(std::move(out));
}

Value indent(const Value& value, const Arguments& arguments, Runtime& runtime) {
  const Value* width = arguments.find(0, "width");
  const Value* first = arguments.find(1, "first");
  const Value* blank = arguments.find(2, "blank");
  std::string margin = "    ";
  if (width != nullptr && width->text() != nullptr) {
    margin = *width->text();
  } else if (width != nullptr) {
    margin.assign(
        static_cast<std::size_t>(std::clamp<std::int64_t>(integer(*width, "width"), 0, 256)), ' ');
  }
  const std::string text = to_text(value);
  std::string out;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const bool marked = at == 0 ? first != nullptr && is_true(*first)
                                : end > at || (blank != nullptr && is_true(*blank));
    if (marked) out += margin;
    out += text.substr(at, end + 1 - at);  // with its line end
    at = end + 1;
  }
  return make_text(runtime, std::move(out));
}

Value dictsort(const Value& value, Runtime& runtime) {
  if (value.dict() == nullptr) throw Error("dictsort of " + std::string(type_name(value)));
  auto items = value.dict()->items;
  std::stable_sort(items.begin(), items.end(), [](const auto& a, const auto& b) {
    return to_lower(a.first) < to_lower(b.first);
  });
  List pairs;
  for (auto& [key, item] : items) pairs.push_back(runtime.heap.add(List{Value(key), item}));
  return runtime.heap.add(std::move(pairs));
}

Value extreme(const Value& value, Runtime& runtime, bool largest) {
  const List items = items_of(value, runtime);
  if (items.empty()) return Undefined{"min or max of nothing"};
  Value best = items[0];
  for (const Value& item : items) {
    if (largest ? less(best, item) : less(item, best)) best = item;
  }
  return best;
}

Value sum(const Value& value, Runtime& runtime) {
  double total = 0;
  bool whole = true;
  for (const Value& item : items_of(value, runtime)) {
    if (!is_number(item)) throw Error("sum of " + std::string(type_name(item)));
    whole = whole && item.as<double>() == nullptr;
    total += number(item);
  }
  return whole ? Value(static_cast<std::int64_t>(total)) : Value(total);
}

Value json(const Value& value, const Arguments& arguments, Runtime& runtime) {
  for (const auto& [name, argument] : arguments.named) {
    if (name != "indent" && name != "ensure_ascii") {
      throw Error("tojson's argument \"" + name + "\" is not supported");
    }
    if (name == "ensure_ascii" && is_true(argument))
      throw Error("tojson with ensure_ascii is not supported");
  }
  const Value* width = arguments.find(0, "indent");
  const bool lines = width != nullptr && width->as<None>() == nullptr;
  const std::int64_t indent =
      lines ? std::clamp<std::int64_t>(integer(*width, "indent"), 0, 64) : -1;
  return make_text(runtime, to_json(value, static_cast<int>(indent)));
}

Value first_or_last(const Value& value, Runtime& runtime, bool first) {
  const List items = items_of(value, runtime);
  if (items.empty()) return Undefined{"the first or last of nothing"};
  return first ? items.front() : items.back();
}

using Filter = Value (*)(const Value&, const Arguments&, Runtime&);

struct NamedFilter {
  std::string_view name;
  Filter apply;
};

// Filters that are methods of texts under the same name.
template <const char* method>
Value as_method(const Value& value, const Arguments& arguments, Runtime& runtime) {
  return call_method(method, Value(to_text(value)), arguments, runtime);
}

constexpr char kStrip[] = "strip";
constexpr char kUpper[] = "upper";
constexpr char kLower[] = "lower";
constexpr char kTitle[] = "title";
constexpr char kCapitalize[] = "capitalize";
constexpr char kReplace[] = "replace";
constexpr char kItems[] = "items";

constexpr NamedFilter kFilters[] = {
    {"trim", as_method<kStrip>},
    {"upper", as_method<kUpper>},
    {"lower", as_method<kLower>},
    {"title", as_method<kTitle>},
    {"capitalize", as_method<kCapitalize>},
    {"replace", as_method<kReplace>},
    {"items",
     [](const Value& v, const Arguments& a, Runtime& r) { return call_method(kItems, v, a, r); }},
    {"length", [](const Value& v, const Arguments&, Runtime&) { return Value(length_of(v)); }},
    {"count", [](const Value& v, const Arguments&, Runtime&) { return Value(length_of(v)); }},
    {"string",
     [](const Value& v, const Arguments&, Runtime& r) { return make_text(r, to_text(v)); }},
    {"safe", [](const Value& v, const Arguments&, Runtime&) { return v; }},
    {"int", [](const Value& v, const Arguments& a, Runtime&) { return to_integer(v, a); }},
    {"float", [](const Value& v, const Arguments& a, Runtime&) { return to_real(v, a); }},
    {"default", [](const Value& v, const Arguments& a, Runtime&) { return use_default(v, a); }},
    {"d", [](const Value& v, const Arguments& a, Runtime&) { return use_default(v, a); }},
    {"tojson", json},
    {"join", join},
    {"map", map},
    {"select",
     [](const Value& v, const Arguments& a, Runtime& r) { return choose(v, a, r, false, true); }},
    {"reject",
     [](const Value& v, const Arguments& a, Runtime& r) { return choose(v, a, r, false, false); }},
    {"selectattr",
     [](const Value& v, const Arguments& a, Runtime& r) { return choose(v, a, r, true, true); }},
    {"rejectattr",
     [](const Value& v, const Arguments& a, Runtime& r) { return choose(v, a, r, true, false); }},
    {"sort", sort},
    {"unique", [](const Value& v, const Arguments&, Runtime& r) { return unique(v, r); }},
    {"indent", indent},
    {"dictsort", [](const Value& v, const Arguments&, Runtime& r) { return dictsort(v, r); }},
    {"min", [](const Value& v, const Arguments&, Runtime& r) { return extreme(v, r, false); }},
    {"max", [](const Value& v, const Arguments&, Runtime& r) { return extreme(v, r, true); }},
    {"sum", [](const Value& v, const Arguments&, Runtime& r) { return sum(v, r); }},
    {"first",
     [](const Value& v, const Arguments&, Runtime& r) { return first_or_last(v, r, true); }},
    {"last",
     [](const Value& v, const Arguments&, Runtime& r) { return first_or_last(v, r, false); }},
    {"list", [](const Value& v, const Arguments&,
                Runtime& r) { return Value(r.heap.add(items_of(v, r))); }},
    {"reverse",
     [](const Value& v, const Arguments&, Runtime& r) {
       List items = items_of(v, r);
       std::reverse(items.begin(), items.end());
       if (v.text() == nullptr) return Value(r.heap.add(std::move(items)));
       std::string text;
       for (const Value& item : items) text += *item.text();
       return make_text(r, std::move(text));
     }},
    {"abs",
     [](const Value& v, const Arguments&, Runtime&) {
       if (v.as<double>() != nullptr) return Value(std::fabs(number(v)));
       const std::int64_t whole = integer(v, "abs");
       return Value(whole < 0 ? static_cast<std::int64_t>(0 - static_cast<std::uint64_t>(whole))
                              : whole);
     }},
};

bool is_text(const Value& v) {
  return v.text() != nullptr;
}

const Value& operand(const Arguments& arguments, std::string_view test) {
  if (arguments.positional.empty())
    throw Error("the test \"" + std::string(test) + "\" needs a value");
  return arguments.positional[0];
}

}  // namespace

const Value* Arguments::find(std::size_t index, std::string_view name) const {
  if (index < positional.size()) return &positional[index];
  for (const auto& [key, value] : named) {
    if (key == name) return &value;
  }
  return nullptr;
}

Value apply_filter(std::string_view name, const Value& subject, const Arguments& arguments,
                   Runtime& runtime) {
  for (const NamedFilter& filter : kFilters) {
    if (filter.name == name) return filter.apply(subject, arguments, runtime);
  }
  throw Error("the filter \"" + std::string(name) + "\" is not supported");
}

bool apply_test(std::string_view name, const Value& v, const Arguments& arguments) {
  const auto other = [&]() -> const Value& { return operand(arguments, name); };
  if (name == "defined") return !v.undefined();
  if (name == "undefined") return v.undefined();
  if (name == "none") return v.as<None>() != nullptr;
  if (name == "string") return is_text(v);
  if (name == "boolean") return v.as<bool>() != nullptr;
  if (name == "integer") return v.as<std::int64_t>() != nullptr;
  if (name == "float") return v.as<double>() != nullptr;
  if (name == "number") return is_number(v);
  if (name == "mapping") return v.dict() != nullptr;
  if (name == "sequence" || name == "iterable") {
    return is_text(v) || v.list() != nullptr || v.dict() != nullptr;
  }
  if (name == "callable") {
    return v.as<const Statement*>() != nullptr || v.as<Builtin>() != nullptr;
  }
  if (name == "true") return v.as<bool>() != nullptr && is_true(v);
  if (name == "false") return v.as<bool>() != nullptr && !is_true(v);
  if (name == "odd") return integer(v, "odd") % 2 != 0;
  if (name == "even") return integer(v, "even") % 2 == 0;
  if (name == "divisibleby") {
    const std::int64_t by = integer(other(), "divisibleby");
    if (by == 0) throw Error("divisibleby 0");
    return by == -1 || integer(v, "divisibleby") % by == 0;
  }
  if (name == "equalto" || name == "eq" || name == "sameas") return equal(v, other());
  if (name == "ne") return !equal(v, other());
  if (name == "lt" || name == "lessthan") return less(v, other());
  if (name == "gt" || name == "greaterthan") return less(other(), v);
  if (name == "le") return !less(other(), v);
  if (name == "ge") return !less(v, other());
  if (name == "in") return contains(other(), v);
  if (name == "lower") return is_text(v) && *v.text() == to_lower(*v.text());
  if (name == "upper") return is_text(v) && *v.text() == to_upper(*v.text());
  throw Error("the test \"" + std::string(name) + "\" is not supported");
}

}  // namespace moe::jinja
