// Bytes of an event stream, cut into pieces by the input itself: what the client gets must not
// depend on where the pieces end, and must be whole events of valid JSON.
#include <cstdlib>

#include "experts/events.h"

namespace {

struct Result {
  experts::StreamState state = experts::StreamState::open;
  std::string out;
};

Result read(std::string_view bytes, std::size_t size) {
  simdjson::ondemand::parser parser;
  experts::Reply reply;
  experts::StreamOptions options;
  options.name_json = "\"one\"";
  options.text_wanted = true;
  experts::EventReader events(parser, options, reply);
  Result result;
  std::string pending;
  while (result.state == experts::StreamState::open && !bytes.empty()) {
    pending.append(bytes.substr(0, size));
    bytes.remove_prefix(std::min(size, bytes.size()));
    result.state = events.read(pending, result.out);
  }
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size < 1 || size > 8192) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Result whole = read(bytes, bytes.size() + 1);
  const Result pieces = read(bytes, 1 + data[0] % 16);
  if (whole.state != pieces.state || whole.out != pieces.out) std::abort();
  if (!whole.out.empty() && !whole.out.ends_with("\n\n")) std::abort();
  // What we wrote, read again, is the same: the model is ours already.
  const Result again = read(whole.out, whole.out.size() + 1);
  if (again.out != whole.out) std::abort();
  return 0;
}
