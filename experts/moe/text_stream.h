// Tokens -> text as it may be sent: whole UTF-8 characters only, nothing of a stop string.
//
// Belongs to one reply; not thread-safe. Holds at most the longest stop string and three bytes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "experts/moe/tokenizer.h"

namespace moe {

/// Cuts a text at the first stop string, which may be spread over any number of pieces.
class StopCutter {
 public:
  /// Empty stop strings are ignored.
  explicit StopCutter(std::vector<std::string> stops);

  /// What may be sent now that `piece` has come: nothing that a stop string could still claim.
  std::string push(std::string_view piece);

  /// What was held back, when no more pieces come. Empty after a stop.
  std::string finish();

  /// The stop string that was met; null: none. Later pieces give nothing.
  const std::string* met() const { return met_; }

 private:
  std::size_t open_suffix() const;

  std::vector<std::string> stops_;
  std::string held_;
  const std::string* met_ = nullptr;
};

class TextStream {
 public:
  /// `tokenizer` outlives the stream. `after_special`: the reply begins after a special token,
  /// where an SPM tokenizer with add_space_prefix would have added a space; it is taken off again.
  TextStream(const Tokenizer& tokenizer, std::vector<std::string> stops, bool after_special);

  /// Text that is complete with this token; bytes that are no UTF-8 come as U+FFFD.
  std::string push(TokenId id);
  std::string finish();

  const std::string* stop_met() const { return cutter_.met(); }

 private:
  std::string take_whole();

  const Tokenizer& tokenizer_;
  StopCutter cutter_;
  std::string bytes_;  // not yet a whole character
  bool drops_space_;
};

}  // namespace moe
