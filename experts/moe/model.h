// A loaded model: file, configuration, weights. Immutable, so any number of engines may share one.
#pragma once

#include <filesystem>

#include "experts/moe/config.h"
#include "experts/moe/gguf.h"
#include "experts/moe/weights.h"

namespace moe {

struct Model {
  Gguf gguf;
  Config config;
  Weights weights;  // views into gguf

  /// Throws std::runtime_error with the reason when the file cannot be run.
  static Model open(const std::filesystem::path& path) { return from(Gguf::open(path)); }

  static Model from(Gguf gguf) {
    Model model{std::move(gguf), {}, {}};
    model.config = Config::read(model.gguf);
    model.weights = Weights::read(model.gguf, model.config);
    return model;
  }
};

}  // namespace moe
