// The conversation: roles, contents and their parts, tools; and the text that the router reads.
#include <algorithm>
#include <array>

#include "http/openai.h"
#include "http/openai_read.h"

namespace http {

namespace {

using experts::Message;
using TurnRole = experts::Role;
using simdjson::dom::element;

constexpr std::size_t kToolsMax = 128;
constexpr std::size_t kToolNameMax = 64;
constexpr std::size_t kMessagesReserved = 64;  // a longer conversation grows on its way

std::string at(std::string_view list, std::size_t index, std::string_view member = {}) {
  std::string param(list);
  param.append("[").append(std::to_string(index)).append("]");
  if (!member.empty()) param.append(".").append(member);
  return param;
}

std::optional<TurnRole> role_of(std::string_view name) {
  if (name == "user") return TurnRole::user;
  if (name == "assistant") return TurnRole::assistant;
  if (name == "system") return TurnRole::system;
  if (name == "developer") return TurnRole::developer;
  if (name == "tool" || name == "function") return TurnRole::tool;
  return std::nullopt;
}

/// One entry of an array-shaped `content`.
bool read_part(Reading& r, const std::string& param, element value, Message& message) {
  simdjson::dom::object part;
  std::string_view type;
  if (value.get(part) || part["type"].get(type)) {
    return r.fail_type(param, "an object with a `type`");
  }
  std::string_view text;
  simdjson::dom::object ignored;
  if (type == "text" || type == "refusal") {
    if (part[type].get(text)) return r.fail_type(param + "." + std::string(type), "a string");
    if (!message.text.empty()) message.text.push_back('\n');
    message.text.append(text);
    return true;
  }
  if (type == "image_url") {
    if (part["image_url"].get(ignored) || ignored["url"].get(text)) {
      return r.fail_type(param + ".image_url", "an object with a `url`");
    }
    r.query.needs.images = true;
    r.call().wire_only = true;
    return true;
  }
  if (type == "input_audio" || type == "file") {
    r.listens_or_speaks = param;
    return true;
  }
  return r.fail_type(param + ".type", "text, image_url, input_audio, file or refusal");
}

bool read_content(Reading& r, std::size_t message_index, element value, Message& message) {
  std::string_view text;
  if (!value.get(text)) {
    message.text = text;
    return true;
  }
  const std::string param = at("messages", message_index, "content");
  simdjson::dom::array parts;
  if (value.get(parts)) return r.fail_type(param, "a string or an array of parts");
  std::size_t index = 0;
  for (const element part : parts) {
    if (!read_part(r, at(param, index++), part, message)) return false;
  }
  return index > 0 || r.fail_type(param, "a string or an array of at least one part");
}

/// Which members a message had; the rules of roles are checked when all are known.
struct Shape {
  bool role = false, content = false, calls = false, call_id = false;
};

bool read_message_member(Reading& r, std::size_t index, std::string_view key, element value,
                         Message& message, Shape& shape) {
  std::string_view text;
  if (key == "role") {
    const bool is_text = !value.get(text);
    const auto role = is_text ? role_of(text) : std::nullopt;
    if (!role || shape.role) {
      return r.fail_type(at("messages", index, "role"),
                         "one of developer, system, user, assistant, tool, and there once");
    }
    message.role = *role;
    shape.role = true;
  } else if (key == "content") {
    if (shape.content) {
      return r.fail(Fault::bad_json, at("messages", index, key), "`content` is there twice");
    }
    if (value.is_null()) return true;
    shape.content = true;
    return read_content(r, index, value, message);
  } else if (key == "tool_calls" || key == "function_call") {
    if (value.is_null()) return true;
    if (!value.is_array() && !value.is_object()) {
      return r.fail_type(at("messages", index, key), "an array of calls");
    }
    shape.calls = true;
    r.call().wire_only = true;
  } else if (key == "tool_call_id" || key == "name") {
    if (value.is_null()) return true;
    if (value.get(text)) return r.fail_type(at("messages", index, key), "a string");
    shape.call_id = true;
  } else if (key == "refusal" || key == "audio") {
    if (!value.is_null()) shape.calls = true;  // stands in for content
  }
  return true;
}

bool read_message(Reading& r, std::size_t index, element value) {
  simdjson::dom::object object;
  if (value.get(object)) return r.fail_type(at("messages", index), "an object");
  Message& message = r.call().messages.emplace_back();
  Shape shape;
  for (const auto [key, member] : object) {
    if (!read_message_member(r, index, key, member, message, shape)) return false;
  }
  if (!shape.role) {
    const std::string param = at("messages", index, "role");
    return r.fail(Fault::missing, param, "`" + param + "` is required");
  }
  if (!shape.content && !(message.role == TurnRole::assistant && shape.calls)) {
    const std::string param = at("messages", index, "content");
    return r.fail(Fault::missing, param, "`" + param + "` is required");
  }
  if (message.role == TurnRole::tool) {
    r.call().wire_only = true;
    if (!shape.call_id) {
      const std::string param = at("messages", index, "tool_call_id");
      return r.fail(Fault::missing, param, "`" + param + "` is required for role tool");
    }
  }
  r.query.needs.tokens_in_estimate += static_cast<std::int64_t>(message.text.size());
  return true;
}

/// `function.name` of a tool, or `name` of a deprecated function.
bool tool_name_fits(simdjson::dom::object tool) {
  std::string_view type;
  std::string_view name;
  simdjson::dom::object function;
  if (!tool["type"].get(type)) {
    if (type != "function") return type == "custom";
    if (tool["function"].get(function) || function["name"].get(name)) return false;
  } else if (tool["name"].get(name)) {
    return false;
  }
  const bool plain = std::ranges::all_of(name, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           c == '-' || c == '.';
  });
  return plain && !name.empty() && name.size() <= kToolNameMax;
}

std::size_t cut_back(std::string_view text, std::size_t at_most) {
  while (at_most > 0 && (static_cast<unsigned char>(text[at_most]) & 0xc0) == 0x80) --at_most;
  return at_most;
}

std::size_t cut_on(std::string_view text, std::size_t from) {
  while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xc0) == 0x80) ++from;
  return from;
}

void append_head_and_tail(std::string& out, std::string_view text, const Options& options) {
  if (text.size() <= options.text_head_bytes + options.text_tail_bytes) {
    out.append(text);
    return;
  }
  out.append(text.substr(0, cut_back(text, options.text_head_bytes)));
  out.push_back('\n');
  out.append(text.substr(cut_on(text, text.size() - options.text_tail_bytes + 1)));
}

}  // namespace

bool read_messages(Reading& r, std::string_view param, element value) {
  simdjson::dom::array list;
  if (value.get(list)) return r.fail_type(param, "an array of messages");
  r.call().messages.reserve(std::min(list.size(), kMessagesReserved));
  std::size_t index = 0;
  for (const element message : list) {
    if (index == r.options.messages_max) {
      return r.fail_type(param, "at most " + std::to_string(r.options.messages_max) + " messages");
    }
    if (!read_message(r, index++, message)) return false;
  }
  if (index == 0) return r.fail_type(param, "an array of at least one message");
  std::int64_t& tokens = r.query.needs.tokens_in_estimate;  // bytes so far
  tokens = router::estimate_tokens(static_cast<std::size_t>(tokens));
  return true;
}

bool read_tools(Reading& r, std::string_view param, element value) {
  simdjson::dom::array list;
  if (value.get(list)) return r.fail_type(param, "an array of tools");
  std::size_t index = 0;
  for (const element tool : list) {
    simdjson::dom::object object;
    if (index == kToolsMax) return r.fail_type(param, "at most 128 tools");
    if (tool.get(object) || !tool_name_fits(object)) {
      return r.fail_type(at(param, index),
                         "a tool of `type` function whose `function.name` has 1 to 64 of A-Z a-z "
                         "0-9 _ - .");
    }
    ++index;
  }
  r.query.needs.tools |= index > 0;
  r.call().wire_only |= index > 0;
  return true;
}

std::string text_to_route(const std::vector<Message>& messages, const Options& options) {
  std::string text;
  for (std::size_t i = messages.size(); i-- > 0;) {
    if (messages[i].role != TurnRole::user) continue;
    append_head_and_tail(text, messages[i].text, options);
    break;
  }
  const std::size_t limit = options.text_head_bytes + options.text_tail_bytes;
  for (const Message& message : messages) {
    if (message.role != TurnRole::system && message.role != TurnRole::developer) continue;
    if (text.size() + 1 >= limit || message.text.empty()) break;
    if (!text.empty()) text.push_back('\n');
    const std::size_t room = limit - text.size();
    const std::string_view rest = message.text;
    text.append(rest.size() <= room ? rest : rest.substr(0, cut_back(rest, room)));
    break;
  }
  return text;
}

}  // namespace http
