#include "experts/moe/spm.h"

#include <algorithm>
#include <cstdint>
#include <stdexcept>

#include "experts/moe/unicode.h"

namespace moe {
namespace {

struct Node {                 // of the list of symbols of a text
  std::size_t begin, length;  // length 0: merged into its left neighbour
  std::int64_t previous, next;
};

struct Candidate {
  float score;
  std::int64_t left, right;
  std::size_t length;  // of both together when it was proposed; another length now: outdated
};

bool later(const Candidate& a, const Candidate& b) {
  return a.score != b.score ? a.score < b.score : a.left > b.left;
}

std::vector<Node> nodes_of(std::string_view text) {
  std::vector<Node> nodes;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length =
        std::min(utf8_length(static_cast<unsigned char>(text[at])), text.size() - at);
    const auto index = static_cast<std::int64_t>(nodes.size());
    nodes.push_back({at, length, index - 1, at + length < text.size() ? index + 1 : -1});
    at += length;
  }
  return nodes;
}

// End of the leading space marks and of what follows up to the next one.
std::size_t word_end(std::string_view text) {
  std::size_t at = 0;
  while (text.substr(at).starts_with(kSpaceMark)) at += kSpaceMark.size();
  return std::min(text.find(kSpaceMark, at), text.size());
}

std::string byte_token_text(std::size_t byte) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  return {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
}

}  // namespace

Spm::Spm(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {
  ids_.reserve(vocabulary.texts.size());
  for (std::size_t id = 0; id < vocabulary.texts.size(); ++id) {
    const std::string& text = vocabulary.texts[id];
    if (text.empty() || !ids_.emplace(text, static_cast<TokenId>(id)).second) {
      throw std::runtime_error("tokenizer: the token \"" + text + "\" is repeated or empty");
    }
    words_apart_ = words_apart_ && word_end(text) == text.size();
  }
  for (std::size_t byte = 0; byte < 256; ++byte) byte_ids_[byte] = find(byte_token_text(byte));
}

TokenId Spm::find(std::string_view text) const {
  const auto it = ids_.find(text);
  return it == ids_.end() ? kNoToken : it->second;
}

// Where no token spans two words, words can be merged one by one: the same result from short lists.
void Spm::encode(std::string_view text, std::vector<TokenId>& ids) const {
  if (!words_apart_) return encode_word(text, ids);
  while (!text.empty()) {
    const std::size_t end = word_end(text);
    encode_word(text.substr(0, end), ids);
    text.remove_prefix(end);
  }
}

void Spm::encode_word(std::string_view text, std::vector<TokenId>& ids) const {
  std::vector<Node> nodes = nodes_of(text);
  std::vector<Candidate> heap;
  const auto node = [&nodes](std::int64_t i) -> Node& {
    return nodes[static_cast<std::size_t>(i)];
  };
  const auto propose = [&](std::int64_t left) {
    if (left < 0 || node(left).next < 0) return false;
    const std::int64_t right = node(left).next;
    const std::size_t length = node(left).length + node(right).length;
    const TokenId id = find(text.substr(node(left).begin, length));
    if (id == kNoToken) return false;
    heap.push_back({vocabulary_.scores[static_cast<std::size_t>(id)], left, right, length});
    return true;
  };
  for (std::size_t i = 0; i < nodes.size(); ++i) propose(static_cast<std::int64_t>(i));
  std::make_heap(heap.begin(), heap.end(), later);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const Candidate best = heap.back();
    heap.pop_back();
    Node& left = node(best.left);
    Node& right = node(best.right);
    if (left.length == 0 || right.length == 0 || left.length + right.length != best.length)
      continue;
    left.length = best.length;
    right.length = 0;
    left.next = right.next;
    if (right.next >= 0) node(right.next).previous = best.left;
    if (propose(left.previous)) std::push_heap(heap.begin(), heap.end(), later);
    if (propose(best.left)) std::push_heap(heap.begin(), heap.end(), later);
  }
  for (std::int64_t i = nodes.empty() ? -1 : 0; i >= 0; i = node(i).next) {
    const std::string_view symbol = text.substr(node(i).begin, node(i).length);
    if (const TokenId id = find(symbol); id != kNoToken) {
      ids.push_back(id);
    } else {
      append_character(symbol, ids);
    }
  }
}

// Only single characters get here: every merge made a token.
void Spm::append_character(std::string_view text, std::vector<TokenId>& ids) const {
  const auto byte_id = [this](char c) { return byte_ids_[static_cast<unsigned char>(c)]; };
  const bool has_bytes =
      std::all_of(text.begin(), text.end(), [&](char c) { return byte_id(c) != kNoToken; });
  if (has_bytes) {
    for (const char c : text) ids.push_back(byte_id(c));
  } else if (vocabulary_.unknown != kNoToken) {
    ids.push_back(vocabulary_.unknown);
  }
}

}  // namespace moe
