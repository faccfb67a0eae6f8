#include "http/limits.h"

#include <algorithm>
#include <chrono>

namespace http {

namespace {

constexpr std::int64_t kMinuteUs = 60'000'000;
constexpr std::int64_t kDayUs = 86'400'000'000;

std::int64_t month_start_day(std::int64_t month) {
  const std::chrono::year_month_day first(std::chrono::year(static_cast<int>(month / 12)),
                                          std::chrono::month(static_cast<unsigned>(month % 12) + 1),
                                          std::chrono::day(1));
  return std::chrono::sys_days(first).time_since_epoch().count();
}

}  // namespace

void Bucket::refill(std::int64_t now_us) {
  // A clock that went back refills nothing and does not hold the bucket back later.
  const std::int64_t passed = std::clamp<std::int64_t>(now_us - seen_us_, 0, 2 * kMinuteUs);
  seen_us_ = now_us;
  level_ = std::min(full(), level_ + passed * per_minute_ / 60);
}

bool Bucket::take(std::int64_t amount, std::int64_t now_us) {
  if (per_minute_ == 0) return true;
  refill(now_us);
  if (amount > per_minute_ || level_ < amount * kScale) return false;
  level_ -= amount * kScale;
  return true;
}

void Bucket::settle(std::int64_t difference, std::int64_t now_us) {
  if (per_minute_ == 0) return;
  refill(now_us);
  const std::int64_t most = 60 * per_minute_;  // an hour's worth of debt is enough
  level_ = std::clamp(level_ - std::clamp(difference, -most, most) * kScale, -60 * full(), full());
}

std::int64_t Bucket::remaining(std::int64_t now_us) {
  if (per_minute_ == 0) return 0;
  refill(now_us);
  return std::max<std::int64_t>(0, level_) / kScale;
}

std::int64_t Bucket::reset_us(std::int64_t now_us) {
  if (per_minute_ == 0) return 0;
  refill(now_us);
  return (full() - level_) / per_minute_ * 60;
}

std::int64_t Bucket::wait_us(std::int64_t amount, std::int64_t now_us) {
  if (per_minute_ == 0) return 0;
  if (amount > per_minute_) return -1;
  refill(now_us);
  const std::int64_t lacking = amount * kScale - level_;
  return lacking <= 0 ? 0 : (lacking * 60 + per_minute_ - 1) / per_minute_;
}

std::int64_t day_of(std::int64_t unix_us) {
  return unix_us >= 0 ? unix_us / kDayUs : -1;
}

std::int64_t month_of_day(std::int64_t day) {
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days(day)}};
  return 12 * static_cast<int>(date.year()) + static_cast<unsigned>(date.month()) - 1;
}

void Purse::turn(std::int64_t now_us) {
  const std::int64_t day = std::max(day_, day_of(now_us));  // a clock that went back gives no money
  const std::int64_t month = month_of_day(day);
  if (day != day_) spent_day_ = 0;
  if (month != month_) spent_month_ = 0;
  day_ = day;
  month_ = month;
}

void Purse::load(std::int64_t day, std::int64_t microusd) {
  turn(day * kDayUs);
  if (day == day_) spent_day_ += microusd;
  if (month_of_day(day) == month_) spent_month_ += microusd;
}

bool Purse::reserve(std::int64_t microusd, std::int64_t now_us) {
  turn(now_us);
  const auto fits = [&](std::int64_t limit, std::int64_t spent) {
    return limit == 0 || spent + reserved_ + microusd <= limit;
  };
  if (!fits(limits_.day_microusd, spent_day_) || !fits(limits_.month_microusd, spent_month_))
    return false;
  reserved_ += microusd;
  return true;
}

void Purse::settle(std::int64_t reserved, std::int64_t spent, std::int64_t now_us) {
  turn(now_us);
  reserved_ -= reserved;
  spent_day_ += spent;
  spent_month_ += spent;
}

std::int64_t Purse::wait_us(std::int64_t microusd, std::int64_t now_us) const {
  const bool month_bites =
      limits_.month_microusd > 0 && spent_month_ + reserved_ + microusd > limits_.month_microusd;
  const std::int64_t next = month_bites ? month_start_day(month_ + 1) : day_ + 1;
  return std::max<std::int64_t>(0, next * kDayUs - now_us);
}

std::int64_t Purse::spent_day(std::int64_t now_us) {
  turn(now_us);
  return spent_day_;
}

std::int64_t Purse::spent_month(std::int64_t now_us) {
  turn(now_us);
  return spent_month_;
}

}  // namespace http
