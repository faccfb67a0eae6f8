#include "experts/moe/gguf.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <functional>
#include <random>

#include "experts/moe/config.h"
#include "tests/moe/gguf_writer.h"

namespace moe {
namespace {

using testing::GgufWriter;

GgufWriter small_file() {
  GgufWriter writer;
  writer.add("general.architecture", std::string_view("llama"));
  writer.add("llama.block_count", std::uint32_t{3});
  writer.add("llama.eps", 0.5f);
  writer.add("flag", true);
  writer.add("tokens", std::vector<std::string>{"a", "", "bc"});
  writer.add_array("types", ValueType::i32, std::vector<std::int32_t>{1, -2, 3});
  writer.add_array("scores", ValueType::f32, std::vector<float>{0.5f, -1.5f});
  writer.add_tensor("w", {4, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  writer.add_tensor("q", {64}, 8, std::vector<std::byte>(68));
  return writer;
}

std::string refusal_of(std::span<const std::byte> bytes) {
  try {
    Gguf::parse(bytes, "x.gguf");
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

TEST(Gguf, ReadsEveryKindOfValue) {
  const auto bytes = small_file().bytes();
  const Gguf gguf = Gguf::parse(bytes, "x.gguf");
  EXPECT_EQ(gguf.string("general.architecture"), "llama");
  EXPECT_EQ(gguf.integer("llama.block_count"), 3);
  EXPECT_EQ(gguf.number("llama.block_count"), 3.0);
  EXPECT_EQ(gguf.number("llama.eps"), 0.5);
  EXPECT_EQ(gguf.boolean("flag"), true);
  EXPECT_EQ(gguf.strings("tokens"), (std::vector<std::string_view>{"a", "", "bc"}));
  EXPECT_EQ(gguf.integers("types"), (std::vector<std::int64_t>{1, -2, 3}));
  EXPECT_EQ(gguf.numbers("scores"), (std::vector<double>{0.5, -1.5}));
  EXPECT_EQ(gguf.integer("absent"), std::nullopt);
  EXPECT_THROW(gguf.integer("tokens"), std::runtime_error);
  EXPECT_THROW(gguf.string("llama.eps"), std::runtime_error);
  const Tensor* tensor = gguf.tensor("w");
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(tensor->ne, (std::array<std::int64_t, 4>{4, 2, 1, 1}));
  EXPECT_EQ(tensor->row_bytes(), 16u);
  float last = 0;
  std::memcpy(&last, tensor->data + 28, 4);
  EXPECT_EQ(last, 8.0f);
  EXPECT_EQ(gguf.tensor("q")->bytes, 68u);
}

TEST(Gguf, RefusesWithAReason) {
  GgufWriter version = small_file();
  version.version = 4;
  EXPECT_NE(refusal_of(version.bytes()).find("GGUF version 4"), std::string::npos);

  GgufWriter twice = small_file();
  twice.add_tensor("w", {1}, {1});
  EXPECT_NE(refusal_of(twice.bytes()).find("'w' twice"), std::string::npos);

  GgufWriter type = small_file();
  type.add_tensor("odd", {1}, 999, std::vector<std::byte>(4));
  EXPECT_NE(refusal_of(type.bytes()).find("unknown type 999"), std::string::npos);

  GgufWriter rows = small_file();
  rows.add_tensor("odd", {33}, 8, std::vector<std::byte>(68));
  EXPECT_NE(refusal_of(rows.bytes()).find("not a multiple of 32"), std::string::npos);

  GgufWriter huge = small_file();
  huge.add_tensor("huge", {std::uint64_t{1} << 39, 1 << 20}, 0, {});
  EXPECT_NE(refusal_of(huge.bytes()).find("impossible shape"), std::string::npos);

  GgufWriter alignment = small_file();
  alignment.add("general.alignment", std::uint32_t{24});
  EXPECT_NE(refusal_of(alignment.bytes()).find("general.alignment"), std::string::npos);
}

TEST(Config, RefusesGranitesThatItWouldRunWrongly) {
  const auto refusal = [](const std::function<void(GgufWriter&)>& add) -> std::string {
    GgufWriter writer;
    writer.add("general.architecture", std::string_view("granite"));
    for (const char* key : {"block_count", "context_length", "attention.head_count"}) {
      writer.add(std::string("granite.") + key, std::uint32_t{2});
    }
    writer.add("granite.embedding_length", std::uint32_t{64});
    add(writer);
    const auto bytes = writer.bytes();
    try {
      Config::read(Gguf::parse(bytes, "granite.gguf"));
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(refusal([](GgufWriter& w) { w.add("granite.logit_scale", 8.0f); }), "");
  EXPECT_NE(refusal([](GgufWriter& w) {
              w.add("granite.rope.scaling.finetuned", false);
            }).find("no positions"),
            std::string::npos);
  EXPECT_NE(refusal([](GgufWriter& w) {
              w.add("granite.logit_scale", 1e-30f);
            }).find("out of reason in granite.logit_scale"),
            std::string::npos);
}

TEST(Gguf, EveryTruncationIsRefused) {
  const auto bytes = small_file().bytes();
  const std::span<const std::byte> all(bytes);
  // The padding behind the last tensor may be missing: 68 bytes stand in 96.
  for (std::size_t size = 0; size < bytes.size() - 28; ++size) {
    EXPECT_FALSE(refusal_of(all.first(size)).empty()) << size;
  }
}

TEST(Gguf, FlippedBytesNeverReadOutside) {
  auto bytes = small_file().bytes();
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    auto copy = bytes;
    for (int flips = 1 + static_cast<int>(random() % 3); flips > 0; --flips) {
      copy[random() % copy.size()] = static_cast<std::byte>(random());
    }
    try {
      const Gguf gguf = Gguf::parse(copy, "x");
      for (const Tensor& tensor : gguf.tensors()) {
        ASSERT_GE(tensor.data, copy.data());
        ASSERT_LE(tensor.data + tensor.bytes, copy.data() + copy.size());
      }
      for (const auto& [key, value] : gguf.metadata()) {
        if (const auto* array = std::get_if<ValueArray>(&value.data)) {
          if (array->element == ValueType::string) gguf.strings(key);
        }
      }
    } catch (const std::runtime_error&) {
    }
  }
}

TEST(Gguf, OpensASplitModelFromAnyShard) {
  const auto directory =
      std::filesystem::temp_directory_path() / ("skillyard-split-" + std::to_string(::getpid()));
  std::filesystem::create_directory(directory);
  for (std::uint32_t shard = 0; shard < 2; ++shard) {
    GgufWriter writer;
    if (shard == 0) writer.add("general.architecture", std::string_view("llama"));
    writer.add("split.count", std::uint32_t{2});
    writer.add("split.no", shard);
    writer.add_tensor(shard == 0 ? "a" : "b", {1}, {static_cast<float>(shard)});
    const auto bytes = writer.bytes();
    std::ofstream(directory / ("m-0000" + std::to_string(shard + 1) + "-of-00002.gguf"),
                  std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<long>(bytes.size()));
  }
  for (const char* name : {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"}) {
    const Gguf gguf = Gguf::open(directory / name);
    EXPECT_EQ(gguf.shards(), 2u);
    EXPECT_EQ(gguf.string("general.architecture"), "llama");
    ASSERT_NE(gguf.tensor("b"), nullptr);
    EXPECT_EQ(gguf.tensor("b")->shard, 1u);
  }
  std::filesystem::remove(directory / "m-00002-of-00002.gguf");
  EXPECT_THROW(Gguf::open(directory / "m-00001-of-00002.gguf"), std::runtime_error);
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace moe
