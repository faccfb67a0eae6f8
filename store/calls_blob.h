// The calls of a decision as one compact column. A row of a child table would cost eight times the
// encoding (store/README.md), and nobody asks for a call without its decision.
//
// Layout: a byte for the version, 2; number of calls; per call the fields of CallRow in their
// order, texts as length and bytes; FNV-1a over all before it, 4 bytes little-endian. Numbers are
// LEB128 varints, signed ones zigzag-coded (Protocol Buffers' encoding). Version 1, which has no
// vote, is read, too.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/rows.h"

namespace store {

inline constexpr std::size_t kCallsInBlobMax = 255;

/// Replaces `bytes`. At most kCallsInBlobMax calls; more is the caller's bug and they are left out.
void encode_calls(const std::vector<CallRow>& calls, std::string& bytes);

/// False: the bytes are not whole (cut, flipped, another version); `calls` is then empty.
bool decode_calls(std::string_view bytes, std::vector<CallRow>& calls);

/// The checksum that ends the column. Public for tests that build damaged bytes on purpose.
std::uint32_t checksum_of(std::string_view bytes);

}  // namespace store
