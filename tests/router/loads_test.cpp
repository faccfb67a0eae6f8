#include "router/learn/loads.h"

#include <gtest/gtest.h>

namespace router {
namespace {

TEST(Loads, CountsWhatLeastRecentlyUsedPays) {
  EXPECT_EQ(loads_per_thousand({}, 1, 1), 0);
  EXPECT_EQ(loads_per_thousand({3, 3, 3, 3}, 1, 1), 250);
  EXPECT_EQ(loads_per_thousand({0, 1, 0, 1}, 1, 1), 1000);
  EXPECT_EQ(loads_per_thousand({0, 1, 0, 1}, 2, 1), 500);
  // 0 1 2: 0 leaves for 2; 1 is still there, 0 is not.
  EXPECT_EQ(loads_per_thousand({0, 1, 2, 1, 0}, 2, 1), 800);
}

TEST(Loads, CollatedQueriesPayOncePerExpert) {
  EXPECT_EQ(loads_per_thousand({0, 1, 0, 1}, 1, 4), 500);
  // The second group begins with the expert that the first one left in memory.
  EXPECT_EQ(loads_per_thousand({0, 1, 0, 1, 0, 1, 0, 1}, 1, 4), 375);
  EXPECT_EQ(loads_per_thousand({0, 1, 2}, 3, 100), 1000);
}

}  // namespace
}  // namespace router
