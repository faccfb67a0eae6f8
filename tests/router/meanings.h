// A made-up world in which words say nothing: each question has words of its own, and what it means
// is known to the encoder alone. Its vectors have much in common, as those of real encoders do.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "router/vectors.h"
#include "store/vector_index.h"

namespace router::testing {

inline constexpr int kMeanings = 3;

inline std::uint64_t hash_of(const std::string& text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash ^ hash >> 32;
}

inline int meaning_of(const std::string& text) {
  return static_cast<int>(hash_of(text) % kMeanings);
}

inline std::string strange_text(std::mt19937_64& random) {
  std::string text;
  for (int w = 0; w < 6; ++w) {
    if (w > 0) text += ' ';
    for (int c = 0; c < 7; ++c) text += static_cast<char>('a' + random() % 26);
  }
  return text;
}

/// `turn`: another encoder. Seven numbers in eight are noise, or alike in all vectors.
inline std::vector<float> meaning_vector(const std::string& text, int turn = 0) {
  constexpr std::size_t kNumbers = 24;
  std::mt19937_64 noise(hash_of(text) + static_cast<std::uint64_t>(turn));
  std::vector<float> vector(kNumbers);
  for (std::size_t i = 0; i < kNumbers; ++i)
    vector[i] =
        (i % 2 == 0 ? 0.8F : -0.6F) + 0.4F * (static_cast<float>(noise() % 2001) / 1000 - 1);
  const int at = 5 * meaning_of(text) + turn * 7;
  vector[static_cast<std::size_t>(at) % kNumbers] += 1;
  return vector;
}

inline VectorsOf encoder_of_meanings(int turn = 0) {
  return [turn](const std::string&, const std::vector<std::string>& texts,
                const std::function<void(double)>&) {
    std::vector<std::string> vectors;
    for (const std::string& text : texts)
      vectors.push_back(store::quantise(meaning_vector(text, turn)));
    return vectors;
  };
}

}  // namespace router::testing
