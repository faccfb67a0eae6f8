#include "store/calls_blob.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

#include "tests/store/rows.h"

namespace {

using store::CallRow;
using store::decode_calls;
using store::encode_calls;

std::vector<CallRow> some_calls() {
  std::vector<CallRow> calls = store_test::decision(3).calls;
  constexpr auto kLow = std::numeric_limits<std::int64_t>::min();
  constexpr auto kHigh = std::numeric_limits<std::int64_t>::max();
  calls.push_back({.expert = std::string(300, 'e'),
                   .outcome = std::string("zero\0inside", 11),
                   .status = std::numeric_limits<std::int32_t>::min(),
                   .attempts = std::numeric_limits<std::int32_t>::max(),
                   .prompt_tokens = kLow,
                   .completion_tokens = kHigh,
                   .cost_microusd = kHigh,
                   .first_byte_us = kLow});
  return calls;
}

std::string with_checksum(std::string body) {
  const std::uint32_t checksum = store::checksum_of(body);
  for (int i = 0; i < 4; ++i) body.push_back(static_cast<char>(checksum >> (8 * i)));
  return body;
}

TEST(CallsBlob, RoundTrip) {
  std::string bytes;
  for (const auto& calls : {std::vector<CallRow>{}, some_calls()}) {
    std::vector<CallRow> back = {{.expert = "left over"}};
    encode_calls(calls, bytes);
    ASSERT_TRUE(decode_calls(bytes, back));
    EXPECT_EQ(back, calls);
  }
}

TEST(CallsBlob, OrdinaryCallIsSmall) {
  std::string bytes;
  encode_calls({store_test::decision(1).calls[1]}, bytes);
  EXPECT_LT(bytes.size(), 48u);
}

TEST(CallsBlob, EveryCutAndEveryFlippedBitIsSeen) {
  std::string bytes;
  encode_calls(some_calls(), bytes);
  std::vector<CallRow> back;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_calls(std::string_view(bytes).substr(0, size), back)) << size;
    EXPECT_TRUE(back.empty());
  }
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(decode_calls(flipped, back)) << bit;
  }
  EXPECT_FALSE(decode_calls(bytes + '\0', back));
}

// Bytes whose checksum is right and whose content lies: what a checksum cannot catch.
TEST(CallsBlob, ReadsTheVersionWithoutVotes) {
  const std::string call =
      std::string("\1a\2ok") + "\x90\x03" + std::string("\2\1", 2) + std::string(7, '\2');
  std::vector<CallRow> back;
  ASSERT_TRUE(decode_calls(with_checksum(std::string("\1\1", 2) + call), back));
  ASSERT_EQ(back.size(), 1u);
  EXPECT_EQ(back[0], (CallRow{.expert = "a",
                              .outcome = "ok",
                              .status = 200,
                              .attempts = 1,
                              .usage_known = true,
                              .prompt_tokens = 1,
                              .completion_tokens = 1,
                              .cached_tokens = 1,
                              .cost_microusd = 1,
                              .queued_us = 1,
                              .first_byte_us = 1,
                              .total_us = 1}));
}

TEST(CallsBlob, RightChecksumOverWrongContentIsSeen) {
  std::vector<CallRow> back;
  const std::string one(1, '\1');
  EXPECT_TRUE(decode_calls(with_checksum(one + '\0'), back));
  EXPECT_FALSE(decode_calls(with_checksum(one + '\1'), back)) << "a call is promised, none follows";
  EXPECT_FALSE(decode_calls(with_checksum(std::string("\3\0", 2)), back)) << "a later version";
  EXPECT_FALSE(decode_calls(with_checksum(one + "\xff\xff\xff\xff\x7f"), back)) << "too many calls";
  const std::string endless = std::string(10, '\xff') + '\1';
  EXPECT_FALSE(decode_calls(with_checksum(one + '\1' + endless), back)) << "a text beyond the end";
  EXPECT_FALSE(decode_calls(with_checksum(one + '\0' + 'x'), back)) << "something follows";
}

}  // namespace
