// Encoders as commands name them.
#pragma once

#include "router/learn/commands.h"

namespace house {

/// Throws std::runtime_error for what is not NAME=URL[,...].
router::EncoderDoor make_encoder(const router::EncoderArgs& args);

}  // namespace house
