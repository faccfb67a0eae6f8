#include "experts/target.h"

#include <curl/curl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <stdexcept>

namespace experts {
namespace {

[[noreturn]] void reject(const ExpertOptions& options, const std::string& what) {
  throw std::runtime_error("expert `" + options.name + "`: " + what);
}

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

bool is_token(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kMarks.find(c) != kMarks.npos;
  });
}

/// libcurl's own url parser, so that both transports mean the same server by the same text.
class Url {
 public:
  explicit Url(const ExpertOptions& options) : handle_(curl_url(), curl_url_cleanup) {
    if (curl_url_set(handle_.get(), CURLUPART_URL, options.url.c_str(), 0) != CURLUE_OK) {
      reject(options, "url `" + options.url + "` is not a url; expected `http://host:port/v1`");
    }
  }

  std::string part(CURLUPart what, unsigned flags = 0) const {
    char* text = nullptr;
    if (curl_url_get(handle_.get(), what, &text, flags) != CURLUE_OK) return {};
    std::string copy = text;
    curl_free(text);
    return copy;
  }

 private:
  std::unique_ptr<CURLU, void (*)(CURLU*)> handle_;
};

/// `/v1` + `/chat/completions`, whatever slash or endpoint the configured path ends with.
std::string join_path(std::string path, std::string_view endpoint) {
  while (path.ends_with('/')) path.pop_back();
  for (const std::string_view written : {"/chat/completions", "/embeddings"})
    if (path.ends_with(written)) path.resize(path.size() - written.size());
  if (path.empty()) path = "/v1";
  return path.append(endpoint);
}

std::string fixed_fields(const ExpertOptions& options, const Target& target,
                         const std::string& host) {
  std::string fields = "Host: " + host + "\r\n";
  if (!target.key.empty()) fields += "Authorization: Bearer " + target.key + "\r\n";
  for (const auto& [name, value] : options.headers) {
    if (!is_token(name)) reject(options, "header name `" + name + "` is not an HTTP token");
    if (std::any_of(value.begin(), value.end(), is_control)) {
      reject(options, "the value of header `" + name + "` holds control characters");
    }
    fields += name + ": " + value + "\r\n";
  }
  return fields;
}

std::string read_key_file(const ExpertOptions& options) {
  struct stat status {};

  if (::stat(options.key_file.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) {
    reject(options, "key_file `" + options.key_file + "` is not a file that can be read");
  }
  if ((status.st_mode & (S_IRWXO | S_IWGRP)) != 0) {
    reject(options, "key_file `" + options.key_file + "` is open to other users; `chmod 600` it");
  }
  std::ifstream file(options.key_file);
  std::string key;
  std::getline(file, key);
  while (!key.empty() && (key.back() == '\r' || key.back() == ' ')) key.pop_back();
  if (key.empty())
    reject(options, "the first line of key_file `" + options.key_file + "` is empty");
  return key;
}

}  // namespace

std::string read_key(const ExpertOptions& options) {
  std::string key;
  if (!options.key_file.empty()) {
    key = read_key_file(options);
  } else if (!options.key_env.empty()) {
    const char* value = std::getenv(options.key_env.c_str());
    if (value == nullptr || *value == '\0') {
      reject(options, "environment variable " + options.key_env + " (key_env) is not set");
    }
    key = value;
  }
  if (std::any_of(key.begin(), key.end(), is_control)) {
    reject(options, "the key holds control characters");
  }
  return key;
}

Target make_target(const ExpertOptions& options) {
  const Url url(options);
  Target target;
  const std::string scheme = url.part(CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") {
    reject(options, "url scheme `" + scheme + "` is not served; use http or https");
  }
  if (!url.part(CURLUPART_USER).empty() || !url.part(CURLUPART_PASSWORD).empty()) {
    reject(options, "the url holds a user or password; put the key into key_env or key_file");
  }
  target.tls = scheme == "https";
  target.port = static_cast<std::uint16_t>(std::stoi(url.part(CURLUPART_PORT, CURLU_DEFAULT_PORT)));
  const std::string bracketed = url.part(CURLUPART_HOST);
  target.host = bracketed.starts_with('[') ? bracketed.substr(1, bracketed.size() - 2) : bracketed;
  const std::string given_port = url.part(CURLUPART_PORT);
  const std::string authority = given_port.empty() ? bracketed : bracketed + ":" + given_port;
  const std::string query = url.part(CURLUPART_QUERY);
  const std::string suffix = query.empty() ? "" : "?" + query;
  const std::string chat_path = join_path(url.part(CURLUPART_PATH), "/chat/completions") + suffix;
  const std::string embeddings_path = join_path(url.part(CURLUPART_PATH), "/embeddings") + suffix;
  const std::string models_path = join_path(url.part(CURLUPART_PATH), "/models") + suffix;
  target.origin = scheme + "://" + authority;
  target.chat_url = target.origin + chat_path;
  target.embeddings_url = target.origin + embeddings_path;
  target.models_url = target.origin + models_path;
  target.key = read_key(options);
  const std::string fields = fixed_fields(options, target, authority);
  const std::string post_fields =
      " HTTP/1.1\r\n" + fields + "Content-Type: application/json\r\nContent-Length: ";
  target.chat_head = "POST " + chat_path + post_fields;
  target.embeddings_head = "POST " + embeddings_path + post_fields;
  target.models_head = "GET " + models_path + " HTTP/1.1\r\n" + fields + "\r\n";
  target.model_json = quote_json(options.model.empty() ? options.name : options.model);
  target.name_json = quote_json(options.name);
  return target;
}

std::string without_key(std::string text, std::string_view key) {
  if (key.empty()) return text;
  for (std::size_t at = text.find(key); at != text.npos; at = text.find(key, at + 3)) {
    text.replace(at, key.size(), "***");
  }
  return text;
}

std::string quote_json(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (byte < 0x20) {
      quoted += "\\u00";
      quoted += kHex[byte >> 4];
      quoted += kHex[byte & 15];
    } else {
      quoted += c;
    }
  }
  return quoted += '"';
}

}  // namespace experts
