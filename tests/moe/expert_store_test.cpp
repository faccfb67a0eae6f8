// A store of any size gives the same bits as the mapped model, whatever its slots, hints and disk
// do; and it stays inside its budget.
#include "experts/moe/expert_store.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <future>
#include <optional>

#include "experts/moe/engine.h"
#include "tests/moe/planted.h"
#include "tests/moe/runner.h"

namespace moe {
namespace {

using testing::Planted;
using testing::PlantedShape;
using testing::Runner;

const std::vector<std::vector<int>> kSequences = {
    {1, 5, 9, 2, 40, 41, 42, 17, 3, 3, 60}, {7, 7, 8}, {63, 0, 12, 30, 31, 32, 33}};

constexpr std::size_t kSlotBytes = 3 * 3 * 4096;  // three matrices of 8 KiB, a page of slack each

ExpertStore::Read read_from(const Planted& planted) {
  return [&planted](const FilePart& part, std::byte* to) {
    std::memcpy(to, planted.bytes.data() + part.offset, part.bytes);
    return true;
  };
}

StoreOptions room_for(std::size_t experts) {
  StoreOptions options;
  options.bytes_max = experts * kSlotBytes;
  return options;
}

TEST(ExpertStore, ResultsAreThoseOfTheMappedModelForEveryRoomAndPolicy) {
  PlantedShape shape;
  shape.shared_ffn = 32;
  shape.architecture = "qwen2moe";
  shape.shared_gate = true;
  shape.biases = true;
  const Planted planted(shape);
  const auto expected = Runner(planted.model, kPortable).run(kSequences, 3);
  for (const std::size_t experts : {1, 2, 3, 7, 12, 16}) {
    for (const Evict evict : {Evict::lfu, Evict::lru}) {
      for (const bool prefetch : {false, true}) {
        StoreOptions options = room_for(experts);
        options.evict = evict;
        options.prefetch = prefetch;
        if (experts > 2) options.pinned = {{1, 5}, {0, 0}};
        ExpertStore store(planted.model, options, read_from(planted));
        Runner runner(planted.model, kPortable);
        runner.read_experts_from(&store);
        for (const std::size_t chunk : {1, 3, 11}) {
          EXPECT_TRUE(runner.run(kSequences, chunk) == expected)
              << experts << " slots, chunk " << chunk << ", prefetch " << prefetch;
        }
        const StoreStats stats = store.stats();
        EXPECT_EQ(stats.slot_bytes, experts * kSlotBytes);
        EXPECT_GT(stats.uses, 0u);
        if (!prefetch) {
          EXPECT_EQ(stats.hint_loads, 0u);
        }
        if (experts == 16 && !prefetch) {
          EXPECT_LE(stats.uses - stats.hits, 16u) << "with room for all, each is read once";
        }
      }
    }
  }
}

TEST(ExpertStore, SlowDiskChangesNothing) {
  const Planted planted;
  const auto expected = Runner(planted.model, kPortable).run(kSequences, 1);
  std::atomic<unsigned> reads{0};
  const auto slow = [&](const FilePart& part, std::byte* to) {
    const unsigned number = reads.fetch_add(1);
    std::this_thread::sleep_for(std::chrono::microseconds(number * 7919 % 700));
    return read_from(planted)(part, to);
  };
  ExpertStore store(planted.model, room_for(5), slow);
  Runner runner(planted.model, kPortable);
  runner.read_experts_from(&store);
  EXPECT_TRUE(runner.run(kSequences, 1) == expected);
  EXPECT_GT(store.stats().wait_ns, 0u);
}

TEST(ExpertStore, HintedExpertsAreThereWhenTheyAreNeeded) {
  const Planted planted;
  ExpertStore store(planted.model, room_for(6), read_from(planted));
  const std::uint32_t likely[] = {2, 4};
  store.hint(0, likely);
  while (store.stats().hint_loads < 2 || store.stats().bytes_read < 2 * 3 * 8192) {
    std::this_thread::yield();
  }
  const std::uint32_t needed[] = {2, 3};
  EXPECT_EQ(store.reserve(0, needed), 2u);
  store.wait();
  const Expert& mapped = planted.model.weights.layers[0].experts[2];
  EXPECT_EQ(std::memcmp(store.expert(0, 2).down.data, mapped.down.data, mapped.down.bytes()), 0);
  store.release();
  const StoreStats stats = store.stats();
  EXPECT_EQ(stats.hits, 1u);
  EXPECT_EQ(stats.hinted_hits, 1u);
}

TEST(ExpertStore, LeastUsedGoesFirstAndPinnedNever) {
  const Planted planted;
  const auto run = [&](StoreOptions options) {
    options.prefetch = false;
    ExpertStore store(planted.model, options, read_from(planted));
    const auto use = [&](std::uint32_t expert) {
      const std::uint64_t before = store.stats().hits;
      store.begin_step();
      store.reserve(0, {&expert, 1});
      store.wait();
      store.release();
      return store.stats().hits - before;
    };
    for (const std::uint32_t expert : {1, 1, 2, 3}) use(expert);  // the third one needs a slot
    return std::vector<std::uint64_t>{use(3), use(1)};
  };
  StoreOptions options = room_for(2);
  EXPECT_EQ(run(options), (std::vector<std::uint64_t>{1, 1})) << "1 was used twice, 2 goes";
  options.evict = Evict::lru;
  EXPECT_EQ(run(options), (std::vector<std::uint64_t>{1, 0})) << "1 was used first";
  options.bytes_max += kSlotBytes;
  options.pinned = {{0, 1}};
  EXPECT_EQ(run(options), (std::vector<std::uint64_t>{1, 1})) << "1 is pinned";
}

TEST(ExpertStore, RefusesWhatCannotWork) {
  const Planted planted;
  const auto make = [&](const StoreOptions& options) {
    ExpertStore store(planted.model, options, read_from(planted));
  };
  StoreOptions options = room_for(1);
  --options.bytes_max;
  EXPECT_THROW(make(options), std::runtime_error);
  options = room_for(2);
  options.pinned = {{0, 1}, {1, 1}};
  EXPECT_THROW(make(options), std::runtime_error) << "no slot left";
  options.pinned = {{2, 0}};
  EXPECT_THROW(make(options), std::runtime_error) << "no such layer";
  PlantedShape dense;
  dense.experts = 0;
  const Planted planted_dense(dense);
  EXPECT_THROW(ExpertStore(planted_dense.model, room_for(4), read_from(planted_dense)),
               std::runtime_error);
}

/// The model as a file, at an offset within pages that no alignment helps.
class ModelFile {
 public:
  explicit ModelFile(const Planted& planted) {
    std::ofstream file(path_, std::ios::binary);
    file.write(reinterpret_cast<const char*>(planted.bytes.data()),
               static_cast<std::streamsize>(planted.bytes.size()));
  }

  ~ModelFile() { std::filesystem::remove(path_); }

  const std::filesystem::path& path() const { return path_; }

 private:
  const std::filesystem::path path_ = std::filesystem::temp_directory_path() /
                                      ("skillyard-store-" + std::to_string(::getpid()) + ".gguf");
};

TEST(ExpertStore, ReadsTheModelsOwnFiles) {
  const Planted planted;
  const ModelFile file(planted);
  const Model model = Model::open(file.path());
  ExpertStore store(model, room_for(4));
  Runner runner(model, kPortable);
  runner.read_experts_from(&store);
  EXPECT_TRUE(runner.run(kSequences, 2) == Runner(planted.model, kPortable).run(kSequences, 2));
}

struct Ended {
  std::vector<std::int32_t> tokens;
  Ending ending;
};

Ended ask(Engine& engine) {
  auto ended = std::make_shared<Ended>();
  auto done = std::make_shared<std::promise<void>>();
  Request request;
  request.prompt = {1, 2, 3};
  request.tokens_max = 8;
  request.choose = [ended](std::span<const float> logits) {
    const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
    ended->tokens.push_back(static_cast<std::int32_t>(best));
    return ended->tokens.back();
  };
  request.finish = [ended, done](const Ending& ending) {
    ended->ending = ending;
    done->set_value();
  };
  EXPECT_EQ(engine.submit(std::move(request)).refusal, Refusal::none);
  EXPECT_EQ(done->get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
  return *ended;
}

TEST(ExpertStore, EngineGivesTheSameTokensAndOutlivesAFileThatShrinks) {
  const Planted planted;
  const ModelFile file(planted);
  const Model model = Model::open(file.path());
  EngineOptions options{.threads = 2, .kv_bytes_max = 1 << 20, .sequences_max = 2};
  std::optional<Engine> engine(std::in_place, model, options);
  const Ended mapped = ask(*engine);
  EXPECT_EQ(mapped.ending.reason, EndReason::length);
  options.store = room_for(3);
  engine.emplace(model, options);
  EXPECT_EQ(ask(*engine).tokens, mapped.tokens);
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.store.slot_bytes, 3 * kSlotBytes);
  EXPECT_GT(stats.store.uses, 0u);

  engine.reset();
  options.warm = false;
  engine.emplace(model, options);
  // Routed experts are the last bytes of the file: nothing that is read from the mapping goes.
  std::filesystem::resize_file(file.path(),
                               model.gguf.tensor("blk.1.ffn_gate_exps.weight")->offset);
  for (int i = 0; i < 2; ++i) {
    const Ended failed = ask(*engine);
    EXPECT_EQ(failed.ending.reason, EndReason::failed);
    EXPECT_NE(failed.ending.error.find("could not be read"), std::string::npos);
  }
}

}  // namespace
}  // namespace moe
