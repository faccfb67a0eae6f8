#include "experts/moe/json_guide.h"

#include <algorithm>
#include <stdexcept>

namespace moe {
namespace {

using Kind = JsonShape::Kind;

bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

void check_shape(const JsonShape& shape, std::size_t depth) {
  if (depth > kJsonDepthMax) throw std::invalid_argument("a JSON shape nested too deep");
  if (shape.literals.size() > kJsonThreadsMax || shape.items.size() > kJsonThreadsMax) {
    throw std::invalid_argument("a JSON shape with too many alternatives");
  }
  if (shape.kind == Kind::object && shape.properties.size() != shape.items.size()) {
    throw std::invalid_argument("a JSON shape whose properties and items differ in number");
  }
  const bool empty = (shape.kind == Kind::any_of && shape.items.empty()) ||
                     (shape.kind == Kind::literal && shape.literals.empty());
  if (empty) throw std::invalid_argument("a JSON shape with nothing to choose from");
  for (const JsonShape& item : shape.items) check_shape(item, depth + 1);
}

const JsonShape& any_shape() {
  static const JsonShape shape;
  return shape;
}

// Where a number is: RFC 8259 section 6.
enum class Number : std::uint8_t { sign, zero, whole, point, fraction, e, e_sign, exponent };

bool may_end(Number n) {
  return n == Number::zero || n == Number::whole || n == Number::fraction || n == Number::exponent;
}

bool advance(Number& n, char c, bool integer) {
  const bool digit = is_digit(c);
  const bool e = !integer && (c == 'e' || c == 'E');
  switch (n) {
    case Number::sign:
      n = c == '0' ? Number::zero : Number::whole;
      return digit;
    case Number::zero:
    case Number::whole:
      if (digit && n == Number::whole) return true;
      n = c == '.' ? Number::point : Number::e;
      return (c == '.' && !integer) || e;
    case Number::point:
      n = Number::fraction;
      return digit;
    case Number::fraction:
      if (digit) return true;
      n = Number::e;
      return e;
    case Number::e:
      n = digit ? Number::exponent : Number::e_sign;
      return digit || c == '+' || c == '-';
    case Number::e_sign:
    case Number::exponent:
      n = Number::exponent;
      return digit;
  }
  return false;
}

}  // namespace

/// What is open. The bottom one is `value`; a frame that is done goes, and its parent goes on.
struct JsonGuide::Frame {
  enum class Place : std::uint8_t {
    value,         // of `shape`, not begun
    text,          // the rest of `literal`
    string,        // inside the quotes; `count`: 1 after a backslash, 2 to 5 in \uXXXX
    number,        // at `number`
    object_start,  // after {
    member,        // after a comma
    colon,         // after a key; the value is of `shape`'s property `count` - 1, or anything
    object_next,   // after a value
    array_start,   // after [
    array_next,    // after a value
  };
  Place place = Place::value;
  const JsonShape* shape = nullptr;
  std::string_view literal{};
  std::size_t count = 0;  // of items or properties so far
  Number number = Number::sign;
};

struct JsonGuide::Thread {
  std::vector<Frame> frames;  // empty: the value is whole
  std::size_t spaces = 0;     // white space since the last token
};

/// One byte for one thread: adds to `next` what the thread becomes; nothing when it ends there.
class JsonGuide::Stepper {
 public:
  Stepper(const Thread& thread, char byte, Threads& next)
      : byte_(byte), next_(next), rest_(thread) {
    rest_.spaces = 0;
    frame_ = rest_.frames.back();
    rest_.frames.pop_back();
  }

  static void step(const Thread& thread, char byte, Threads& next) {
    const Place place = thread.frames.empty() ? Place::value : thread.frames.back().place;
    if (is_space(byte) && place != Place::string && place != Place::text) {
      step_space(thread, next);
    } else if (!thread.frames.empty()) {
      Stepper(thread, byte, next).run(place);
    }
  }

 private:
  using Place = Frame::Place;

  static void step_space(Thread thread, Threads& next) {
    if (!thread.frames.empty() && thread.frames.back().place == Place::number) {
      if (!may_end(thread.frames.back().number)) return;
      thread.frames.pop_back();
    }
    if (++thread.spaces <= kSpaceRunMax) next.push_back(std::move(thread));
  }

  void run(Place place) {
    switch (place) {
      case Place::value:
        return value();
      case Place::text:
        return text();
      case Place::string:
        return string();
      case Place::number:
        return number();
      case Place::object_start:
        if (byte_ == '}' && object_may_end()) add(rest_);
        return key();
      case Place::member:
        return key();
      case Place::colon:
        return colon();
      case Place::object_next:
        return object_next();
      case Place::array_start:
      case Place::array_next:
        return array(place == Place::array_start);
    }
  }

  void value() {
    const JsonShape& shape = *frame_.shape;
    const bool any = shape.kind == Kind::any;
    const bool digit = is_digit(byte_);
    if (shape.kind == Kind::any_of) {
      for (const JsonShape& option : shape.items) {
        step(with(Frame{.place = Place::value, .shape = &option}), byte_, next_);
      }
    } else if (byte_ == '{' && (any || shape.kind == Kind::object)) {
      add(with(Frame{.place = Place::object_start, .shape = &shape}));
    } else if (byte_ == '[' && (any || shape.kind == Kind::array)) {
      add(with(Frame{.place = Place::array_start, .shape = &shape}));
    } else if (byte_ == '"' && (any || shape.kind == Kind::string)) {
      add(with(Frame{.place = Place::string}));
    } else if ((byte_ == '-' || digit) &&
               (any || shape.kind == Kind::number || shape.kind == Kind::integer)) {
      const Number begun = !digit ? Number::sign : byte_ == '0' ? Number::zero : Number::whole;
      add(with(Frame{.place = Place::number, .shape = &shape, .number = begun}));
    } else if (any) {
      for (const std::string_view word : {"true", "false", "null"}) begin_literal(word);
    } else if (shape.kind == Kind::literal) {
      for (const std::string& word : shape.literals) begin_literal(word);
    }
  }

  void begin_literal(std::string_view word) {
    if (word.empty() || word[0] != byte_) return;
    add(word.size() == 1 ? rest_ : with(Frame{.place = Place::text, .literal = word.substr(1)}));
  }

  // The rest of a literal; of a key (with a shape) the rest of its name and then the quote.
  void text() {
    const bool key = frame_.shape != nullptr;
    if (frame_.literal.empty()) {
      if (byte_ == '"') add(rest_);
    } else if (frame_.literal[0] == byte_) {
      frame_.literal.remove_prefix(1);
      add(frame_.literal.empty() && !key ? rest_ : with(frame_));
    }
  }

  void string() {
    if (frame_.count == 0) {
      if (byte_ == '"') return add(rest_);
      if (static_cast<unsigned char>(byte_) < 0x20) return;
      frame_.count = byte_ == '\\' ? 1 : 0;
    } else if (frame_.count == 1) {
      if (std::string_view("\"\\/bfnrtu").find(byte_) == std::string_view::npos) return;
      frame_.count = byte_ == 'u' ? 2 : 0;
    } else {
      if (!is_hex(byte_)) return;
      frame_.count = frame_.count == 5 ? 0 : frame_.count + 1;
    }
    add(with(frame_));
  }

  void number() {
    Number advanced = frame_.number;
    if (advance(advanced, byte_, frame_.shape->kind == Kind::integer)) {
      frame_.number = advanced;
      add(with(frame_));
    } else if (may_end(frame_.number)) {
      step(rest_, byte_, next_);
    }
  }

  // Any of the next properties, up to the first that may not be left out; or any name at all.
  void key() {
    if (byte_ != '"') return;
    const auto& properties = frame_.shape->properties;
    frame_.place = Place::colon;
    if (properties.empty()) return add(with(frame_, Frame{.place = Place::string}));
    for (std::size_t i = frame_.count; i < properties.size(); ++i) {
      frame_.count = i + 1;
      add(with(frame_, Frame{.place = Place::text,
                             .shape = &frame_.shape->items[i],
                             .literal = properties[i].name}));
      if (properties[i].required) return;
    }
  }

  void colon() {
    if (byte_ != ':') return;
    const auto& properties = frame_.shape->properties;
    const JsonShape& shape =
        properties.empty() ? any_shape() : frame_.shape->items[frame_.count - 1];
    frame_.place = Place::object_next;
    add(with(frame_, Frame{.place = Place::value, .shape = &shape}));
  }

  void object_next() {
    const auto& properties = frame_.shape->properties;
    if (byte_ == '}' && object_may_end()) return add(rest_);
    if (byte_ != ',' || (!properties.empty() && frame_.count >= properties.size())) return;
    frame_.place = Place::member;
    add(with(frame_));
  }

  bool object_may_end() const {
    const auto& properties = frame_.shape->properties;
    for (std::size_t i = frame_.count; i < properties.size(); ++i) {
      if (properties[i].required) return false;
    }
    return true;
  }

  void array(bool first) {
    const JsonShape& array = *frame_.shape;
    if (byte_ == ']') {
      if (frame_.count >= array.items_min) add(rest_);
      return;
    }
    if (frame_.count >= array.items_max || (!first && byte_ != ',')) return;
    frame_.place = Place::array_next;
    ++frame_.count;
    const JsonShape& shape = array.items.empty() ? any_shape() : array.items[0];
    Thread item = with(frame_, Frame{.place = Place::value, .shape = &shape});
    if (first) {
      step(item, byte_, next_);
    } else {
      add(std::move(item));
    }
  }

  template <class... Frames>
  Thread with(Frames... frames) const {
    Thread thread = rest_;
    (thread.frames.push_back(frames), ...);
    return thread;
  }

  void add(Thread thread) {
    if (next_.size() < kJsonThreadsMax && thread.frames.size() <= kJsonDepthMax) {
      next_.push_back(std::move(thread));
    }
  }

  char byte_;
  Threads& next_;
  Thread rest_;  // without its last frame, which is:
  Frame frame_;
};

JsonGuide::Threads JsonGuide::run(const Threads& threads, std::string_view bytes) {
  Threads now = threads;
  for (const char byte : bytes) {
    Threads next;
    for (const Thread& thread : now) Stepper::step(thread, byte, next);
    now = std::move(next);
    if (now.empty()) break;
  }
  return now;
}

JsonGuide::JsonGuide(JsonShape shape)
    : shape_(std::make_unique<JsonShape>(std::move(shape))), threads_(std::make_unique<Threads>()) {
  check_shape(*shape_, 0);
  threads_->push_back({{Frame{.place = Frame::Place::value, .shape = shape_.get()}}, 0});
}

JsonGuide::~JsonGuide() = default;
JsonGuide::JsonGuide(JsonGuide&&) noexcept = default;

bool JsonGuide::accepts(std::string_view bytes) const {
  return !bytes.empty() && !run(*threads_, bytes).empty();
}

void JsonGuide::take(std::string_view bytes) {
  *threads_ = run(*threads_, bytes);
}

bool JsonGuide::complete() const {
  return std::any_of(threads_->begin(), threads_->end(), [](const Thread& thread) {
    if (thread.frames.empty()) return true;
    const Frame& frame = thread.frames.back();
    return thread.frames.size() == 1 && frame.place == Frame::Place::number &&
           may_end(frame.number);
  });
}

bool JsonGuide::finished() const {
  return std::all_of(threads_->begin(), threads_->end(),
                     [](const Thread& thread) { return thread.frames.empty(); });
}

}  // namespace moe
