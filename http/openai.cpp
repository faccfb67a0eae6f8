// Top level of the request object: which fields there are and what each may hold.
//
// simdjson's document validates the text as a whole (grammar, UTF-8, depth) but keeps no byte
// positions, so MemberWalk steps through the same members in the text: member i of the one is
// member i of the other. That way Call::wire carries the client's own bytes.
#include "http/openai.h"

#include <array>
#include <vector>

#include "http/model_name.h"
#include "http/openai_read.h"

namespace http {

namespace {

using simdjson::dom::element;

constexpr std::int64_t kTokensMax = 2'147'483'647;
constexpr std::size_t kStopsMax = 4;
constexpr std::size_t kStringBytesMax = 4'096;
constexpr std::size_t kMetadataPairsMax = 16;
constexpr std::size_t kMetadataKeyMax = 64;
constexpr std::size_t kMetadataValueMax = 512;

bool read_stream(Reading& r, std::string_view param, element value) {
  return read_bool(r, param, value, r.call().stream);
}

bool read_stream_options(Reading& r, std::string_view param, element value) {
  simdjson::dom::object object;
  if (value.get(object)) return r.fail_type(param, "an object");
  r.options_of_stream = true;
  for (const auto [key, member] : object) {
    bool ignored = false;
    if (member.is_null()) continue;
    if (key == "include_usage") {
      if (!read_bool(r, "stream_options.include_usage", member, r.call().usage_in_stream))
        return false;
    } else if (key == "include_obfuscation") {
      if (!read_bool(r, "stream_options.include_obfuscation", member, ignored)) return false;
    }
  }
  return true;
}

bool read_max_tokens(Reading& r, std::string_view param, element value) {
  std::int64_t tokens = 0;
  if (!read_integer(r, param, value, 1, kTokensMax, tokens)) return false;
  // max_completion_tokens wins over its deprecated name, wherever they stand.
  if (r.call().sampling.tokens_max && param == "max_tokens") return true;
  r.call().sampling.tokens_max = static_cast<int>(tokens);
  r.query.needs.tokens_out_max = tokens;
  return true;
}

bool read_n(Reading& r, std::string_view param, element value) {
  std::int64_t n = 0;
  if (!read_integer(r, param, value, 1, 128, n)) return false;
  r.query.needs.many = n > 1;
  r.query.needs.choices = n;
  r.call().wire_only |= n > 1;
  return true;
}

bool read_seed(Reading& r, std::string_view param, element value) {
  std::int64_t seed = 0;
  if (!read_integer(r, param, value, INT64_MIN, INT64_MAX, seed)) return false;
  r.call().sampling.seed = seed;
  return true;
}

bool read_stop(Reading& r, std::string_view param, element value) {
  std::string_view text;
  if (!value.get(text)) {
    r.call().sampling.stop.emplace_back(text);
    return true;
  }
  simdjson::dom::array list;
  if (value.get(list)) return r.fail_type(param, "a string or an array of up to 4 strings");
  for (const element item : list) {
    if (r.call().sampling.stop.size() == kStopsMax || item.get(text)) {
      return r.fail_type(param, "a string or an array of up to 4 strings");
    }
    r.call().sampling.stop.emplace_back(text);
  }
  return true;
}

bool read_logit_bias(Reading& r, std::string_view param, element value) {
  simdjson::dom::object object;
  if (value.get(object)) return r.fail_type(param, "an object of token ids to numbers");
  for (const auto [key, bias] : object) {
    std::optional<double> ignored;
    if (!read_number(r, param, bias, -100, 100, ignored)) return false;
    r.call().wire_only = true;
  }
  return true;
}

bool read_top_logprobs(Reading& r, std::string_view param, element value) {
  std::int64_t count = 0;
  if (!read_integer(r, param, value, 0, 20, count)) return false;
  r.logprobs_top = static_cast<int>(count);
  return true;
}

bool read_response_format(Reading& r, std::string_view param, element value) {
  std::string_view type;
  simdjson::dom::object object;
  if (value.get(object) || object["type"].get(type)) {
    return r.fail_type(param, "an object with `type`: text, json_object or json_schema");
  }
  if (type == "text") return true;
  if (type != "json_object" && type != "json_schema") {
    return r.fail_type("response_format.type", "text, json_object or json_schema");
  }
  simdjson::dom::object schema;
  if (type == "json_schema" && object["json_schema"].get(schema)) {
    return r.fail(Fault::missing, "response_format.json_schema",
                  "`response_format.json_schema` is required for type json_schema");
  }
  r.query.needs.json_schema = true;
  r.call().reply_format = simdjson::minify(value);
  return true;
}

bool read_metadata(Reading& r, std::string_view param, element value) {
  simdjson::dom::object object;
  if (value.get(object)) return r.fail_type(param, "an object of strings");
  std::size_t pairs = 0;
  for (const auto [key, member] : object) {
    std::string_view text;
    const bool fits = !member.get(text) && ++pairs <= kMetadataPairsMax &&
                      key.size() <= kMetadataKeyMax && text.size() <= kMetadataValueMax;
    if (!fits) {
      return r.fail_type(param, "at most 16 strings of up to 512 bytes under keys of up to 64");
    }
  }
  return true;
}

bool read_modalities(Reading& r, std::string_view param, element value) {
  simdjson::dom::array list;
  if (value.get(list)) return r.fail_type(param, "an array of `text` and `audio`");
  for (const element item : list) {
    std::string_view kind;
    if (item.get(kind) || (kind != "text" && kind != "audio")) {
      return r.fail_type(param, "an array of `text` and `audio`");
    }
    if (kind == "audio") r.listens_or_speaks = param;
  }
  return true;
}

bool pass_object(Reading& r, std::string_view param, element value) {
  return value.is_object() || r.fail_type(param, "an object");
}

bool pass_string(Reading& r, std::string_view param, element value) {
  return check_string(r, param, value, kStringBytesMax);
}

bool pass_bool(Reading& r, std::string_view param, element value) {
  bool ignored = false;
  return read_bool(r, param, value, ignored);
}

constexpr std::array kFields = {
    Field{"model", read_model, true},
    Field{"messages", read_messages},
    Field{"stream", read_stream, true},
    Field{"stream_options", read_stream_options, true},
    Field{"skillyard", read_knobs, true},
    Field{"max_tokens", read_max_tokens},
    Field{"max_completion_tokens", read_max_tokens},
    Field{"temperature",
          [](Reading& r, std::string_view param, element value) {
            return read_number(r, param, value, 0, 2, r.call().sampling.temperature);
          }},
    Field{"top_p",
          [](Reading& r, std::string_view param, element value) {
            return read_number(r, param, value, 0, 1, r.call().sampling.top_p);
          }},
    Field{"frequency_penalty",
          [](Reading& r, std::string_view param, element value) {
            return read_number(r, param, value, -2, 2, r.call().sampling.frequency_penalty);
          }},
    Field{"presence_penalty",
          [](Reading& r, std::string_view param, element value) {
            return read_number(r, param, value, -2, 2, r.call().sampling.presence_penalty);
          }},
    Field{"n", read_n},
    Field{"stop", read_stop},
    Field{"seed", read_seed},
    Field{"logit_bias", read_logit_bias},
    Field{"logprobs", [](Reading& r, std::string_view param,
                         element value) { return read_bool(r, param, value, r.logprobs); }},
    Field{"top_logprobs", read_top_logprobs},
    Field{"tools", read_tools},
    Field{"functions", read_tools},
    Field{"tool_choice",
          [](Reading& r, std::string_view param, element value) {
            return value.is_object() || check_string(r, param, value, kStringBytesMax);
          }},
    Field{"function_call",
          [](Reading& r, std::string_view param, element value) {
            return value.is_object() || check_string(r, param, value, kStringBytesMax);
          }},
    Field{"parallel_tool_calls", pass_bool},
    Field{"response_format", read_response_format},
    Field{"reasoning_effort", pass_string},
    Field{"verbosity", pass_string},
    Field{"user", pass_string},
    Field{"safety_identifier", pass_string},
    Field{"prompt_cache_key", pass_string},
    Field{"prompt_cache_retention", pass_string},
    Field{"metadata", read_metadata},
    Field{"store", pass_bool},
    Field{"service_tier", pass_string},
    Field{"prediction", pass_object},
    Field{"modalities", read_modalities},
    Field{"audio",
          [](Reading& r, std::string_view param, element value) {
            r.listens_or_speaks = param;
            return pass_object(r, param, value);
          }},
    Field{"web_search_options",
          [](Reading& r, std::string_view param, element value) {
            r.call().wire_only = true;
            return pass_object(r, param, value);
          }},
};
static_assert(kFields.size() <= 64, "one bit each says which were there");

constexpr std::uint64_t bit_of(std::string_view name) {
  return bit_of(kFields, name);
}

/// What the members say together.
bool check_whole(Reading& r, std::uint64_t seen) {
  if (!(seen & bit_of("model"))) {
    return r.fail(Fault::missing, "model",
                  "`model` is required: `skillyard/auto`, `skillyard/<pool>` or an expert's name");
  }
  if (!(seen & bit_of("messages"))) {
    return r.fail(Fault::missing, "messages", "`messages` is required");
  }
  if (!r.pool.empty()) {
    if (!r.query.expert.empty()) {
      return r.fail(Fault::bad_value, "skillyard.pool",
                    "`skillyard.pool` needs `model`: `skillyard/auto`; `model` names an expert");
    }
    r.query.pool = r.pool;
  }
  if (r.options_of_stream && !r.call().stream) {
    return r.fail(Fault::bad_value, "stream_options", "`stream_options` needs `stream`: true");
  }
  if (r.logprobs_top >= 0 && !r.logprobs) {
    return r.fail(Fault::bad_value, "top_logprobs", "`top_logprobs` needs `logprobs`: true");
  }
  if (r.logprobs) {
    r.query.needs.logprobs = true;
    r.call().sampling.logprobs_top = std::max(0, r.logprobs_top);
  }
  if (!r.listens_or_speaks.empty()) {
    r.call().wire_only = true;
    if (r.query.expert.empty()) {
      return r.fail(
          Fault::unsupported, r.listens_or_speaks,
          "audio and files are not routed: name the expert that can take them as `model`");
    }
  }
  const bool one_expert_only = r.query.needs.tools || r.query.needs.many || r.query.needs.logprobs;
  if (one_expert_only && r.query.knobs.k.value_or(1) > 1) {
    return r.fail(Fault::unsupported, "skillyard.k",
                  "tools, `n` above 1 and `logprobs` are answered by one expert: leave k at 1");
  }
  return true;
}

bool read_chat(Reading& r, simdjson::dom::object object, std::string_view text) {
  std::uint64_t seen = 0;
  const std::uint64_t never_null = bit_of("model") | bit_of("messages");
  if (!read_members(r, object, text, kFields, never_null, seen)) return false;
  if (!check_whole(r, seen)) return false;
  r.query.text = text_to_route(r.call().messages, r.options);
  return true;
}

}  // namespace

ChatReader::ChatReader(const Options& options) : options_(options) {}

ChatReader::~ChatReader() = default;

std::optional<Problem> ChatReader::read(const std::string& body, router::Query& query) {
  return read_as(read_chat, body, query);
}

std::optional<Problem> ChatReader::read_embeddings(const std::string& body, router::Query& query) {
  return read_as(http::read_embeddings, body, query);
}

std::optional<Problem> ChatReader::read_as(ReadMembers* members, const std::string& body,
                                           router::Query& query) {
  if (!parser_ || parser_->capacity() > options_.json_kept_bytes_max) {
    parser_ = std::make_unique<simdjson::dom::parser>(options_.body_bytes_max);
    if (parser_->allocate(4'096, static_cast<std::size_t>(options_.json_depth_max))) {
      throw std::bad_alloc();
    }
  }
  Reading reading{
      .options = options_, .query = query, .problem = {}, .pool = {}, .listens_or_speaks = {}};
  element root;
  const auto error = parser_->parse(body.data(), body.size(), false).get(root);
  simdjson::dom::object object;
  if (error) {
    reading.fail(Fault::bad_json, "",
                 "the body is not valid JSON: " + std::string(simdjson::error_message(error)));
  } else if (root.get(object)) {
    reading.fail(Fault::bad_json, "", "the body must be a JSON object");
  } else {
    members(reading, object, body);
  }
  return std::move(reading.problem);
}

}  // namespace http
