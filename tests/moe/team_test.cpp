#include "experts/moe/team.h"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

namespace moe {
namespace {

TEST(Team, EveryTaskRunsOnceInEachOfManyPhases) {
  Team team(4);
  std::vector<std::atomic<int>> hits(97);
  for (int phase = 1; phase <= 3000; ++phase) {
    const auto count = static_cast<std::uint32_t>(1 + phase % 97);
    for (auto& hit : hits) hit = 0;
    team.run(count, [&](std::uint32_t task, int thread) {
      ASSERT_GE(thread, 0);
      ASSERT_LT(thread, 4);
      ++hits[task];
    });
    for (std::uint32_t i = 0; i < hits.size(); ++i) ASSERT_EQ(hits[i], i < count ? 1 : 0);
  }
}

TEST(Team, IdleWorkersWakeUpAgain) {
  Team team(3);
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::atomic<int> sum = 0;
    team.run(100, [&](std::uint32_t task, int) { sum += static_cast<int>(task); });
    EXPECT_EQ(sum, 4950);
  }
}

}  // namespace
}  // namespace moe
