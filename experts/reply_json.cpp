#include "experts/reply_json.h"

#include <algorithm>
#include <charconv>

namespace experts {
namespace {

namespace od = simdjson::ondemand;
using JsonError = simdjson::error_code;
using simdjson::SUCCESS;

JsonError walk(od::value value);

JsonError walk_array(od::value value) {
  od::array array;
  if (const auto ec = value.get_array().get(array)) return ec;
  for (auto element : array) {
    od::value item;
    if (const auto ec = element.get(item)) return ec;
    if (const auto ec = walk(item)) return ec;
  }
  return SUCCESS;
}

JsonError walk_object(od::value value) {
  od::object object;
  if (const auto ec = value.get_object().get(object)) return ec;
  for (auto field : object) {
    od::value item;
    if (const auto ec = field.value().get(item)) return ec;
    if (const auto ec = walk(item)) return ec;
  }
  return SUCCESS;
}

/// Visits everything in `value`, because the on-demand parser does not check what nobody looks at.
/// Its depth limit (1024) bounds the recursion.
JsonError walk(od::value value) {
  od::json_type type;
  if (const auto ec = value.type().get(type)) return ec;
  switch (type) {
    case od::json_type::array:
      return walk_array(value);
    case od::json_type::object:
      return walk_object(value);
    case od::json_type::number:
      return value.get_number().error();
    case od::json_type::string:
      return value.get_raw_json_string().error();
    case od::json_type::boolean:
      return value.get_bool().error();
    case od::json_type::null: {
      bool null = false;
      const auto ec = value.is_null().get(null);
      return ec ? ec : null ? SUCCESS : simdjson::N_ATOM_ERROR;
    }
  }
  return simdjson::TAPE_ERROR;
}

bool is(const od::raw_json_string& key, std::string_view name) {
  return key.unsafe_is_equal(name);
}

/// Calls `visit(key, value)` for every field; `visit` returns an error code and must consume the
/// value.
template <class Visit>
JsonError for_each_field(od::value value, const Visit& visit) {
  od::object object;
  if (const auto ec = value.get_object().get(object)) return ec;
  for (auto field : object) {
    od::raw_json_string key;
    od::value item;
    if (const auto ec = field.key().get(key)) return ec;
    if (const auto ec = field.value().get(item)) return ec;
    if (const auto ec = visit(key, item)) return ec;
  }
  return SUCCESS;
}

bool is_null(od::value& value) {
  od::json_type type;
  return value.type().get(type) == SUCCESS && type == od::json_type::null;
}

bool is_object(od::value& value) {
  od::json_type type;
  return value.type().get(type) == SUCCESS && type == od::json_type::object;
}

JsonError read_count(od::value value, std::int64_t& count) {
  od::number number;
  if (is_null(value)) return walk(value);
  if (const auto ec = value.get_number().get(number)) return ec;
  const double amount = number.as_double();
  count = amount >= 0 && amount < 1e15 ? static_cast<std::int64_t>(amount) : 0;
  return SUCCESS;
}

JsonError read_usage(od::value value, Usage& usage) {
  if (is_null(value)) return walk(value);
  Usage read;
  const auto details = [&](od::raw_json_string key, od::value item) {
    return is(key, "cached_tokens") ? read_count(item, read.cached_tokens) : walk(item);
  };
  const auto ec = for_each_field(value, [&](od::raw_json_string key, od::value item) {
    if (is(key, "prompt_tokens")) return read_count(item, read.prompt_tokens);
    if (is(key, "completion_tokens")) {
      read.known = true;
      return read_count(item, read.completion_tokens);
    }
    if (is(key, "prompt_tokens_details") && !is_null(item)) return for_each_field(item, details);
    return walk(item);
  });
  if (ec == SUCCESS && read.known) usage = read;
  return ec;
}

JsonError read_string(od::value value, std::string& out) {
  od::json_type type;
  if (const auto ec = value.type().get(type)) return ec;
  if (type != od::json_type::string) return walk(value);
  std::string_view text;
  if (const auto ec = value.get_string().get(text)) return ec;
  out.append(text);
  return SUCCESS;
}

std::string_view trimmed_token(od::value& value) {
  std::string_view token = value.raw_json_token();
  while (!token.empty() && static_cast<unsigned char>(token.back()) <= ' ') token.remove_suffix(1);
  return token;
}

JsonError read_error_object(od::value value, UpstreamError& error) {
  od::json_type type;
  if (const auto ec = value.type().get(type)) return ec;
  if (type == od::json_type::null) return walk(value);
  error.present = true;
  if (type != od::json_type::object) return read_string(value, error.message);
  return for_each_field(value, [&](od::raw_json_string key, od::value item) {
    if (is(key, "message")) return read_string(item, error.message);
    if (!is(key, "code") && !(is(key, "type") && error.code.empty())) return walk(item);
    const std::string_view token = trimmed_token(item);
    int number = 0;
    std::from_chars(token.data(), token.data() + token.size(), number);
    if (number >= 400 && number < 600) error.status = number;
    if (is(key, "code") && token != "null") error.code.clear();
    return read_string(item, error.code);
  });
}

class ReplyReader {
 public:
  ReplyReader(std::string_view text, ReplyFacts& facts, std::string* content)
      : text_(text), facts_(facts), content_(content) {}

  JsonError read_field(od::raw_json_string key, od::value value) {
    if (is(key, "model")) return read_model(value);
    if (is(key, "choices")) return read_choices(value);
    if (is(key, "usage")) return read_usage(value, facts_.usage);
    if (is(key, "error")) return read_error_object(value, facts_.error);
    return walk(value);
  }

 private:
  JsonError read_model(od::value value) {
    od::json_type type;
    if (const auto ec = value.type().get(type)) return ec;
    if (type != od::json_type::string && type != od::json_type::null) {
      return simdjson::INCORRECT_TYPE;
    }
    const std::string_view token = trimmed_token(value);
    facts_.model_begin = static_cast<std::size_t>(token.data() - text_.data());
    facts_.model_end = facts_.model_begin + token.size();
    return walk(value);
  }

  JsonError read_choices(od::value value) {
    od::array array;
    if (is_null(value)) return walk(value);
    if (const auto ec = value.get_array().get(array)) return ec;
    facts_.has_choices = true;
    for (auto element : array) {
      od::value choice;
      if (const auto ec = element.get(choice)) return ec;
      const auto ec = for_each_field(choice, [this](od::raw_json_string key, od::value item) {
        return read_choice_field(key, item);
      });
      if (ec) return ec;
      ++facts_.choices;
    }
    return SUCCESS;
  }

  JsonError read_choice_field(od::raw_json_string key, od::value value) {
    const bool first = facts_.choices == 0;
    if (is(key, "finish_reason") && !is_null(value)) {
      od::json_type type;
      if (const auto ec = value.type().get(type)) return ec;
      if (type != od::json_type::string) return simdjson::INCORRECT_TYPE;
      const std::string_view token = trimmed_token(value);
      if (first) facts_.finish_reason = token.substr(1, token.size() - 2);
      ++facts_.finished;
    }
    if (is(key, "index")) {
      std::int64_t index = 0;
      const auto ec = read_count(value, index);
      facts_.index_max = std::max(facts_.index_max, index);
      return ec;
    }
    if (first && (is(key, "message") || is(key, "delta")) && is_object(value)) {
      return for_each_field(value, [this](od::raw_json_string name, od::value item) {
        return is(name, "content") ? read_content(item) : walk(item);
      });
    }
    return walk(value);
  }

  JsonError read_content(od::value value) {
    const std::string_view token = trimmed_token(value);
    if (token.starts_with('"')) {
      const bool only = ++facts_.contents == 1;
      facts_.content_begin = only ? static_cast<std::size_t>(token.data() + 1 - text_.data()) : 0;
      facts_.content_end = only ? facts_.content_begin + token.size() - 2 : 0;
    }
    return content_ == nullptr ? walk(value) : read_string(value, *content_);
  }

  std::string_view text_;
  ReplyFacts& facts_;
  std::string* content_;
};

}  // namespace

ReplyFacts read_reply(od::parser& parser, std::string_view text, std::string* content) {
  ReplyFacts facts;
  od::document document;
  const simdjson::padded_string_view padded(text, text.size() + kJsonPadding);
  if (parser.iterate(padded).get(document)) return facts;
  od::object object;
  if (document.get_object().get(object)) return facts;
  ReplyReader reader(text, facts, content);
  for (auto field : object) {
    od::raw_json_string key;
    od::value value;
    if (field.key().get(key) || field.value().get(value)) return facts;
    if (reader.read_field(key, value)) return facts;
  }
  facts.valid = document.current_location().error() == simdjson::OUT_OF_BOUNDS;  // nothing behind
  return facts;
}

UpstreamError read_error(od::parser& parser, std::string& body) {
  body.reserve(body.size() + kJsonPadding);
  UpstreamError error;
  std::string loose;
  od::document document;
  const simdjson::padded_string_view padded(body, body.size() + kJsonPadding);
  if (parser.iterate(padded).get(document)) return error;
  od::object object;
  if (document.get_object().get(object)) return error;
  for (auto field : object) {
    od::raw_json_string key;
    od::value value;
    if (field.key().get(key) || field.value().get(value)) return error;
    const bool named = is(key, "message") || is(key, "detail");
    const auto ec = is(key, "error") ? read_error_object(value, error)
                    : named          ? read_string(value, loose)
                                     : walk(value);
    if (ec) return error;
  }
  if (error.message.empty()) error.message = loose;
  error.present = error.present || !loose.empty();
  return error;
}

void append_renamed(std::string& out, std::string_view text, const ReplyFacts& facts,
                    std::string_view name_json) {
  if (facts.model_end > facts.model_begin) {
    out.append(text.substr(0, facts.model_begin)).append(name_json);
    out.append(text.substr(facts.model_end));
    return;
  }
  const std::size_t brace = text.find('{');
  const std::size_t next = text.find_first_not_of(" \t\r\n", brace + 1);
  out.append(text.substr(0, brace + 1)).append("\"model\":").append(name_json);
  if (text[next] != '}') out.push_back(',');
  out.append(text.substr(brace + 1));
}

}  // namespace experts
