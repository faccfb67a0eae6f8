// The pool that comes with the program: when it serves, and where it makes way.
#include "config/embedded.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "config/layers.h"

namespace config {
namespace {

using Json = nlohmann::json;

class Embedding : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(dir_);
    write("pool.json", R"({"experts": [{"name": "one", "file": "one.gguf", "description": "sums"},
                                       {"name": "two", "file": "two.gguf"}]})");
    write("one.gguf", "x");
    write("two.gguf", "x");
    write("policy.bin", "x");
    layers_.embedded = read_embedded(dir_);
  }

  void TearDown() override { std::filesystem::remove_all(dir_); }

  void write(const char* name, const std::string& text) { std::ofstream(dir_ / name) << text; }

  /// Names and origins of the experts, and the policy.
  std::string serving(const std::vector<store::OwnedResource>& owned = {}) {
    const Merged merged = merge(layers_, owned);
    std::string all;
    for (const auto& resource : merged.resources)
      if (resource.kind == "experts")
        all += resource.name + ":" + std::string(name_of(resource.origin)) + " ";
    Faults faults;
    const Config config = read(merged.document, faults);
    check(config, faults);
    EXPECT_TRUE(faults.empty()) << faults.front();
    return all + std::filesystem::path(config.policy).filename().string();
  }

  static store::OwnedResource owned(const std::string& name, const Json& document) {
    return {"experts", name, document.dump(), 1};
  }

  const std::filesystem::path dir_ =
      std::filesystem::path(::testing::TempDir()) / ("embedded_" + std::to_string(::getpid()));
  Layers layers_;
  const Json big_ = {{"name", "big"}, {"url", "http://h/v1"}};
};

TEST_F(Embedding, ServesWhileThereIsNoOtherExpert) {
  EXPECT_EQ(serving(), "one:embedded two:embedded policy.bin");
  EXPECT_EQ(serving({owned("big", big_)}), "big:admin ");
  EXPECT_EQ(serving({owned("big", nullptr)}), "one:embedded two:embedded policy.bin");
  layers_.found = Json::array({big_});
  EXPECT_EQ(serving(), "big:found ");
  layers_.found = Json::array();
  layers_.command_line["experts"] = Json::array({big_});
  EXPECT_EQ(serving(), "big:command line ");
}

TEST_F(Embedding, StaysItselfWhenAnAdministratorChangesItsExperts) {
  auto changed = find(merge(layers_, {}), "experts", "one")->document;
  changed["enabled"] = false;
  EXPECT_EQ(serving({owned("one", changed)}), "one:admin two:embedded policy.bin");
  EXPECT_EQ(serving({owned("one", nullptr)}), "two:embedded policy.bin");
}

TEST_F(Embedding, StandsBesideOthersWhereThatIsWanted) {
  layers_.embedded_always = true;
  layers_.file = {{"experts", Json::array({big_, {{"name", "two"}, {"url", "http://t/v1"}}})},
                  {"policy", "mine.bin"}};
  EXPECT_EQ(serving(), "big:file two:file one:embedded mine.bin");
}

TEST_F(Embedding, AnswersWhatIsOutsideUnlessThePoolIsConfigured) {
  const Merged alone = merge(layers_, {});
  const auto* pool = find(alone, "pools", "auto");
  ASSERT_NE(pool, nullptr);
  EXPECT_EQ(pool->document.at("outside"), "answer");
  layers_.file["pools"] = Json::array({{{"name", "auto"}, {"explore", 0.1}}});
  const Merged merged = merge(layers_, {});
  EXPECT_EQ(find(merged, "pools", "auto")->origin, Origin::file);
  EXPECT_EQ(merged.document["pools"].size(), 1u);
}

TEST_F(Embedding, NamesWhatIsWrongWithIt) {
  const auto why = [&] {
    try {
      read_embedded(dir_);
    } catch (const std::runtime_error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(why(), "");
  std::filesystem::remove(dir_ / "two.gguf");
  EXPECT_NE(why().find("two.gguf"), std::string::npos);
  write("pool.json", R"({"experts": [{"name": "one"}]})");
  EXPECT_NE(why().find("pool.json"), std::string::npos);
  EXPECT_NE(why().find("file"), std::string::npos);
  write("pool.json", "[]");
  EXPECT_NE(why().find("pool.json"), std::string::npos);
}

}  // namespace
}  // namespace config
