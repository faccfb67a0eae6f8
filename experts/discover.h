// Finding OpenAI-compatible servers that run already: for a start without a configuration.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <string>
#include <vector>

#include "experts/options.h"

namespace experts {

/// A place to look. `key_env` names the variable that holds the key; empty: none is sent.
struct Place {
  std::string url;
  std::string key_env;
};

/// OPENAI_BASE_URL (or OpenAI itself when only OPENAI_API_KEY is set), then the usual loopback
/// ports: Ollama 11434, llama.cpp 8080 and 8081, vLLM 8000.
std::vector<Place> usual_places();

inline constexpr std::size_t kModelsPerPlaceMax = 64;

/// Asks GET /models at every place, all at once, and returns after at most `wait_ms`: one
/// ExpertOptions per model that is there to chat with, named after it, in the order of `places`; a
/// name that is taken gets `@host:port`. Servers that are not there are no error. Blocks; runs a
/// loop of its own.
std::vector<ExpertOptions> discover(const std::vector<Place>& places, int wait_ms);

struct ListedModel {
  std::string id;
  std::int64_t context_tokens = 0;  // vLLM's `max_model_len`; 0: not said
};

/// The body of GET /models, `{"data":[{"id":...}]}`; empty when it is something else. Ids that say
/// they are no chat models (embeddings, speech, images, moderation) are left out.
std::vector<ListedModel> read_models(simdjson::ondemand::parser& parser, std::string& body);

}  // namespace experts
