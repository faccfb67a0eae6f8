// Vectors of texts that encoders made, kept so that nobody asks for them twice: a file of its own,
// which costs nothing but asking again when it is lost. Texts are known by their hash alone; the
// oldest of more than kTextVectorsMax vectors go.
//
// One TextVectors belongs to one thread at a time; several processes may share the file. Blocks on
// the disk. Everything throws std::runtime_error with an operator's sentence.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/db.h"

namespace store {

inline constexpr std::int64_t kTextVectorsMax = 1'000'000;

class TextVectors {
 public:
  /// Makes the file when there is none.
  explicit TextVectors(const std::string& path);

  /// Empty: it is not there.
  std::string get(std::string_view encoder, std::string_view text);

  /// Text and vector (quantise(), not empty) each; one transaction. What is there is replaced.
  void put(std::string_view encoder,
           const std::vector<std::pair<std::string_view, std::string_view>>& vectors);

 private:
  Db db_;
  Statement get_;
};

}  // namespace store
