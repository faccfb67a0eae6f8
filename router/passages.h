// How passages are shown to an expert: in front of the client's last message, inside it, each
// between marks that it cannot forge.
//
// In the last user message, not in a system message: passages are material of unknown origin and
// must not speak with the operator's voice, and chat templates differ in how many system messages
// they take, and where. The marks carry a word that occurs in none of the passages, their names and
// the question; it is drawn from their bytes, so the same passages give the same prompt, which a
// server's prefix cache knows. What stands around the marks is fixed.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "experts/call.h"
#include "router/retrieval.h"
#include "store/knowledge_reader.h"

namespace router {

inline constexpr std::size_t kPassageBytesMax = 4'096;    // of a passage; what is longer is cut
inline constexpr std::size_t kPassageNameBytesMax = 200;  // of its source and its heading
inline constexpr std::size_t kFrameBytes = 600;           // around the passages, about
inline constexpr std::size_t kMarkBytes = 100;            // around each, about

/// Of a frame with as many passages as are ever shown.
inline constexpr std::size_t kFrameBytesMax =
    kFrameBytes + kPassages.back() * (kMarkBytes + kPassageBytesMax + 2 * kPassageNameBytesMax);

/// Passages, best first, and what is said about them; the client's words follow behind it. Names
/// are put on one line.
std::string frame_passages(std::span<const store::Passage> passages, std::string_view question);

/// `call` with `frame` in front of its last user message, in its wire form too, where every other
/// byte stays as the client sent it. Nothing when there is no such message, or when its keys are
/// written in a way (escaped letters) that is not worth reading.
std::optional<experts::Call> put_before_question(const experts::Call& call, std::string_view frame);

}  // namespace router
