#include "experts/moe/gguf.h"

#include <bit>
#include <cstdio>
#include <cstring>
#include <limits>
#include <stdexcept>

namespace moe {

static_assert(std::endian::native == std::endian::little, "GGUF is read in place");

namespace {

constexpr std::uint32_t kGgufMagic = 0x46554747;  // "GGUF"
constexpr std::uint64_t kNameBytesMax = 64 * 1024;
constexpr std::uint64_t kAlignmentMax = 1 << 20;
constexpr std::int64_t kShardsMax = 1000;
constexpr std::uint64_t kPairBytesMin = 8 + 4 + 1;  // key length, type, smallest value
constexpr std::uint64_t kTensorBytesMin =
    8 + 4 + 8 + 4 + 8;  // name length, dims, one dim, type, offset

/// Bytes of one element; 0 for strings and arrays, whose size is their own.
std::uint64_t size_of(ValueType type) {
  switch (type) {
    case ValueType::u8:
    case ValueType::i8:
    case ValueType::boolean:
      return 1;
    case ValueType::u16:
    case ValueType::i16:
      return 2;
    case ValueType::u32:
    case ValueType::i32:
    case ValueType::f32:
      return 4;
    case ValueType::u64:
    case ValueType::i64:
    case ValueType::f64:
      return 8;
    case ValueType::string:
    case ValueType::array:
      return 0;
  }
  return 0;
}

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

/// The element at `at` as an integer; the caller has checked type and bounds.
std::int64_t load_integer(ValueType type, const std::byte* at) {
  switch (type) {
    case ValueType::u8:
      return load<std::uint8_t>(at);
    case ValueType::i8:
      return load<std::int8_t>(at);
    case ValueType::u16:
      return load<std::uint16_t>(at);
    case ValueType::i16:
      return load<std::int16_t>(at);
    case ValueType::u32:
      return load<std::uint32_t>(at);
    case ValueType::i32:
      return load<std::int32_t>(at);
    default:
      return load<std::int64_t>(at);
  }
}

bool is_integer(ValueType type) {
  return size_of(type) != 0 && type != ValueType::f32 && type != ValueType::f64 &&
         type != ValueType::boolean;
}

bool is_float(ValueType type) {
  return type == ValueType::f32 || type == ValueType::f64;
}

double load_number(ValueType type, const std::byte* at) {
  if (type == ValueType::f32) return load<float>(at);
  if (type == ValueType::f64) return load<double>(at);
  return static_cast<double>(load_integer(type, at));
}

std::string quoted(std::string_view text) {
  return "'" + std::string(text.substr(0, 200)) + "'";
}

}  // namespace

std::string_view name_of(ValueType type) {
  constexpr std::array<std::string_view, 13> kNames = {"u8",  "i8",  "u16",  "i16",    "u32",
                                                       "i32", "f32", "bool", "string", "array",
                                                       "u64", "i64", "f64"};
  return kNames.at(static_cast<std::size_t>(type));
}

std::uint64_t Tensor::row_bytes() const {
  return bytes / static_cast<std::uint64_t>(rows());
}

/// A cursor over one file's bytes that adds what it reads to a Gguf.
class Gguf::Parser {
 public:
  Parser(Gguf& into, std::span<const std::byte> bytes, std::string name, std::uint32_t shard)
      : into_(into), bytes_(bytes), name_(std::move(name)), shard_(shard) {}

  void read_file() {
    if (left() < 4 || take<std::uint32_t>() != kGgufMagic) fail("is not a GGUF file");
    const auto version = take<std::uint32_t>();
    if (version != 2 && version != 3) {
      const bool swapped = version != 0 && (version & 0xffff) == 0;
      fail(swapped ? "is a big-endian GGUF; only little-endian is read"
                   : "has GGUF version " + std::to_string(version) + "; versions 2 and 3 are read");
    }
    into_.version_ = version;
    const auto tensor_count = take<std::uint64_t>();
    const auto pair_count = take<std::uint64_t>();
    if (pair_count > left() / kPairBytesMin) fail("declares more metadata than the file can hold");
    for (std::uint64_t i = 0; i < pair_count; ++i) read_pair();
    if (tensor_count > left() / kTensorBytesMin)
      fail("declares more tensors than the file can hold");
    const std::size_t first = into_.tensors_.size();
    for (std::uint64_t i = 0; i < tensor_count; ++i) read_tensor();
    place_tensors(first);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error("model file " + name_ + " " + what + " (at byte " +
                             std::to_string(position_) + ")");
  }

  std::uint64_t left() const { return bytes_.size() - position_; }

  const std::byte* at(std::uint64_t size) {
    if (size > left()) fail("ends too early");
    const std::byte* here = bytes_.data() + position_;
    position_ += size;
    return here;
  }

  template <class T>
  T take() {
    return load<T>(at(sizeof(T)));
  }

  std::string_view take_string(std::uint64_t size_max) {
    const auto size = take<std::uint64_t>();
    if (size > size_max) fail("has a name of " + std::to_string(size) + " bytes");
    return {reinterpret_cast<const char*>(at(size)), static_cast<std::size_t>(size)};
  }

  ValueType take_type() {
    const auto type = take<std::uint32_t>();
    if (type > static_cast<std::uint32_t>(ValueType::f64)) {
      fail("has metadata of unknown type " + std::to_string(type));
    }
    return static_cast<ValueType>(type);
  }

  Value take_value(ValueType type) {
    if (type == ValueType::string) return {type, take_string(left())};
    if (type == ValueType::array) return {type, take_array()};
    const std::byte* here = at(size_of(type));
    if (type == ValueType::boolean) return {type, load<std::uint8_t>(here) != 0};
    if (is_float(type)) return {type, load_number(type, here)};
    if (type == ValueType::u64 && load<std::int64_t>(here) < 0) fail("has an integer above 2^63");
    return {type, load_integer(type, here)};
  }

  ValueArray take_array() {
    const ValueType element = take_type();
    const auto count = take<std::uint64_t>();
    if (element == ValueType::array) fail("has nested arrays in its metadata");
    const std::uint64_t start = position_;
    if (element == ValueType::string) {
      if (count > left() / 8) fail("declares an array longer than the file");
      for (std::uint64_t i = 0; i < count; ++i) take_string(left());
    } else {
      if (count > left() / size_of(element)) fail("declares an array longer than the file");
      at(count * size_of(element));
    }
    return {element, count, bytes_.subspan(start, position_ - start)};
  }

  void read_pair() {
    const std::string_view key = take_string(kNameBytesMax);
    const Value value = take_value(take_type());
    if (key == "general.alignment") alignment_ = checked_alignment(value);
    if (key.starts_with("split.")) {
      if (shard_ == 0) into_.metadata_.emplace(key, value);
      return;  // every shard has its own
    }
    const bool is_new = into_.metadata_.emplace(key, value).second;
    if (!is_new && shard_ == 0) fail("has the metadata key " + quoted(key) + " twice");
  }

  std::uint64_t checked_alignment(const Value& value) {
    const auto* alignment = std::get_if<std::int64_t>(&value.data);
    if (alignment == nullptr || *alignment < 8 ||
        static_cast<std::uint64_t>(*alignment) > kAlignmentMax ||
        !std::has_single_bit(static_cast<std::uint64_t>(*alignment))) {
      fail("has a general.alignment that is not a power of two from 8 to 2^20");
    }
    return static_cast<std::uint64_t>(*alignment);
  }

  void read_tensor() {
    Tensor tensor;
    tensor.shard = shard_;
    tensor.name = take_string(kNameBytesMax);
    const auto dims = take<std::uint32_t>();
    if (dims < 1 || dims > 4) {
      fail("has tensor " + quoted(tensor.name) + " with " + std::to_string(dims) + " dimensions");
    }
    std::uint64_t elements = 1;
    for (std::uint32_t i = 0; i < dims; ++i) {
      const auto extent = take<std::uint64_t>();
      if (extent == 0 || extent > (std::uint64_t{1} << 40) ||
          elements > (std::uint64_t{1} << 48) / extent) {
        fail("has tensor " + quoted(tensor.name) + " of impossible shape");
      }
      elements *= extent;
      tensor.ne[i] = static_cast<std::int64_t>(extent);
    }
    tensor.type = take<std::uint32_t>();
    tensor.offset = take<std::uint64_t>();
    const TypeTraits* traits = traits_of(tensor.type);
    if (traits == nullptr) {
      fail("has tensor " + quoted(tensor.name) + " of unknown type " + std::to_string(tensor.type));
    }
    if (tensor.ne[0] % traits->elements != 0) {
      fail("has tensor " + quoted(tensor.name) + " of type " + traits->name + " with rows of " +
           std::to_string(tensor.ne[0]) + ", not a multiple of " +
           std::to_string(traits->elements));
    }
    tensor.bytes = elements / traits->elements * traits->bytes;
    if (!into_.tensor_index_.emplace(tensor.name, into_.tensors_.size()).second) {
      fail("has the tensor " + quoted(tensor.name) + " twice");
    }
    into_.tensors_.push_back(tensor);
  }

  /// Offsets in the file count from the first aligned byte after the header.
  void place_tensors(std::size_t first) {
    const std::uint64_t start = (position_ + alignment_ - 1) / alignment_ * alignment_;
    for (std::size_t i = first; i < into_.tensors_.size(); ++i) {
      Tensor& tensor = into_.tensors_[i];
      if (tensor.offset % alignment_ != 0) {
        fail("has tensor " + quoted(tensor.name) + " at an unaligned offset");
      }
      if (start > bytes_.size() || tensor.offset > bytes_.size() - start ||
          tensor.bytes > bytes_.size() - start - tensor.offset) {
        fail("ends before the data of tensor " + quoted(tensor.name) + "; is it truncated?");
      }
      tensor.offset += start;
      tensor.data = bytes_.data() + tensor.offset;
    }
  }

  Gguf& into_;
  std::span<const std::byte> bytes_;
  std::string name_;
  std::uint32_t shard_;
  std::uint64_t position_ = 0;
  std::uint64_t alignment_ = 32;
};

namespace {

/// `stem-00002-of-00005.gguf` -> the path of another shard; throws when the name has another form.
std::filesystem::path sibling_of(const std::filesystem::path& path, std::int64_t shard,
                                 std::int64_t count) {
  constexpr std::string_view kForm = "-00000-of-00000.gguf";
  const std::string name = path.filename().string();
  const std::size_t cut = name.size() - std::min(name.size(), kForm.size());
  if (name.size() <= kForm.size() || name[cut] != '-' || name.substr(cut + 6, 4) != "-of-") {
    throw std::runtime_error("model file " + path.string() + " is part of a split model of " +
                             std::to_string(count) +
                             " files, but its name does not end like "
                             "'-00001-of-00005.gguf'");
  }
  std::array<char, 32> tail{};
  std::snprintf(tail.data(), tail.size(), "-%05d-of-%05d.gguf", static_cast<int>(shard + 1),
                static_cast<int>(count));
  return path.parent_path() / (name.substr(0, cut) + tail.data());
}

}  // namespace

Gguf Gguf::parse(std::span<const std::byte> bytes, std::string name) {
  Gguf gguf;
  gguf.name_ = std::move(name);
  gguf.file_bytes_ = bytes.size();
  Parser(gguf, bytes, gguf.name_, 0).read_file();
  return gguf;
}

Gguf Gguf::open(const std::filesystem::path& path) {
  Gguf gguf;
  gguf.name_ = path.string();
  gguf.files_.emplace_back(path);
  Parser(gguf, gguf.files_[0].bytes(), gguf.name_, 0).read_file();
  const std::int64_t count = gguf.integer("split.count").value_or(1);
  if (count < 0 || count > kShardsMax) {
    throw std::runtime_error("model file " + gguf.name_ + " has split.count " +
                             std::to_string(count) + "; at most " + std::to_string(kShardsMax) +
                             " files are read");
  }
  if (count > 1) {
    gguf = Gguf();
    gguf.name_ = path.string();
    gguf.shard_count_ = static_cast<std::size_t>(count);
    for (std::int64_t shard = 0; shard < count; ++shard) {
      const std::filesystem::path file = sibling_of(path, shard, count);
      gguf.files_.emplace_back(file);
      Parser(gguf, gguf.files_.back().bytes(), file.string(), static_cast<std::uint32_t>(shard))
          .read_file();
    }
  }
  for (const MappedFile& file : gguf.files_) gguf.file_bytes_ += file.bytes().size();
  return gguf;
}

const Value* Gguf::find(std::string_view key) const {
  const auto it = metadata_.find(key);
  return it != metadata_.end() ? &it->second : nullptr;
}

const Tensor* Gguf::tensor(std::string_view name) const {
  const auto it = tensor_index_.find(name);
  return it != tensor_index_.end() ? &tensors_[it->second] : nullptr;
}

namespace {

[[noreturn]] void fail_type(const Gguf& gguf, std::string_view key, const Value& value,
                            std::string_view wanted) {
  throw std::runtime_error("model file " + gguf.name() + ": metadata key " + quoted(key) + " is " +
                           std::string(name_of(value.type)) + ", not " + std::string(wanted));
}

/// nullptr: absent. Throws when the key holds no array whose elements pass `accepts`.
const ValueArray* find_array(const Gguf& gguf, std::string_view key, bool (*accepts)(ValueType),
                             std::string_view wanted) {
  const Value* value = gguf.find(key);
  if (value == nullptr) return nullptr;
  const auto* array = std::get_if<ValueArray>(&value->data);
  if (array == nullptr || !accepts(array->element)) fail_type(gguf, key, *value, wanted);
  return array;
}

}  // namespace

std::optional<std::int64_t> Gguf::integer(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* integer = std::get_if<std::int64_t>(&value->data)) return *integer;
  fail_type(*this, key, *value, "an integer");
}

std::optional<double> Gguf::number(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* integer = std::get_if<std::int64_t>(&value->data)) {
    return static_cast<double>(*integer);
  }
  if (const auto* number = std::get_if<double>(&value->data)) return *number;
  fail_type(*this, key, *value, "a number");
}

std::optional<bool> Gguf::boolean(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* boolean = std::get_if<bool>(&value->data)) return *boolean;
  fail_type(*this, key, *value, "a bool");
}

std::optional<std::string_view> Gguf::string(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* text = std::get_if<std::string_view>(&value->data)) return *text;
  fail_type(*this, key, *value, "a string");
}

std::optional<std::vector<std::string_view>> Gguf::strings(std::string_view key) const {
  const auto is_string = [](ValueType type) { return type == ValueType::string; };
  const ValueArray* array = find_array(*this, key, is_string, "an array of strings");
  if (array == nullptr) return std::nullopt;
  std::vector<std::string_view> strings;
  strings.reserve(array->count);
  const std::byte* here = array->bytes.data();
  for (std::uint64_t i = 0; i < array->count; ++i) {
    const auto size = load<std::uint64_t>(here);
    strings.emplace_back(reinterpret_cast<const char*>(here + 8), size);
    here += 8 + size;
  }
  return strings;
}

std::optional<std::vector<std::int64_t>> Gguf::integers(std::string_view key) const {
  const ValueArray* array = find_array(*this, key, is_integer, "an array of integers");
  if (array == nullptr) return std::nullopt;
  std::vector<std::int64_t> integers(array->count);
  for (std::uint64_t i = 0; i < array->count; ++i) {
    integers[i] = load_integer(array->element, array->bytes.data() + i * size_of(array->element));
  }
  return integers;
}

std::optional<std::vector<double>> Gguf::numbers(std::string_view key) const {
  const auto is_number = [](ValueType type) { return is_integer(type) || is_float(type); };
  const ValueArray* array = find_array(*this, key, is_number, "an array of numbers");
  if (array == nullptr) return std::nullopt;
  std::vector<double> numbers(array->count);
  for (std::uint64_t i = 0; i < array->count; ++i) {
    numbers[i] = load_number(array->element, array->bytes.data() + i * size_of(array->element));
  }
  return numbers;
}

}  // namespace moe
