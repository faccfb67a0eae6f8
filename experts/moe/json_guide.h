// Keeps a reply inside JSON, or inside a JSON of a given shape, byte by byte while it is made
// (RFC 8259; the idea: Willard & Louf 2023, arXiv 2307.09702).
//
// The shape is what OpenAI's strict structured outputs can say: objects with named properties in
// the order given and no others, arrays, scalars, enumerations, alternatives. Between tokens at
// most kSpaceRunMax bytes of white space, because models fill a reply with it. Belongs to one
// reply; not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace moe {

constexpr std::size_t kSpaceRunMax = 16;
constexpr std::size_t kJsonDepthMax = 64;
constexpr std::size_t kJsonThreadsMax = 256;  // alternatives that still fit

struct JsonProperty {
  std::string name;  // as in the JSON text, without quotes, escapes kept
  bool required = true;
};

struct JsonShape {
  enum class Kind : std::uint8_t {
    any,
    object,  // with `properties`, items[i] the shape of the i-th; without: any members
    array,   // of items[0]; without: of anything
    string,
    number,
    integer,
    literal,  // exactly one of `literals`, as JSON texts
    any_of,   // one of `items`
  };

  Kind kind = Kind::any;
  std::vector<JsonProperty> properties{};
  std::vector<JsonShape> items{};
  std::vector<std::string> literals{};
  std::size_t items_min = 0;
  std::size_t items_max = SIZE_MAX;

  void add_property(std::string name, JsonShape shape, bool required = true) {
    properties.push_back({std::move(name), required});
    items.push_back(std::move(shape));
  }
};

class JsonGuide {
 public:
  /// Throws std::invalid_argument for a shape that nothing fits or whose parts differ in number, or
  /// with more than kJsonThreadsMax alternatives or kJsonDepthMax levels.
  explicit JsonGuide(JsonShape shape);
  ~JsonGuide();
  JsonGuide(JsonGuide&&) noexcept;

  /// Could `bytes` come next? An empty text cannot.
  bool accepts(std::string_view bytes) const;

  /// Bytes that accepts() refuses leave no way on.
  void take(std::string_view bytes);

  /// The text so far is a whole value of the shape.
  bool complete() const;

  /// ... and nothing but white space could follow.
  bool finished() const;

 private:
  class Stepper;
  struct Frame;
  struct Thread;
  using Threads = std::vector<Thread>;

  static Threads run(const Threads& threads, std::string_view bytes);

  std::unique_ptr<const JsonShape> shape_;  // frames point into it
  std::unique_ptr<Threads> threads_;
};

}  // namespace moe
