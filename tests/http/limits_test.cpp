#include "http/limits.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>

namespace http {

namespace {

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kDay = 86'400 * kSecond;
constexpr std::int64_t kStart = 1'798'761'600 * kSecond;  // 2027-01-01T00:00:00Z

}  // namespace

// A second road to the answer: whatever is asked and when, a window of any length never lets more
// through than the bucket held at its start and what flowed in since.
TEST(Bucket, NeverLetsMoreThroughThanItHoldsAndRefills) {
  std::mt19937 chance(3);
  for (const std::int64_t rate : {1, 7, 60, 100'000}) {
    Bucket bucket(rate);
    std::int64_t now = kStart;
    std::deque<std::pair<std::int64_t, std::int64_t>> passed;
    for (int i = 0; i < 2'000; ++i) {
      now += static_cast<std::int64_t>(chance() %
                                       (3 * 60 * kSecond / static_cast<std::int64_t>(rate) + 2));
      const auto amount = static_cast<std::int64_t>(chance()) % (rate + 1) + 0;
      if (bucket.take(std::abs(amount), now)) passed.emplace_back(now, std::abs(amount));
      std::int64_t sum = 0;
      for (auto it = passed.rbegin(); it != passed.rend() && it - passed.rbegin() < 50; ++it) {
        sum += it->second;
        const double window_s = static_cast<double>(now - it->first) / 1e6;
        EXPECT_LE(static_cast<double>(sum), static_cast<double>(rate) * (1 + window_s / 60) + 1e-6);
      }
    }
    EXPECT_GT(passed.size(), 10u);
  }
}

TEST(Bucket, SaysHowLongToWaitAndIsRight) {
  Bucket bucket(60);
  ASSERT_TRUE(bucket.take(60, kStart));
  EXPECT_FALSE(bucket.take(1, kStart));
  EXPECT_EQ(bucket.wait_us(5, kStart), 5 * kSecond);
  EXPECT_FALSE(bucket.take(5, kStart + 5 * kSecond - 1));
  EXPECT_TRUE(bucket.take(5, kStart + 5 * kSecond));
  EXPECT_EQ(bucket.reset_us(kStart + 5 * kSecond), 60 * kSecond);
  EXPECT_EQ(bucket.wait_us(61, kStart), -1);
  EXPECT_FALSE(bucket.take(61, kStart + 10 * 60 * kSecond));
  EXPECT_EQ(bucket.remaining(kStart + 10 * 60 * kSecond), 60);
}

TEST(Bucket, SettlesWhatWasGuessed) {
  Bucket bucket(100);
  ASSERT_TRUE(bucket.take(50, kStart));
  bucket.settle(70, kStart);  // it used 120: below zero
  EXPECT_EQ(bucket.remaining(kStart), 0);
  EXPECT_EQ(bucket.wait_us(1, kStart), 21 * 60 * kSecond / 100);
  bucket.settle(-1'000, kStart);
  EXPECT_EQ(bucket.remaining(kStart), 100) << "never above full";
  EXPECT_TRUE(Bucket(0).take(1 << 30, kStart)) << "0 is no limit";
}

TEST(Bucket, AClockThatWentBackNeitherRefillsNorBlocks) {
  Bucket bucket(60);
  ASSERT_TRUE(bucket.take(60, kStart));
  EXPECT_FALSE(bucket.take(1, kStart - 3'600 * kSecond));
  EXPECT_TRUE(bucket.take(1, kStart - 3'599 * kSecond));
}

TEST(Purse, BookedAndSetAsideNeverPassTheLimit) {
  std::mt19937 chance(5);
  Purse purse({.day_microusd = 1'000'000, .month_microusd = 0});
  std::deque<std::int64_t> running;
  std::int64_t spent = 0;
  for (int i = 0; i < 20'000; ++i) {
    const auto price = static_cast<std::int64_t>(chance() % 20'000);
    if (purse.reserve(price, kStart)) running.push_back(price);
    if (!running.empty() && chance() % 2 == 0) {
      const auto paid =
          running.front() == 0 ? 0 : static_cast<std::int64_t>(chance()) % running.front();
      purse.settle(running.front(), paid, kStart);
      spent += paid;
      running.pop_front();
    }
    ASSERT_LE(purse.spent_day(kStart) + purse.reserved(), 1'000'000);
    ASSERT_EQ(purse.spent_day(kStart), spent);
  }
  EXPECT_GT(spent, 900'000);
}

TEST(Purse, DaysAndMonthsEndAtMidnightUtc) {
  Purse purse({.day_microusd = 100, .month_microusd = 250});
  const auto last_of_month = kStart + 30 * kDay;  // January 31
  const auto spend = [&](std::int64_t amount, std::int64_t when) {
    if (!purse.reserve(amount, when)) return false;
    purse.settle(amount, amount, when);
    return true;
  };
  EXPECT_TRUE(spend(100, last_of_month - 2 * kDay));
  EXPECT_FALSE(spend(1, last_of_month - kDay - 1));
  EXPECT_EQ(purse.wait_us(1, last_of_month - kDay - 1), 1);
  EXPECT_TRUE(spend(100, last_of_month - kDay));
  EXPECT_TRUE(spend(50, last_of_month));
  EXPECT_FALSE(spend(1, last_of_month)) << "the month is spent";
  EXPECT_EQ(purse.wait_us(1, last_of_month), kDay);
  EXPECT_TRUE(spend(100, last_of_month + kDay)) << "February";
  EXPECT_EQ(purse.spent_month(last_of_month + kDay), 100);
  EXPECT_FALSE(spend(1, kStart)) << "a clock that went back gives no money";
}

TEST(Purse, LoadsWhatWasSpentBefore) {
  Purse purse({.day_microusd = 100, .month_microusd = 1'000});
  const auto today = day_of(kStart + 3 * kDay);
  purse.load(today - 4, 77);  // December
  purse.load(today - 1, 400);
  purse.load(today, 60);
  EXPECT_EQ(purse.spent_day(kStart + 3 * kDay), 60);
  EXPECT_EQ(purse.spent_month(kStart + 3 * kDay), 460);
  EXPECT_FALSE(purse.reserve(41, kStart + 3 * kDay));
  EXPECT_TRUE(purse.reserve(40, kStart + 3 * kDay));
}

}  // namespace http
