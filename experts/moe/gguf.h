// Reading GGUF v2 and v3 (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): metadata with
// typed access, and tensors as views into the mapped file.
//
// The file is not trusted: every length, offset, count and alignment is checked against the bytes
// that are there before it is used, nothing is allocated that the file's size does not justify, and
// every refusal is a std::runtime_error with the file, what is wrong, and where.
//
// A Gguf owns its mappings; every string_view, span and Tensor::data it hands out lives as long as
// it. Read-only after construction, hence usable from any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "experts/moe/mapped_file.h"
#include "experts/moe/tensor_type.h"

namespace moe {

/// Metadata element types, numbered as in the file.
enum class ValueType : std::uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12,
};

std::string_view name_of(ValueType type);

/// An array still in file form; decode it with Gguf::strings, integers or numbers. Nested arrays
/// exist in no model and are refused.
struct ValueArray {
  ValueType element = ValueType::u8;
  std::uint64_t count = 0;
  std::span<const std::byte> bytes;
};

/// Integers are widened (u64 that does not fit i64 is refused at parse), f32 becomes double.
struct Value {
  ValueType type = ValueType::u8;
  std::variant<std::int64_t, double, bool, std::string_view, ValueArray> data;
};

struct Tensor {
  std::string_view name;
  std::uint32_t type = 0;                      // see tensor_type.h; maybe not runnable
  std::array<std::int64_t, 4> ne{1, 1, 1, 1};  // ne[0] is the row length, the fastest dimension
  const std::byte* data = nullptr;
  std::uint64_t bytes = 0;
  std::uint32_t shard = 0;   // which file of a split model
  std::uint64_t offset = 0;  // of data in that file

  std::int64_t rows() const { return ne[1] * ne[2] * ne[3]; }

  std::uint64_t row_bytes() const;
};

class Gguf {
 public:
  /// Opens `path`, and when it is one shard of a split model (split.count > 1, any shard may be
  /// named) its siblings `NAME-00001-of-0000N.gguf` too.
  static Gguf open(const std::filesystem::path& path);

  /// Reads one unsplit model from memory that the caller keeps alive. `name` is for messages.
  static Gguf parse(std::span<const std::byte> bytes, std::string name);

  std::uint32_t version() const { return version_; }

  const std::string& name() const { return name_; }

  std::uint64_t file_bytes() const { return file_bytes_; }  // all shards

  std::size_t shards() const { return shard_count_; }

  const std::vector<MappedFile>& files() const { return files_; }  // none when parsed from memory

  /// Typed access: nullopt when the key is absent; throws when it is there with another type.
  std::optional<std::int64_t> integer(std::string_view key) const;  // any integer type
  std::optional<double> number(std::string_view key) const;         // any integer or float type
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string_view> string(std::string_view key) const;
  std::optional<std::vector<std::string_view>> strings(std::string_view key) const;
  std::optional<std::vector<std::int64_t>> integers(std::string_view key) const;
  std::optional<std::vector<double>> numbers(std::string_view key) const;

  const Value* find(std::string_view key) const;

  const std::map<std::string_view, Value>& metadata() const { return metadata_; }

  /// All shards' tensors in file order; names are unique.
  const std::vector<Tensor>& tensors() const { return tensors_; }

  const Tensor* tensor(std::string_view name) const;  // nullptr: not there

 private:
  class Parser;

  std::string name_;
  std::uint32_t version_ = 0;
  std::uint64_t file_bytes_ = 0;
  std::size_t shard_count_ = 1;
  std::vector<MappedFile> files_;
  std::map<std::string_view, Value> metadata_;
  std::vector<Tensor> tensors_;
  std::map<std::string_view, std::size_t> tensor_index_;
};

}  // namespace moe
