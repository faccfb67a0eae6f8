// The HTTP request parser fed in pieces: whatever the bytes, it takes no more than it was given,
// its limits hold, and cutting the same bytes elsewhere gives the same requests.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "http/request_parser.h"

namespace {

void check(bool condition) {
  if (!condition) std::abort();
}

/// What the parser made of `bytes`, offered `step` more at a time.
std::string digest(const http::Options& options, std::string_view bytes, std::size_t step) {
  http::RequestParser parser(options);
  http::Request request;
  std::string seen;
  parser.start(request);
  std::size_t begin = 0;
  for (std::size_t end = 0; end < bytes.size();) {
    end = std::min(bytes.size(), end + step);
    for (;;) {
      const std::size_t taken = parser.feed(bytes.substr(begin, end - begin));
      check(taken <= end - begin);
      begin += taken;
      check(request.body.size() <= options.body_bytes_max);
      check(request.target.size() <= options.target_bytes_max);
      if (parser.problem())
        return seen + "!" + std::to_string(static_cast<int>(parser.problem()->fault));
      if (!parser.done()) break;
      seen += request.target + "|" + request.content_type + "|" + request.body + "\n";
      parser.start(request);
      if (taken == 0 || begin == end) break;
    }
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  http::Options options;
  options.header_bytes_max = 512;
  options.target_bytes_max = 64;
  options.fields_max = 8;
  options.body_bytes_max = 256;
  const std::size_t step = 1 + data[0] % 32;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string whole = digest(options, bytes, bytes.size() + 1);
  const std::string pieces = digest(options, bytes, step);
  // A fault may be met later in pieces, or not at all when the input ends before it; never a
  // different request.
  const std::string_view requests_whole = std::string_view(whole).substr(0, whole.rfind('\n') + 1);
  const std::string_view requests_pieces =
      std::string_view(pieces).substr(0, pieces.rfind('\n') + 1);
  check(requests_whole == requests_pieces);
  return 0;
}
