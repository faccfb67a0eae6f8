#include "experts/moe/chat_template.h"

#include <stdexcept>

#include "experts/moe/jinja_render.h"

namespace moe {
namespace {

constexpr std::size_t kSourceMax = 1U << 20;

std::string message_of(const jinja::Error& error) {
  return "chat template, line " + std::to_string(error.line) + ": " + error.what();
}

jinja::Dict globals_of(const ChatInput& input, jinja::Heap& heap) {
  jinja::List messages;
  for (const ChatMessage& message : input.messages) {
    jinja::Dict dict;
    dict.set("role", message.role);
    dict.set("content", message.content);
    heap.charge_bytes(message.content.size());
    messages.emplace_back(heap.add(std::move(dict)));
  }
  jinja::Dict globals;
  globals.set("messages", heap.add(std::move(messages)));
  globals.set("add_generation_prompt", input.add_generation_prompt);
  globals.set("bos_token", input.bos_token);
  globals.set("eos_token", input.eos_token);
  globals.set("tools", jinja::None());
  for (const auto& [name, on] : input.switches) globals.set(name, on);
  return globals;
}

}  // namespace

struct ChatTemplate::Tree {
  jinja::Body body;
};

ChatTemplate::ChatTemplate(std::string_view source) {
  if (source.size() > kSourceMax) throw std::runtime_error("chat template: longer than 1 MiB");
  try {
    tree_ = std::make_unique<Tree>(Tree{jinja::parse(source)});
  } catch (const jinja::Error& error) {
    throw std::runtime_error(message_of(error));
  }
}

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

ChatPrompt ChatTemplate::render(const ChatInput& input) const {
  constexpr jinja::Budget kBudget;
  ChatPrompt prompt;
  try {
    jinja::Heap heap(kBudget);
    jinja::Runtime runtime{heap, input.now};
    prompt.text = jinja::render(tree_->body, globals_of(input, heap), runtime, kBudget.macro_depth);
  } catch (const jinja::Error& error) {
    prompt.error = error.refused ? error.what() : message_of(error);
    if (prompt.error.empty()) prompt.error = "the chat template refuses the conversation";
    prompt.refused = error.refused;
  }
  return prompt;
}

std::string_view plain_chat_template() {
  return "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
         "{% if add_generation_prompt %}assistant:{% endif %}";
}

}  // namespace moe
