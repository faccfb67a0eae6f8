#include "router/encoder.h"

#include "experts/embeddings_json.h"
#include "experts/target.h"
#include "store/vector_index.h"

namespace router {

namespace {

/// Fills `encoded` from a good reply; another number of vectors than of texts is no answer.
void read_into(const experts::Reply& reply, std::size_t texts, Encoded& encoded) {
  const experts::Vectors read = experts::read_vectors(reply.wire);
  if (!read.valid || read.count != texts) {
    encoded.outcome = experts::Outcome::malformed;
    encoded.error =
        "sent " + std::to_string(read.count) + " vectors for " + std::to_string(texts) + " texts";
    return;
  }
  encoded.dimension = read.dimension;
  for (std::size_t i = 0; i < texts; ++i)
    encoded.vectors.push_back(
        store::quantise({read.values.data() + i * read.dimension, read.dimension}));
}

}  // namespace

experts::Call encoding_call(const std::vector<std::string>& texts,
                            experts::Clock::time_point deadline, bool batch) {
  experts::Call call;
  call.task = experts::Task::embeddings;
  call.batch = batch;
  call.deadline = deadline;
  call.wire = "\"input\":[";
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) call.wire.push_back(',');
    call.wire.append(experts::quote_json(texts[i]));
  }
  call.wire.push_back(']');
  return call;
}

Encoded read_encoded(const experts::Reply& reply, std::size_t texts) {
  Encoded encoded;
  encoded.outcome = reply.outcome;
  encoded.error = reply.error;
  encoded.cost_microusd = reply.cost_microusd;
  if (reply.outcome == experts::Outcome::ok) read_into(reply, texts, encoded);
  return encoded;
}

boost::asio::awaitable<Encoded> encode(experts::Pool& pool, std::string_view expert,
                                       const std::vector<std::string>& texts,
                                       experts::Clock::time_point deadline, bool batch) {
  const experts::Call call = encoding_call(texts, deadline, batch);
  const experts::Reply reply = co_await pool.ask(expert, call, nullptr);
  Encoded encoded = read_encoded(reply, texts.size());
  co_return encoded;
}

std::string encoder_name(const experts::ExpertOptions& options) {
  return options.model.empty() ? options.name : options.model;
}

}  // namespace router
