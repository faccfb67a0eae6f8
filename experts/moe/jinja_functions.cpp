#include <algorithm>
#include <array>
#include <cctype>
#include <ctime>

#include "experts/moe/jinja_builtins.h"
#include "experts/moe/unicode.h"

namespace moe::jinja {
namespace {

constexpr std::string_view kPythonSpaces = " \t\n\r\v\f\x1c\x1d\x1e\x1f";

const std::string& text_argument(const Arguments& arguments, std::size_t index,
                                 std::string_view method) {
  const Value* value = arguments.find(index, "");
  if (value == nullptr || value->text() == nullptr) {
    throw Error("the method \"" + std::string(method) + "\" needs a text");
  }
  return *value->text();
}

// strip, lstrip, rstrip: of white space or of any of the given characters.
std::string_view strip(std::string_view text, const Arguments& arguments, bool left, bool right) {
  const Value* given = arguments.find(0, "chars");
  const bool spaces = given == nullptr || given->as<None>() != nullptr;
  const std::string set = spaces ? "" : to_text(*given);
  const auto goes = [&](std::string_view c) {
    if (!spaces) return set.find(c) != std::string::npos;
    if (c.size() == 1) return kPythonSpaces.find(c) != std::string_view::npos;
    return category_of(decode_utf8(c)[0].code) == Category::space;
  };
  const auto characters = characters_of(text);
  std::size_t first = 0;
  std::size_t last = characters.size();
  while (left && first < last && goes(characters[first]))
    text.remove_prefix(characters[first++].size());
  while (right && last > first && goes(characters[last - 1]))
    text.remove_suffix(characters[--last].size());
  return text;
}

// str.split: by a separator, or by runs of white space when there is none.
List split(std::string_view text, const Arguments& arguments, bool from_right) {
  const Value* given = arguments.find(0, "sep");
  const Value* most = arguments.find(1, "maxsplit");
  std::int64_t left = most != nullptr ? integer(*most, "maxsplit") : -1;
  List parts;
  if (given == nullptr || given->as<None>() != nullptr) {
    if (left >= 0) throw Error("split by white space with maxsplit is not supported");
    for (std::size_t at = text.find_first_not_of(kPythonSpaces); at != std::string_view::npos;) {
      const std::size_t end = std::min(text.find_first_of(kPythonSpaces, at), text.size());
      parts.emplace_back(std::string(text.substr(at, end - at)));
      at = text.find_first_not_of(kPythonSpaces, end);
    }
    return parts;
  }
  const std::string separator = to_text(*given);
  if (separator.empty()) throw Error("split by an empty text");
  while (left-- != 0) {
    const std::size_t at = from_right ? text.rfind(separator) : text.find(separator);
    if (at == std::string_view::npos) break;
    const std::size_t after = at + separator.size();
    parts.emplace_back(std::string(from_right ? text.substr(after) : text.substr(0, at)));
    text = from_right ? text.substr(0, at) : text.substr(after);
  }
  parts.emplace_back(std::string(text));
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

// startswith and endswith take a text or several.
bool has_edge(const std::string& text, const Arguments& arguments, bool start) {
  const auto fits = [&](const Value& edge) {
    if (edge.text() == nullptr) throw Error("startswith or endswith needs a text");
    return start ? text.starts_with(*edge.text()) : text.ends_with(*edge.text());
  };
  const Value* edge = arguments.find(0, "");
  if (edge == nullptr) throw Error("startswith or endswith needs a text");
  if (edge->list() == nullptr) return fits(*edge);
  return std::any_of(edge->list()->begin(), edge->list()->end(), fits);
}

std::string replace(const std::string& text, const Arguments& arguments) {
  const std::string& from = text_argument(arguments, 0, "replace");
  const std::string& to = text_argument(arguments, 1, "replace");
  const Value* most = arguments.find(2, "count");
  std::int64_t left = most != nullptr && most->as<None>() == nullptr ? integer(*most, "count") : -1;
  if (from.empty()) throw Error("replace of an empty text is not supported");
  std::string out;
  std::size_t at = 0;
  while (left-- != 0) {
    const std::size_t found = text.find(from, at);
    if (found == std::string::npos) break;
    out.append(text, at, found - at).append(to);
    at = found + from.size();
  }
  return out.append(text, at, std::string::npos);
}

// A capital after anything but a letter, small letters after letters.
std::string title(const std::string& text, bool every_word) {
  std::string out;
  bool inside = false;
  for (const std::string_view c : characters_of(text)) {
    out += inside ? to_lower(c) : to_upper(c);
    const bool letter =
        utf8_valid_length(c) != 0 && category_of(decode_utf8(c)[0].code) == Category::letter;
    inside = !every_word || letter;
  }
  return out;
}

// The place of a part in characters, -1 when it is not there.
std::int64_t find_part(const std::string& text, const std::string& part) {
  const std::size_t at = text.find(part);
  if (at == std::string::npos) return -1;
  return static_cast<std::int64_t>(characters_of(std::string_view(text).substr(0, at)).size());
}

std::int64_t count_parts(const std::string& text, const std::string& part) {
  if (part.empty()) throw Error("count of an empty text is not supported");
  std::int64_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos;
       at = text.find(part, at + part.size()))
    ++n;
  return n;
}

// str.format, of "{}" alone.
std::string format(const std::string& pattern, const Arguments& arguments) {
  std::string out;
  std::size_t next = 0;
  for (std::size_t at = 0; at < pattern.size(); ++at) {
    const std::string_view two = std::string_view(pattern).substr(at, 2);
    if (two == "{{" || two == "}}") {
      out += two[0];
      ++at;
    } else if (two == "{}") {
      if (next >= arguments.positional.size()) throw Error("format with too few values");
      out += to_text(arguments.positional[next++]);
      ++at;
    } else if (pattern[at] == '{' || pattern[at] == '}') {
      throw Error("the method \"format\" is supported with \"{}\" only");
    } else {
      out += pattern[at];
    }
  }
  return out;
}

bool all_of_category(const std::string& text, Category a, Category b) {
  const std::string valid = with_valid_utf8(text);
  const auto scalars = decode_utf8(valid);
  return !scalars.empty() && std::all_of(scalars.begin(), scalars.end(), [&](const Scalar& c) {
    return c.category == a || c.category == b;
  });
}

Value call_text_method(std::string_view name, const std::string& text, const Arguments& arguments,
                       Runtime& runtime) {
  const auto made = [&runtime](auto&& out) { return make_text(runtime, std::string(out)); };
  if (name == "strip") return made(strip(text, arguments, true, true));
  if (name == "lstrip") return made(strip(text, arguments, true, false));
  if (name == "rstrip") return made(strip(text, arguments, false, true));
  if (name == "split") return runtime.heap.add(split(text, arguments, false));
  if (name == "rsplit") return runtime.heap.add(split(text, arguments, true));
  if (name == "startswith") return has_edge(text, arguments, true);
  if (name == "endswith") return has_edge(text, arguments, false);
  if (name == "replace") return made(replace(text, arguments));
  if (name == "format") return made(format(text, arguments));
  if (name == "upper") return made(to_upper(text));
  if (name == "lower") return made(to_lower(text));
  if (name == "title") return made(title(text, true));
  if (name == "capitalize") return made(title(text, false));
  if (name == "find") return find_part(text, text_argument(arguments, 0, name));
  if (name == "count") return count_parts(text, text_argument(arguments, 0, name));
  if (name == "isdigit") return all_of_category(text, Category::number, Category::number);
  if (name == "isalpha") return all_of_category(text, Category::letter, Category::letter);
  if (name == "isalnum") return all_of_category(text, Category::letter, Category::number);
  if (name == "isspace") return all_of_category(text, Category::space, Category::space);
  if (name == "splitlines") {
    const std::string trimmed = text.ends_with('\n') ? text.substr(0, text.size() - 1) : text;
    if (text.empty()) return runtime.heap.add(List{});
    return runtime.heap.add(split(trimmed, Arguments{{Value("\n")}, {}}, false));
  }
  if (name == "join") {
    Arguments separator;
    separator.positional.emplace_back(text);
    const Value* list = arguments.find(0, "");
    return apply_filter("join", list != nullptr ? *list : Value(), separator, runtime);
  }
  throw Error("the method \"" + std::string(name) + "\" of a text is not supported");
}

Value call_dict_method(std::string_view name, Dict& dict, const Arguments& arguments,
                       Runtime& runtime) {
  List out;
  if (name == "items") {
    for (const auto& [key, value] : dict.items) {
      out.emplace_back(runtime.heap.add(List{Value(key), value}));
    }
    return runtime.heap.add(std::move(out));
  }
  if (name == "keys" || name == "values") {
    for (const auto& [key, value] : dict.items) out.push_back(name == "keys" ? Value(key) : value);
    return runtime.heap.add(std::move(out));
  }
  if (name == "get") {
    const Value* found = dict.find(text_argument(arguments, 0, name));
    const Value* otherwise = arguments.find(1, "default");
    if (found != nullptr) return *found;
    return otherwise != nullptr ? *otherwise : Value(None());
  }
  throw Error("the method \"" + std::string(name) + "\" of a mapping is not supported");
}

List range(const Arguments& arguments, Runtime& runtime) {
  const std::size_t given = arguments.positional.size();
  if (given < 1 || given > 3) throw Error("range takes one to three numbers");
  const auto at = [&](std::size_t i) { return integer(arguments.positional[i], "range"); };
  const std::int64_t from = given > 1 ? at(0) : 0;
  const std::int64_t to = given > 1 ? at(1) : at(0);
  const std::int64_t step = given > 2 ? at(2) : 1;
  constexpr std::int64_t kFar = 1'000'000'000;
  if (step == 0 || std::max({std::abs(from), std::abs(to), std::abs(step)}) > kFar) {
    throw Error("range with step 0 or beyond 1e9");
  }
  List numbers;
  for (std::int64_t i = from; step > 0 ? i < to : i > to; i += step) {
    runtime.heap.charge_step();
    numbers.emplace_back(i);
  }
  return numbers;
}

std::string format_time(const std::string& format, std::chrono::sys_seconds now) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 256> text{};
  const std::size_t length = std::strftime(text.data(), text.size(), format.c_str(), &parts);
  if (length == 0 && !format.empty()) throw Error("strftime_now of a format that is too long");
  return {text.data(), length};
}

}  // namespace

Value make_text(Runtime& runtime, std::string text) {
  runtime.heap.charge_bytes(text.size());
  return Value(std::move(text));
}

Value call_method(std::string_view name, const Value& object, const Arguments& arguments,
                  Runtime& runtime) {
  if (object.text() != nullptr) return call_text_method(name, *object.text(), arguments, runtime);
  if (object.dict() != nullptr) return call_dict_method(name, *object.dict(), arguments, runtime);
  if (object.undefined()) throw Error("\"" + object.as<Undefined>()->name + "\" is undefined");
  throw Error("the method \"" + std::string(name) + "\" of " + std::string(type_name(object)) +
              " is not supported");
}

Value find_function(const std::string& name) {
  constexpr std::array<std::string_view, 5> kFunctions = {"raise_exception", "range",
                                                          "strftime_now", "namespace", "dict"};
  const auto* found = std::find(kFunctions.begin(), kFunctions.end(), name);
  return found != kFunctions.end() ? Value(Builtin{*found}) : Value(Undefined{name});
}

Value call_function(std::string_view name, const Arguments& arguments, Runtime& runtime) {
  if (name == "raise_exception") {
    const Value* reason = arguments.find(0, "message");
    throw Error(reason != nullptr ? to_text(*reason) : "", 0, true);
  }
  if (name == "range") return runtime.heap.add(range(arguments, runtime));
  if (name == "strftime_now") {
    return make_text(runtime, format_time(text_argument(arguments, 0, name), runtime.now));
  }
  if (name == "namespace" || name == "dict") {
    Dict dict;
    if (!arguments.positional.empty() && arguments.positional[0].dict() != nullptr) {
      dict = *arguments.positional[0].dict();
    }
    for (const auto& [key, value] : arguments.named) dict.set(key, value);
    return runtime.heap.add(std::move(dict));
  }
  throw Error("the function \"" + std::string(name) + "\" is not supported");
}

Value find_item(const Value& object, const Value& key, Runtime& runtime) {
  if (const Dict* dict = object.dict()) {
    const Value* found = key.text() != nullptr ? dict->find(*key.text()) : nullptr;
    return found != nullptr ? *found : Value(Undefined{to_text(key)});
  }
  if (object.undefined()) throw Error("\"" + object.as<Undefined>()->name + "\" is undefined");
  const bool counted = key.as<std::int64_t>() != nullptr || key.as<bool>() != nullptr;
  if (!counted || (object.list() == nullptr && object.text() == nullptr)) {
    return Undefined{to_text(key)};
  }
  std::int64_t index = integer(key, "an index");
  const std::int64_t length = length_of(object);
  if (index < 0) index += length;
  if (index < 0 || index >= length) return Undefined{to_text(key)};
  if (object.list() != nullptr) return (*object.list())[static_cast<std::size_t>(index)];
  return make_text(runtime,
                   std::string(characters_of(*object.text())[static_cast<std::size_t>(index)]));
}

List items_of(const Value& value, Runtime& runtime) {
  List items;
  if (value.list() != nullptr) {
    items = *value.list();
  } else if (value.dict() != nullptr) {
    for (const auto& item : value.dict()->items) items.emplace_back(item.first);
  } else if (value.text() != nullptr) {
    for (const std::string_view c : characters_of(*value.text()))
      items.emplace_back(std::string(c));
  } else if (!value.undefined()) {
    throw Error("cannot go through " + std::string(type_name(value)));
  }
  runtime.heap.charge_bytes(items.size() * sizeof(Value));
  return items;
}

bool contains(const Value& container, const Value& item) {
  if (const List* list = container.list()) {
    return std::any_of(list->begin(), list->end(), [&](const Value& v) { return equal(v, item); });
  }
  if (container.undefined()) return false;
  if (item.text() == nullptr) {
    throw Error(std::string(type_name(item)) + " in " + std::string(type_name(container)));
  }
  if (const Dict* dict = container.dict()) return dict->find(*item.text()) != nullptr;
  if (container.text() != nullptr) return container.text()->find(*item.text()) != std::string::npos;
  throw Error("nothing is in " + std::string(type_name(container)));
}

std::int64_t length_of(const Value& value) {
  if (value.list() != nullptr) return static_cast<std::int64_t>(value.list()->size());
  if (value.dict() != nullptr) return static_cast<std::int64_t>(value.dict()->items.size());
  if (value.text() != nullptr) {
    return static_cast<std::int64_t>(characters_of(*value.text()).size());
  }
  if (value.undefined()) return 0;
  throw Error("the length of " + std::string(type_name(value)));
}

}  // namespace moe::jinja
