// Messages -> prompt text, by the Jinja template that a model file brings
// (tokenizer.chat_template).
//
// The language is the part of Jinja 3 that chat templates use; what is missing is refused by name
// and line. Rendering is bounded in steps, text and depth. Read-only after construction, usable
// from any thread.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace moe {

struct ChatMessage {
  std::string role;
  std::string content;
};

struct ChatInput {
  std::vector<ChatMessage> messages;
  std::string bos_token, eos_token;  // as text
  bool add_generation_prompt = true;
  std::vector<std::pair<std::string, bool>> switches;  // e.g. enable_thinking
  std::chrono::sys_seconds now{};                      // for templates that print the date
};

/// `error` is empty when `text` is the prompt. `refused` says that the template itself does not
/// take this conversation (raise_exception: the client's request is wrong); otherwise the template
/// uses something that is not supported here.
struct ChatPrompt {
  std::string text;
  std::string error;
  bool refused = false;

  bool ok() const { return error.empty(); }
};

class ChatTemplate {
 public:
  /// Throws std::runtime_error, "chat template, line N: ...", for what is no template.
  explicit ChatTemplate(std::string_view source);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  ChatPrompt render(const ChatInput& input) const;

 private:
  struct Tree;
  std::unique_ptr<const Tree> tree_;
};

/// For models without a template: "role: content" lines, "assistant:" at the end.
std::string_view plain_chat_template();

}  // namespace moe
