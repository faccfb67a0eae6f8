// Native experts: GGUF models of this process as experts of the pool.
//
// Give make_native_maker(models) to the Pool of every net thread. Takes Call::messages and
// Call::sampling; what only Call::wire carries (tools, images, n > 1, logit_bias) and a
// Call::reply_format that the model cannot be held to (native_schema.h) are refused with OpenAI's
// error object. The first call of a file waits for it to be loaded, within its own deadline.
// `timeouts.total_ms_max` bounds a call; the other timeouts are about servers. Retries are too: an
// engine gives the same answer twice.
#pragma once

#include "experts/native_model.h"
#include "experts/pool.h"

namespace experts {

/// For entries of Kind::native; null for others. `models` outlives the Pools.
ExpertMaker make_native_maker(NativeModels& models);

}  // namespace experts
