// Any bytes: parsed or refused, never a read outside, never more memory than the bytes justify.
#include <cstdint>
#include <stdexcept>
#include <variant>

#include "experts/moe/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto* bytes = reinterpret_cast<const std::byte*>(data);
    const moe::Gguf gguf = moe::Gguf::parse({bytes, size}, "fuzz");
    for (const moe::Tensor& tensor : gguf.tensors()) {
      if (tensor.data < bytes || tensor.data + tensor.bytes > bytes + size) __builtin_trap();
    }
    for (const auto& [key, value] : gguf.metadata()) {
      if (const auto* array = std::get_if<moe::ValueArray>(&value.data)) {
        if (array->element == moe::ValueType::string) gguf.strings(key);
      }
    }
  } catch (const std::runtime_error&) {
  }
  return 0;
}
