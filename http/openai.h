// OpenAI's chat completions contract <-> our nouns: the request object becomes a Query, an Answer
// becomes the reply's bytes. https://platform.openai.com/docs/api-reference/chat
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "aggregator/answer.h"
#include "http/options.h"
#include "http/problem.h"
#include "router/query.h"

namespace simdjson::dom {
class object;
class parser;
}  // namespace simdjson::dom

namespace http {

struct Reading;

/// Reads request bodies of /v1/chat/completions, /v1/route and /v1/embeddings. One per net thread:
/// it keeps the JSON parser's memory between requests.
class ChatReader {
 public:
  explicit ChatReader(const Options& options);
  ~ChatReader();

  /// Fills model, pool, expert, text, knobs, needs and call (but for call.request_id and
  /// call.deadline). `body` is validated whole: one JSON object, UTF-8, bounded depth, no member
  /// twice, every field of the contract of the right type and in range. Its capacity is at least
  /// its size plus simdjson's padding. `query` is fresh; after a problem its contents are of no
  /// use.
  std::optional<Problem> read(const std::string& body, router::Query& query);

  /// The same for a body of /v1/embeddings: call.task says so, needs.choices is 0.
  std::optional<Problem> read_embeddings(const std::string& body, router::Query& query);

 private:
  using ReadMembers = bool(Reading& reading, simdjson::dom::object object, std::string_view text);

  std::optional<Problem> read_as(ReadMembers* members, const std::string& body,
                                 router::Query& query);

  const Options& options_;
  std::unique_ptr<simdjson::dom::parser> parser_;
};

/// What the router reads of the conversation: the last user message, then the system message, each
/// shortened to its head and tail, cut between code points.
std::string text_to_route(const std::vector<experts::Message>& messages, const Options& options);

/// The reply's JSON object. Plain: the chosen expert's own bytes. Fused (answer.text): a body of
/// the same id whose one choice carries those words, with the usage of all that were asked.
std::string body_of(const aggregator::Answer& answer);

/// The same as events of a stream, without the end mark: for an answer that no expert streamed.
std::string events_of(const aggregator::Answer& answer, const router::Query& query);

/// The opt-in `skillyard` object of a reply: who was asked, what each said about itself, what it
/// cost.
std::string explanation_of(const aggregator::Answer& answer, const router::Query& query);

/// Adds `"skillyard":object` as the last member of the JSON object `reply`.
void add_explanation(std::string& reply, std::string_view object);

}  // namespace http
