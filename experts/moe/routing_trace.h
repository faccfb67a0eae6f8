// Which experts the rows of past steps were sent to: a bounded memory of the newest, and a file.
//
// The file: a header, then rows in the order they were computed. Little-endian.
//
//     "SKTRACE1"  u32 layers  u32 experts         layers: all of the model's, dense ones included
//     row:  u32 step  u32 sequence  u32 position  u32 token
//           per layer u8 count, then per pick u16 expert, u16 weight
//
// A weight is min(65535, round(8192 * weight)). Rows of one step were computed together. A trace
// tells what was said (token ids): keep it as you would keep the text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <iosfwd>
#include <span>
#include <string>
#include <vector>

#include "experts/moe/forward.h"

namespace moe {

constexpr float kTraceWeightUnit = 1.0f / 8192;

struct TraceShape {
  std::uint32_t layers = 0, experts = 0;

  static TraceShape of(const Config& config);
};

/// Rows in file form; not thread-safe.
class RoutingTrace {
 public:
  /// Keeps at most `bytes_max`, the newest.
  RoutingTrace(TraceShape shape, std::size_t bytes_max);

  /// One step; `sequences` [rows] names the sequence of each row.
  void record(std::span<const BatchRow> rows, std::span<const std::uint32_t> sequences,
              const std::vector<LayerRoute>& routes);

  /// Takes out what is there, whole steps, oldest first.
  std::vector<std::byte> take();

  std::uint64_t steps_dropped() const { return dropped_; }

 private:
  TraceShape shape_;
  std::size_t bytes_max_, bytes_ = 0;
  std::uint32_t step_ = 0;
  std::uint64_t dropped_ = 0;
  std::deque<std::vector<std::byte>> steps_;
};

void write_trace_header(TraceShape shape, std::ostream& out);

/// One row of a trace that was read.
struct TraceRow {
  std::uint32_t step = 0, sequence = 0, position = 0, token = 0;
  std::vector<std::uint32_t> first;  // [layers + 1] into picks
  std::vector<Pick> picks;
};

struct Trace {
  TraceShape shape;
  std::vector<TraceRow> rows;

  /// Throws std::runtime_error for bytes that are no trace; `name` is for the message.
  static Trace parse(std::span<const std::byte> bytes, const std::string& name);

  static Trace read(const std::filesystem::path& path);
};

}  // namespace moe
