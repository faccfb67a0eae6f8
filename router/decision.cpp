#include "router/decision.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace router {

namespace {

static_assert(std::endian::native == std::endian::little, "the log's byte order is little-endian");

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kSkillsMax = 255;
constexpr std::size_t kCandidatesMax = 4096;

constexpr std::size_t kFixedBytes = 4 + 3 * sizeof(float) + sizeof(std::uint64_t);
constexpr std::size_t kNameBytesMax = 255;
constexpr std::size_t kTermBytes = 8 * sizeof(float);

/// Writes forward into bytes that are known to suffice.
struct RecordPen {
  char* at;

  template <typename T>
  void put(T value) {
    std::memcpy(at, &value, sizeof value);
    at += sizeof value;
  }

  void put_name(std::string_view name) {
    const auto length = std::min(name.size(), kNameBytesMax);
    put(static_cast<std::uint8_t>(length));
    std::memcpy(at, name.data(), length);
    at += length;
  }
};

std::size_t bytes_of_name(std::string_view name) {
  return 1 + std::min(name.size(), kNameBytesMax);
}

/// Reads forward; after the first overrun every read gives zero and ok is false.
struct Cursor {
  std::string_view bytes;
  bool ok = true;

  template <typename T>
  T take() {
    T value{};
    if (bytes.size() < sizeof value) {
      ok = false;
      return value;
    }
    std::memcpy(&value, bytes.data(), sizeof value);
    bytes.remove_prefix(sizeof value);
    return value;
  }

  std::string take_name() {
    const auto length = take<std::uint8_t>();
    if (bytes.size() < length) {
      ok = false;
      return {};
    }
    std::string name(bytes.substr(0, length));
    bytes.remove_prefix(length);
    return name;
  }
};

}  // namespace

void encode_route(const Route& route, const NameOf& skill_name, const NameOf& expert_name,
                  std::string& out) {
  const auto skills = std::min(route.skills.size(), kSkillsMax);
  const auto candidates = std::min(route.candidates.size(), kCandidatesMax);
  std::size_t bytes = kFixedBytes + 1 + 2;
  for (std::size_t i = 0; i < skills; ++i)
    bytes += bytes_of_name(skill_name(route.skills[i].skill)) + sizeof(float);
  for (std::size_t i = 0; i < candidates; ++i)
    bytes += bytes_of_name(expert_name(route.candidates[i].expert)) + 1 + kTermBytes;
  const std::size_t before = out.size();
  out.resize(before + bytes);
  RecordPen pen{out.data() + before};
  pen.put(kVersion);
  pen.put(static_cast<std::uint8_t>(route.reason));
  pen.put(static_cast<std::uint8_t>((route.abstained ? 1 : 0) | (route.outside ? 2 : 0) |
                                    (route.with_vector ? 4 : 0)));
  pen.put(static_cast<std::uint8_t>(std::min<std::uint32_t>(route.k, 255)));
  pen.put(route.gain_lo);
  pen.put(route.general);
  pen.put(route.propensity);
  pen.put(route.features_hash);
  pen.put(static_cast<std::uint8_t>(skills));
  for (std::size_t i = 0; i < skills; ++i) {
    pen.put_name(skill_name(route.skills[i].skill));
    pen.put(route.skills[i].share);
  }
  pen.put(static_cast<std::uint16_t>(candidates));
  for (std::size_t i = 0; i < candidates; ++i) {
    const auto& c = route.candidates[i];
    pen.put_name(expert_name(c.expert));
    pen.put(static_cast<std::uint8_t>(c.bar));
    for (const float term : {c.p_correct, c.p_lo, c.p_hi, c.utility, c.cost_microusd, c.skill_term,
                             c.word_term, c.support}) {
      pen.put(term);
    }
  }
}

std::optional<LoggedRoute> decode_route(std::string_view bytes) {
  Cursor in{bytes};
  if (in.take<std::uint8_t>() != kVersion) return std::nullopt;
  LoggedRoute logged;
  auto& route = logged.route;
  const auto reason = in.take<std::uint8_t>();
  if (reason > static_cast<std::uint8_t>(Reason::outside)) return std::nullopt;
  route.reason = static_cast<Reason>(reason);
  const auto flags = in.take<std::uint8_t>();
  route.abstained = (flags & 1) != 0;
  route.outside = (flags & 2) != 0;
  route.with_vector = (flags & 4) != 0;
  route.k = in.take<std::uint8_t>();
  route.gain_lo = in.take<float>();
  route.general = in.take<float>();
  route.propensity = in.take<float>();
  route.features_hash = in.take<std::uint64_t>();
  const auto skills = in.take<std::uint8_t>();
  for (std::uint32_t i = 0; in.ok && i < skills; ++i) {
    logged.skills.push_back(in.take_name());
    route.skills.push_back({.skill = i, .share = in.take<float>()});
  }
  const auto candidates = in.take<std::uint16_t>();
  for (std::uint32_t i = 0; in.ok && i < candidates; ++i) {
    logged.experts.push_back(in.take_name());
    const auto bar = in.take<std::uint8_t>();
    if (bar > static_cast<std::uint8_t>(Bar::shadow)) return std::nullopt;
    float t[8];
    for (auto& term : t) term = in.take<float>();
    route.candidates.push_back({.expert = i,
                                .p_correct = t[0],
                                .p_lo = t[1],
                                .p_hi = t[2],
                                .utility = t[3],
                                .cost_microusd = t[4],
                                .skill_term = t[5],
                                .word_term = t[6],
                                .support = t[7],
                                .bar = static_cast<Bar>(bar)});
  }
  if (!in.ok || !in.bytes.empty()) return std::nullopt;
  return logged;
}

std::string_view name_of(Bar bar) {
  switch (bar) {
    case Bar::none:
      return "none";
    case Bar::absent:
      return "absent";
    case Bar::unhealthy:
      return "unhealthy";
    case Bar::context:
      return "context";
    case Bar::capability:
      return "capability";
    case Bar::cost:
      return "cost";
    case Bar::latency:
      return "latency";
    case Bar::pool:
      return "pool";
    case Bar::disabled:
      return "disabled";
    case Bar::shadow:
      return "shadow";
  }
  return "unknown";
}

std::string_view name_of(Reason reason) {
  switch (reason) {
    case Reason::learned:
      return "learned";
    case Reason::guarded:
      return "guarded";
    case Reason::declared:
      return "declared";
    case Reason::fallback:
      return "fallback";
    case Reason::asked:
      return "asked";
    case Reason::only_one:
      return "only_one";
    case Reason::explored:
      return "explored";
    case Reason::nobody:
      return "nobody";
    case Reason::outside:
      return "outside";
  }
  return "unknown";
}

}  // namespace router
