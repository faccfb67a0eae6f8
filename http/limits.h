// How much a key may use: a rate per minute, and money per day and month. Pure: time comes in as
// Unix microseconds, nothing is locked here.
#pragma once

#include <cstdint>
#include <optional>

namespace http {

/// A token bucket that holds one minute's worth and refills steadily.
class Bucket {
 public:
  /// 0: no limit, everything passes.
  explicit Bucket(std::int64_t per_minute) : per_minute_(per_minute), level_(full()) {}

  std::int64_t limit() const { return per_minute_; }

  /// All of `amount`, or nothing.
  bool take(std::int64_t amount, std::int64_t now_us);

  /// More (or, negative, less) was used than was taken: the level may fall below zero.
  void settle(std::int64_t difference, std::int64_t now_us);

  /// What could be taken now.
  std::int64_t remaining(std::int64_t now_us);

  /// Until it is full again.
  std::int64_t reset_us(std::int64_t now_us);

  /// Until `amount` could be taken; -1: never, it is more than a minute's worth.
  std::int64_t wait_us(std::int64_t amount, std::int64_t now_us);

 private:
  std::int64_t full() const { return per_minute_ * kScale; }

  void refill(std::int64_t now_us);

  static constexpr std::int64_t kScale = 1'000'000;  // of the level: integers without drift

  std::int64_t per_minute_;
  std::int64_t level_;
  std::int64_t seen_us_ = 0;
};

/// Days since 1970-01-01 and months since year 0, both UTC.
std::int64_t day_of(std::int64_t unix_us);
std::int64_t month_of_day(std::int64_t day);

/// Money: what a call may cost at most is set aside before it, what it did cost is booked after it.
/// Booked and set aside together never pass a limit, as long as no call costs more than was set
/// aside for it.
class Purse {
 public:
  struct Limits {
    std::int64_t day_microusd = 0;    // 0: no limit
    std::int64_t month_microusd = 0;  // 0: no limit
  };

  explicit Purse(const Limits& limits) : limits_(limits) {}

  /// What was booked on a day before this run.
  void load(std::int64_t day, std::int64_t microusd);

  bool reserve(std::int64_t microusd, std::int64_t now_us);

  /// Gives the reservation back and books what was spent, on the day of `now_us`.
  void settle(std::int64_t reserved, std::int64_t spent, std::int64_t now_us);

  /// Until the limit that bites is lifted by a new day or month.
  std::int64_t wait_us(std::int64_t microusd, std::int64_t now_us) const;

  bool limited() const { return limits_.day_microusd > 0 || limits_.month_microusd > 0; }

  std::int64_t spent_day(std::int64_t now_us);
  std::int64_t spent_month(std::int64_t now_us);

  std::int64_t reserved() const { return reserved_; }

 private:
  void turn(std::int64_t now_us);

  Limits limits_;
  std::int64_t day_ = 0, month_ = 0;  // that the sums are of
  std::int64_t spent_day_ = 0, spent_month_ = 0;
  std::int64_t reserved_ = 0;
};

}  // namespace http
