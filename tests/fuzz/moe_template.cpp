// Any bytes as a chat template: refused or rendered, within its budget.
#include <cstdint>
#include <stdexcept>
#include <string_view>

#include "experts/moe/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const moe::ChatTemplate chat(std::string_view(reinterpret_cast<const char*>(data), size));
    moe::ChatInput input;
    input.messages = {
        {"system", "be brief"}, {"user", "hi"}, {"assistant", "yes"}, {"user", "why"}};
    input.bos_token = "<s>";
    input.eos_token = "</s>";
    chat.render(input);
  } catch (const std::runtime_error&) {
    // not a template: the refusal that the constructor promises
  }
  return 0;
}
