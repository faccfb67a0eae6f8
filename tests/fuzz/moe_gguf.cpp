// Any bytes: parsed, and loaded as a model, or refused; never a read outside, never more memory
// than the bytes justify.
#include <cstdint>
#include <stdexcept>
#include <variant>

#include "experts/moe/model.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto* bytes = reinterpret_cast<const std::byte*>(data);
    moe::Gguf gguf = moe::Gguf::parse({bytes, size}, "fuzz");
    for (const moe::Tensor& tensor : gguf.tensors()) {
      if (tensor.data < bytes || tensor.data + tensor.bytes > bytes + size) __builtin_trap();
    }
    for (const auto& [key, value] : gguf.metadata()) {
      if (const auto* array = std::get_if<moe::ValueArray>(&value.data)) {
        if (array->element == moe::ValueType::string) gguf.strings(key);
      }
    }
    moe::Model::from(std::move(gguf));
  } catch (const std::runtime_error&) {
  }
  return 0;
}
