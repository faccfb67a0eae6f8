// Where a remote expert is and what is sent to it, worked out once from its options: the parsed url
// and the request heads with everything that does not change between calls. Holds the key in clear:
// never print a Target.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "experts/options.h"

namespace experts {

struct Target {
  bool tls = false;
  std::string host;  // without the brackets of an IPv6 literal
  std::uint16_t port = 0;
  std::string origin;          // `https://host:port`, for messages
  std::string chat_url;        // .../chat/completions
  std::string embeddings_url;  // .../embeddings
  std::string models_url;      // .../models
  std::string chat_head;  // HTTP/1.1 request line and fixed fields, ends with `Content-Length: `
  std::string embeddings_head;  // likewise
  std::string models_head;      // the same for GET /models, complete
  std::string key;              // empty: none
  std::string model_json;       // upstream's model name as a JSON string, quotes included
  std::string name_json;        // pool name as a JSON string, quotes included
};

/// Throws std::runtime_error with an operator's sentence when the url, a header or the key is no
/// good.
Target make_target(const ExpertOptions& options);

/// The key from options.key_env or options.key_file; empty when neither is set. Throws when it is
/// set but cannot be read, is empty, holds control characters, or the file is open to others.
std::string read_key(const ExpertOptions& options);

/// `text` with every occurrence of the key replaced by `***`: for what an expert sent back.
std::string without_key(std::string text, std::string_view key);

/// `text` as a JSON string, quotes included.
std::string quote_json(std::string_view text);

}  // namespace experts
