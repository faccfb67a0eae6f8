#include "experts/moe/routing_trace.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <ostream>
#include <stdexcept>
#include <string>
#include <utility>

namespace moe {

namespace {

constexpr std::string_view kTraceMagic = "SKTRACE1";
constexpr std::uint32_t kLayersMax = 4096;
constexpr std::uint32_t kExpertsMax = 65535;
constexpr std::size_t kPickBytes = 4;

template <class T>
void put(std::vector<std::byte>& bytes, T value) {
  const auto* raw = reinterpret_cast<const std::byte*>(&value);
  bytes.insert(bytes.end(), raw, raw + sizeof value);
}

std::uint16_t packed(float weight) {
  const float units = weight / kTraceWeightUnit + 0.5f;
  return static_cast<std::uint16_t>(std::clamp(units, 0.0f, 65535.0f));
}

}  // namespace

TraceShape TraceShape::of(const Config& config) {
  return {static_cast<std::uint32_t>(config.layers), static_cast<std::uint32_t>(config.experts)};
}

RoutingTrace::RoutingTrace(TraceShape shape, std::size_t bytes_max)
    : shape_(shape), bytes_max_(bytes_max) {}

void RoutingTrace::record(std::span<const BatchRow> rows, std::span<const std::uint32_t> sequences,
                          const std::vector<LayerRoute>& routes) {
  std::vector<std::byte> bytes;
  // The bytes of the oldest step are used again once the memory is full.
  while (!steps_.empty() && bytes_ > bytes_max_) {
    bytes_ -= steps_.front().size();
    bytes = std::move(steps_.front());
    steps_.pop_front();
    ++dropped_;
  }
  bytes.clear();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    put(bytes, step_);
    put(bytes, sequences[i]);
    put(bytes, static_cast<std::uint32_t>(rows[i].position));
    put(bytes, static_cast<std::uint32_t>(rows[i].token));
    auto route = routes.begin();
    for (std::uint32_t layer = 0; layer < shape_.layers; ++layer) {
      if (route == routes.end() || route->layer != static_cast<int>(layer)) {
        put(bytes, std::uint8_t{0});  // dense
        continue;
      }
      const auto picks =
          std::span(route->picks).subspan(route->first[i], route->first[i + 1] - route->first[i]);
      const std::size_t count = std::min<std::size_t>(picks.size(), 255);
      put(bytes, static_cast<std::uint8_t>(count));
      for (const Pick& pick : picks.first(count)) {
        put(bytes, static_cast<std::uint16_t>(pick.expert));
        put(bytes, packed(pick.weight));
      }
      ++route;
    }
  }
  ++step_;
  bytes_ += bytes.size();
  steps_.push_back(std::move(bytes));
}

std::vector<std::byte> RoutingTrace::take() {
  std::vector<std::byte> all;
  all.reserve(bytes_);
  for (const auto& step : steps_) all.insert(all.end(), step.begin(), step.end());
  steps_.clear();
  bytes_ = 0;
  return all;
}

void write_trace_header(TraceShape shape, std::ostream& out) {
  out.write(kTraceMagic.data(), static_cast<std::streamsize>(kTraceMagic.size()));
  out.write(reinterpret_cast<const char*>(&shape.layers), sizeof shape.layers);
  out.write(reinterpret_cast<const char*>(&shape.experts), sizeof shape.experts);
}

namespace {

/// Bounds-checked reading; the file is not trusted.
class TraceReader {
 public:
  TraceReader(std::span<const std::byte> bytes, const std::string& name)
      : bytes_(bytes), name_(name) {}

  Trace run() {
    if (bytes_.size() < kTraceMagic.size() ||
        std::memcmp(bytes_.data(), kTraceMagic.data(), kTraceMagic.size()) != 0) {
      refuse("is no routing trace");
    }
    at_ = kTraceMagic.size();
    Trace trace;
    trace.shape.layers = take<std::uint32_t>();
    trace.shape.experts = take<std::uint32_t>();
    if (trace.shape.layers == 0 || trace.shape.layers > kLayersMax || trace.shape.experts == 0 ||
        trace.shape.experts > kExpertsMax) {
      refuse("has an impossible number of layers or experts");
    }
    while (at_ < bytes_.size()) trace.rows.push_back(row(trace.shape));
    return trace;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw std::runtime_error("trace " + name_ + " " + what + " (at byte " + std::to_string(at_) +
                             ")");
  }

  template <class T>
  T take() {
    if (bytes_.size() - at_ < sizeof(T)) refuse("is cut short");
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }

  TraceRow row(TraceShape shape) {
    TraceRow row;
    row.step = take<std::uint32_t>();
    row.sequence = take<std::uint32_t>();
    row.position = take<std::uint32_t>();
    row.token = take<std::uint32_t>();
    row.first.push_back(0);
    for (std::uint32_t layer = 0; layer < shape.layers; ++layer) {
      const std::size_t count = take<std::uint8_t>();
      if (bytes_.size() - at_ < count * kPickBytes) refuse("is cut short");
      for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t expert = take<std::uint16_t>();
        if (expert >= shape.experts) refuse("names expert " + std::to_string(expert));
        row.picks.push_back({expert, take<std::uint16_t>() * kTraceWeightUnit});
      }
      row.first.push_back(static_cast<std::uint32_t>(row.picks.size()));
    }
    return row;
  }

  std::span<const std::byte> bytes_;
  const std::string& name_;
  std::size_t at_ = 0;
};

}  // namespace

Trace Trace::parse(std::span<const std::byte> bytes, const std::string& name) {
  return TraceReader(bytes, name).run();
}

Trace Trace::read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("trace " + path.string() + " cannot be read");
  const std::vector<char> chars{std::istreambuf_iterator<char>(file), {}};
  return parse(std::as_bytes(std::span(chars)), path.string());
}

}  // namespace moe
