// What training, decisions and encoders agree on about the vectors of queries. A vector is kept as
// bytes, by store::quantise(): one int8 for each number, empty where there is none.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace router {

inline constexpr std::size_t kVectorNumbersMax = 8'192;  // of one vector

/// Encoders read some hundred tokens; what comes later in a text is not sent to them.
inline constexpr std::size_t kEncodedBytesMax = 2'048;

/// An encoder is known again by the vector that it gives for this.
inline constexpr std::string_view kFingerprintText =
    "Which of these rivers flows through more than one country, and how long is it?";

/// What an encoder is sent for a text: its beginning, cut between characters.
std::string_view encoded_part(std::string_view text);

/// Whether two vectors of one text are of one encoder: of one length, cosine 0.99 or more. Servers
/// of one model differ by their rounding and batching, two models by far more.
bool is_same_encoder(std::string_view a, std::string_view b);

/// Vectors for learning: as many as `texts`, in their order, empty where there is none to be had.
/// `encoder` is the name that they are recorded under. Blocks. `progress` gets the share that is
/// done; what it throws comes out. Throws std::runtime_error with an operator's sentence.
using VectorsOf = std::function<std::vector<std::string>(
    const std::string& encoder, const std::vector<std::string>& texts,
    const std::function<void(double)>& progress)>;

}  // namespace router
