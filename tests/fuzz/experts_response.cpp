// Bytes of an HTTP response, cut into pieces by the input itself: the parser must neither crash nor
// depend on where the pieces end.
#include <cstdlib>

#include "experts/response_parser.h"

namespace {

using experts::ResponseParser;

struct Result {
  ResponseParser::Fed fed = ResponseParser::Fed::more;
  std::string body;
  int status = 0;
};

/// Feeds pieces of `size` bytes the way the socket transport does: what was not taken comes again.
Result feed(std::string_view bytes, std::size_t size) {
  ResponseParser parser(1 << 16);
  Result result;
  std::string unread;
  while (result.fed == ResponseParser::Fed::more && !bytes.empty()) {
    unread.append(bytes.substr(0, size));
    bytes.remove_prefix(std::min(size, bytes.size()));
    std::size_t taken = 0;
    result.fed = parser.feed(unread, taken, result.body);
    if (taken > unread.size()) std::abort();
    unread.erase(0, taken);
  }
  if (result.fed == ResponseParser::Fed::more) result.fed = parser.feed_end();
  result.status = parser.head.status;
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size < 1 || size > 8192) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Result whole = feed(bytes, bytes.size() + 1);
  const Result pieces = feed(bytes, 1 + data[0] % 16);
  const bool same_end =
      (whole.fed == ResponseParser::Fed::done) == (pieces.fed == ResponseParser::Fed::done);
  if (!same_end) std::abort();
  if (whole.fed == ResponseParser::Fed::done && whole.body != pieces.body) std::abort();
  return 0;
}
