#include "store/calls_blob.h"

#include <algorithm>

namespace store {
namespace {

constexpr char kVersion = 2;
constexpr char kWithoutVotes = 1;  // files of earlier builds
constexpr std::size_t kChecksumBytes = 4;

void put_varint(std::string& bytes, std::uint64_t value) {
  while (value >= 0x80) {
    bytes.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  bytes.push_back(static_cast<char>(value));
}

void put_signed(std::string& bytes, std::int64_t value) {
  const auto raw = static_cast<std::uint64_t>(value);
  put_varint(bytes, (raw << 1) ^ static_cast<std::uint64_t>(value >> 63));
}

void put_text(std::string& bytes, std::string_view text) {
  put_varint(bytes, text.size());
  bytes.append(text);
}

/// Takes from the front of its bytes; after the first fault every answer is zero or empty.
class Scanner {
 public:
  explicit Scanner(std::string_view bytes) : rest_(bytes) {}

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return fault();
  }

  std::int64_t integer() {
    const std::uint64_t raw = varint();
    return static_cast<std::int64_t>((raw >> 1) ^ (0 - (raw & 1)));
  }

  std::int32_t small() {
    const std::int64_t value = integer();
    return value == static_cast<std::int32_t>(value) ? static_cast<std::int32_t>(value)
                                                     : static_cast<std::int32_t>(fault());
  }

  std::string text() {
    const std::uint64_t size = varint();
    if (size > rest_.size()) return fault(), std::string();
    std::string taken(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return taken;
  }

  bool whole() const { return good_ && rest_.empty(); }

  bool good() const { return good_; }

 private:
  std::uint64_t fault() {
    good_ = false;
    rest_ = {};
    return 0;
  }

  std::string_view rest_;
  bool good_ = true;
};

CallRow scan_call(Scanner& from, char version) {
  CallRow call;
  call.expert = from.text();
  call.outcome = from.text();
  call.status = from.small();
  call.attempts = from.small();
  call.usage_known = from.varint() != 0;
  call.prompt_tokens = from.integer();
  call.completion_tokens = from.integer();
  call.cached_tokens = from.integer();
  call.cost_microusd = from.integer();
  call.queued_us = from.integer();
  call.first_byte_us = from.integer();
  call.total_us = from.integer();
  if (version != kWithoutVotes) call.vote = from.text();
  return call;
}

void put_call(std::string& bytes, const CallRow& call) {
  put_text(bytes, call.expert);
  put_text(bytes, call.outcome);
  put_signed(bytes, call.status);
  put_signed(bytes, call.attempts);
  put_varint(bytes, call.usage_known ? 1 : 0);
  put_signed(bytes, call.prompt_tokens);
  put_signed(bytes, call.completion_tokens);
  put_signed(bytes, call.cached_tokens);
  put_signed(bytes, call.cost_microusd);
  put_signed(bytes, call.queued_us);
  put_signed(bytes, call.first_byte_us);
  put_signed(bytes, call.total_us);
  put_text(bytes, call.vote);
}

}  // namespace

std::uint32_t checksum_of(std::string_view bytes) {
  std::uint32_t hash = 2'166'136'261u;
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 16'777'619u;
  return hash;
}

void encode_calls(const std::vector<CallRow>& calls, std::string& bytes) {
  const std::size_t count = std::min(calls.size(), kCallsInBlobMax);
  bytes.clear();
  bytes.push_back(kVersion);
  put_varint(bytes, count);
  for (std::size_t i = 0; i < count; ++i) put_call(bytes, calls[i]);
  const std::uint32_t checksum = checksum_of(bytes);
  for (std::size_t i = 0; i < kChecksumBytes; ++i) {
    bytes.push_back(static_cast<char>(checksum >> (8 * i)));
  }
}

bool decode_calls(std::string_view bytes, std::vector<CallRow>& calls) {
  calls.clear();
  if (bytes.size() < 2 + kChecksumBytes) return false;
  const char version = bytes.front();
  if (version != kVersion && version != kWithoutVotes) return false;
  const std::string_view body = bytes.substr(0, bytes.size() - kChecksumBytes);
  std::uint32_t checksum = 0;
  for (std::size_t i = 0; i < kChecksumBytes; ++i) {
    checksum |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[body.size() + i]))
                << (8 * i);
  }
  if (checksum != checksum_of(body)) return false;
  Scanner from(body.substr(1));
  const std::uint64_t count = from.varint();
  if (count > kCallsInBlobMax) return false;
  for (std::uint64_t i = 0; i < count && from.good(); ++i)
    calls.push_back(scan_call(from, version));
  if (!from.whole()) calls.clear();
  return from.whole();
}

}  // namespace store
