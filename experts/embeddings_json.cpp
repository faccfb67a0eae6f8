#include "experts/embeddings_json.h"

#include <openssl/evp.h>
#include <simdjson.h>

#include <bit>
#include <cmath>
#include <span>

#include "experts/splice.h"

namespace experts {
namespace {

namespace dom = simdjson::dom;

static_assert(std::endian::native == std::endian::little, "base64 is of little-endian numbers");

/// False: not finite as f32, or not as long as the others.
bool read_numbers(const dom::array& numbers, std::size_t index, Vectors& vectors) {
  if (vectors.dimension == 0) {
    vectors.dimension = numbers.size();
    vectors.values.assign(vectors.count * vectors.dimension, 0.0F);
  }
  if (numbers.size() == 0 || numbers.size() != vectors.dimension) return false;
  std::size_t at = index * vectors.dimension;
  for (const dom::element number : numbers) {
    double value = 0;
    if (number.get(value)) return false;
    const auto narrow = static_cast<float>(value);
    if (!std::isfinite(narrow)) return false;
    vectors.values[at++] = narrow;
  }
  return true;
}

bool read_data(const dom::array& data, Vectors& vectors) {
  constexpr std::size_t kDataMax = 0xFFFFFF;  // what simdjson can count
  vectors.count = data.size();
  if (vectors.count == 0 || vectors.count >= kDataMax) return false;
  std::vector<bool> seen(vectors.count);
  std::size_t texts = 0;
  for (const dom::element item : data) {
    std::uint64_t index = 0;
    dom::element embedding;
    if (item["index"].get(index) || index >= vectors.count || seen[index]) return false;
    if (item["embedding"].get(embedding)) return false;
    seen[index] = true;
    dom::array numbers;
    if (embedding.is_string()) {
      ++texts;
    } else if (embedding.get(numbers) || !read_numbers(numbers, index, vectors)) {
      return false;
    }
  }
  return texts == 0 || texts == vectors.count;
}

Usage read_usage(const dom::object& root) {
  Usage usage;
  std::int64_t tokens = 0;
  if (root["usage"]["prompt_tokens"].get(tokens) || tokens < 0) return usage;
  usage.prompt_tokens = tokens;
  usage.known = true;
  return usage;
}

/// Keys are found by their bytes when the body is written anew: each must be written plainly, and
/// `data` once.
bool has_one_list(std::string_view body) {
  int lists = 0;
  MemberWalk walk(body);
  for (std::string_view member = walk.next(); !member.empty(); member = walk.next()) {
    const std::string_view key = member.substr(0, member.find('"', 1));
    if (key.find('\\') != key.npos) return false;
    if (key == "\"data") ++lists;
  }
  return lists == 1;
}

void append_base64(std::string& out, std::span<const float> values) {
  const auto bytes = std::as_bytes(values);
  const std::size_t begin = out.size();
  const std::size_t length = (bytes.size() + 2) / 3 * 4;
  out.resize(begin + length + 1);  // OpenSSL ends it with a zero
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data() + begin),
                  reinterpret_cast<const unsigned char*>(bytes.data()),
                  static_cast<int>(bytes.size()));
  out.resize(begin + length);
}

std::string data_in_base64(const Vectors& vectors) {
  std::string out = "\"data\":[";
  for (std::size_t i = 0; i < vectors.count; ++i) {
    if (i > 0) out.push_back(',');
    out.append("{\"object\":\"embedding\",\"index\":").append(std::to_string(i));
    out.append(",\"embedding\":\"");
    append_base64(out, {vectors.values.data() + i * vectors.dimension, vectors.dimension});
    out.append("\"}");
  }
  return out.append("]");
}

}  // namespace

Vectors read_vectors(std::string_view body) {
  Vectors vectors;
  dom::parser parser;
  dom::object root;
  dom::array data;
  if (parser.parse(body.data(), body.size()).get(root) || root["data"].get(data)) return vectors;
  vectors.valid = has_one_list(body) && read_data(data, vectors);
  vectors.usage = read_usage(root);
  return vectors;
}

std::string renamed_vectors(std::string_view body, const Vectors& vectors,
                            std::string_view name_json, bool base64) {
  std::string out = "{\"model\":";
  out.reserve(body.size() + name_json.size() + 16);
  out.append(name_json);
  MemberWalk walk(body);
  for (std::string_view member = walk.next(); !member.empty(); member = walk.next()) {
    if (member.starts_with("\"model\"")) continue;
    out.push_back(',');
    const bool anew = base64 && vectors.dimension > 0 && member.starts_with("\"data\"");
    if (anew) {
      out.append(data_in_base64(vectors));
    } else {
      out.append(member);
    }
  }
  return out.append("}");
}

}  // namespace experts
