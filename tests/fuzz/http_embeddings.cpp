// The embeddings request reader: whatever the bytes, either a problem with a sentence, or a Query
// whose wire is a valid JSON object without our members.
#include <simdjson.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "http/openai.h"

namespace {

void check(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const http::Options options;
  static http::ChatReader reader(options);
  std::string body(reinterpret_cast<const char*>(data), size);
  body.reserve(size + simdjson::SIMDJSON_PADDING);
  router::Query query;
  const auto problem = reader.read_embeddings(body, query);
  if (problem) {
    check(!problem->message.empty());
    return 0;
  }
  check(query.pool.empty() != query.expert.empty());
  check(query.call.task == experts::Task::embeddings && !query.call.stream);
  check(query.needs.tokens_in_estimate > 0);
  simdjson::dom::parser parser;
  simdjson::dom::object wire;
  check(parser.parse("{" + query.call.wire + "}").get(wire) == simdjson::SUCCESS);
  for (const auto [key, value] : wire) check(key != "model" && key != "skillyard");
  return 0;
}
