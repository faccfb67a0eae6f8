// Builds GGUF bytes in memory for tests: small, in order, and able to be wrong on purpose.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "experts/moe/gguf.h"

namespace moe::testing {

class GgufWriter {
 public:
  std::uint32_t version = 3;
  std::uint64_t alignment = 32;

  void add(std::string_view key, std::uint32_t value) {
    pair(key, ValueType::u32);
    put(pairs_, value);
  }

  void add(std::string_view key, float value) {
    pair(key, ValueType::f32);
    put(pairs_, value);
  }

  void add(std::string_view key, bool value) {
    pair(key, ValueType::boolean);
    put(pairs_, static_cast<std::uint8_t>(value));
  }

  void add(std::string_view key, std::string_view value) {
    pair(key, ValueType::string);
    put_string(pairs_, value);
  }

  void add(std::string_view key, const std::vector<std::string>& values) {
    pair(key, ValueType::array);
    put(pairs_, static_cast<std::uint32_t>(ValueType::string));
    put(pairs_, static_cast<std::uint64_t>(values.size()));
    for (const std::string& value : values) put_string(pairs_, value);
  }

  template <class T>
  void add_array(std::string_view key, ValueType type, const std::vector<T>& values) {
    pair(key, ValueType::array);
    put(pairs_, static_cast<std::uint32_t>(type));
    put(pairs_, static_cast<std::uint64_t>(values.size()));
    for (const T& value : values) put(pairs_, value);
  }

  void add_raw(std::string_view key, ValueType type, std::span<const std::byte> value) {
    pair(key, type);
    pairs_.insert(pairs_.end(), value.begin(), value.end());
  }

  void add_tensor(std::string_view name, const std::vector<std::uint64_t>& ne, std::uint32_t type,
                  std::span<const std::byte> data) {
    ++tensor_count_;
    put_string(tensors_, name);
    put(tensors_, static_cast<std::uint32_t>(ne.size()));
    for (const std::uint64_t extent : ne) put(tensors_, extent);
    put(tensors_, type);
    put(tensors_, static_cast<std::uint64_t>(data_.size()));
    data_.insert(data_.end(), data.begin(), data.end());
    data_.resize((data_.size() + alignment - 1) / alignment * alignment);
  }

  void add_tensor(std::string_view name, const std::vector<std::uint64_t>& ne,
                  const std::vector<float>& data) {
    add_tensor(name, ne, 0, std::as_bytes(std::span(data)));
  }

  std::vector<std::byte> bytes() const {
    std::vector<std::byte> file;
    put(file, std::uint32_t{0x46554747});
    put(file, version);
    put(file, tensor_count_);
    put(file, pair_count_);
    file.insert(file.end(), pairs_.begin(), pairs_.end());
    file.insert(file.end(), tensors_.begin(), tensors_.end());
    file.resize((file.size() + alignment - 1) / alignment * alignment);
    file.insert(file.end(), data_.begin(), data_.end());
    return file;
  }

 private:
  template <class T>
  static void put(std::vector<std::byte>& to, const T& value) {
    const auto* from = reinterpret_cast<const std::byte*>(&value);
    to.insert(to.end(), from, from + sizeof value);
  }

  static void put_string(std::vector<std::byte>& to, std::string_view text) {
    put(to, static_cast<std::uint64_t>(text.size()));
    const auto bytes = std::as_bytes(std::span(text));
    to.insert(to.end(), bytes.begin(), bytes.end());
  }

  void pair(std::string_view key, ValueType type) {
    ++pair_count_;
    put_string(pairs_, key);
    put(pairs_, static_cast<std::uint32_t>(type));
  }

  std::vector<std::byte> pairs_, tensors_, data_;
  std::uint64_t pair_count_ = 0, tensor_count_ = 0;
};

}  // namespace moe::testing
