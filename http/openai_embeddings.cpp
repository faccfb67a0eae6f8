// The request object of OpenAI's embeddings contract:
// https://platform.openai.com/docs/api-reference/embeddings/create
#include <algorithm>
#include <array>

#include "http/openai.h"
#include "http/openai_read.h"

namespace http {

namespace {

using simdjson::dom::element;

constexpr std::size_t kInputsMax = 2'048;  // as OpenAI's
constexpr std::int64_t kTokenMax = 2'147'483'647;
constexpr std::int64_t kDimensionsMax = 65'536;
constexpr std::size_t kUserBytesMax = 4'096;
constexpr std::string_view kInputWanted =
    "a string, an array of 1 to 2048 strings, or token ids of the expert that `model` names";

/// One input in words.
bool read_text(Reading& r, std::string_view param, std::string_view text) {
  if (text.empty()) return r.fail(Fault::bad_value, param, "`input` must not hold empty strings");
  r.query.needs.tokens_in_estimate += router::estimate_tokens(text.size());
  if (r.query.text.empty())
    r.query.text = text_to_route({{experts::Role::user, std::string(text)}}, r.options);
  return true;
}

/// One input as token ids.
bool read_tokens(Reading& r, std::string_view param, simdjson::dom::array tokens) {
  if (tokens.size() == 0) return r.fail_type(param, kInputWanted);
  for (const element token : tokens) {
    std::int64_t id = 0;
    if (token.get(id) || id < 0 || id > kTokenMax) return r.fail_type(param, kInputWanted);
    ++r.query.needs.tokens_in_estimate;
  }
  r.call().wire_only = true;
  return true;
}

bool read_input(Reading& r, std::string_view param, element value) {
  std::string_view text;
  if (!value.get(text)) return read_text(r, param, text);
  simdjson::dom::array list;
  if (value.get(list) || list.size() == 0) return r.fail_type(param, kInputWanted);
  if ((*list.begin()).is_int64()) return read_tokens(r, param, list);
  if (list.size() > kInputsMax) return r.fail_type(param, kInputWanted);
  const bool all_text = (*list.begin()).is_string();
  for (const element item : list) {
    simdjson::dom::array tokens;
    const bool good = all_text ? !item.get(text) : !item.get(tokens);
    if (!good) return r.fail_type(param, kInputWanted);
    if (!(all_text ? read_text(r, param, text) : read_tokens(r, param, tokens))) return false;
  }
  return true;
}

bool read_encoding(Reading& r, std::string_view param, element value) {
  std::string_view name;
  const bool known = !value.get(name) && (name == "float" || name == "base64");
  r.call().base64_wanted = known && name == "base64";
  return known || r.fail_type(param, "float or base64");
}

bool read_dimensions(Reading& r, std::string_view param, element value) {
  std::int64_t ignored = 0;
  return read_integer(r, param, value, 1, kDimensionsMax, ignored);
}

bool read_user(Reading& r, std::string_view param, element value) {
  return check_string(r, param, value, kUserBytesMax);
}

bool refuse_knobs(Reading& r, std::string_view param, element) {
  return r.fail(Fault::unsupported, param,
                "embeddings take no `skillyard` object: `model` names the expert or the pool");
}

constexpr std::array kEmbeddingFields = {
    Field{"model", read_model, true},
    Field{"input", read_input},
    Field{"encoding_format", read_encoding},
    Field{"dimensions", read_dimensions},
    Field{"user", read_user},
    Field{"skillyard", refuse_knobs, true},
};

}  // namespace

bool read_embeddings(Reading& r, simdjson::dom::object object, std::string_view text) {
  const std::uint64_t needed =
      bit_of(kEmbeddingFields, "model") | bit_of(kEmbeddingFields, "input");
  std::uint64_t seen = 0;
  r.call().task = experts::Task::embeddings;
  r.query.needs.choices = 0;  // nobody writes anything
  if (!read_members(r, object, text, kEmbeddingFields, needed, seen)) return false;
  for (const char* name : {"model", "input"}) {
    if (!(seen & bit_of(kEmbeddingFields, name)))
      return r.fail(Fault::missing, name, "`" + std::string(name) + "` is required");
  }
  const bool routed = r.query.expert.empty();
  if (routed && r.query.model.find('@') != std::string::npos)
    return r.fail(Fault::unsupported, "model",
                  "embeddings are not routed: leave the `@` parts out");
  if (routed && r.call().wire_only)
    return r.fail(Fault::unsupported, "input",
                  "token ids are of one model's vocabulary: name that expert as `model`");
  return true;
}

}  // namespace http
