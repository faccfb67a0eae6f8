// Texts become vectors by asking the expert that makes embeddings: one call through a Pool, with
// its queue, breaker, retries and counters.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "experts/pool.h"

namespace router {

struct Encoded {
  experts::Outcome outcome = experts::Outcome::cancelled;
  std::string error;                 // an operator's sentence when outcome is not ok
  std::vector<std::string> vectors;  // by store::quantise(), one for each text; empty: all zeros
  std::size_t dimension = 0;
  std::int64_t cost_microusd = 0;
};

/// `texts` holds 1 to 2,048, none of them empty; outlives the coroutine. `batch` as
/// experts::Call::batch. A deadline is kept to with the Pool's precision (PoolOptions::sweep_ms).
boost::asio::awaitable<Encoded> encode(experts::Pool& pool, std::string_view expert,
                                       const std::vector<std::string>& texts,
                                       experts::Clock::time_point deadline, bool batch);

/// The call that encode() makes, and what its reply says, for who asks in another way.
experts::Call encoding_call(const std::vector<std::string>& texts,
                            experts::Clock::time_point deadline, bool batch);
Encoded read_encoded(const experts::Reply& reply, std::size_t texts);

/// What an expert's vectors are recorded under: its model's own name, so that the expert may be
/// renamed and its server moved.
std::string encoder_name(const experts::ExpertOptions& options);

}  // namespace router
