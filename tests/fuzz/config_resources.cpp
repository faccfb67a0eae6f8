// A merge patch onto a resource, read as the configuration reads it: any bytes are a value or a
// fault, and what is masked and unmasked is what it was.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/layers.h"
#include "http/admin.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto kind = config::kKinds[data[0] % config::kKinds.size()];
  nlohmann::json patch;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  if (http::read_json(text, 16, patch)) return 0;
  auto document = config::shapes()[std::string(kind)];
  document.merge_patch(patch);
  if (config::unmasked(config::masked(document), document) != document) std::abort();
  config::Layers layers;
  layers.file[std::string(kind)] = nlohmann::json::array({document});
  config::Faults faults;
  const auto merged = config::merge(layers, {});
  config::check(config::read(merged.document, faults), faults);
  if (faults.empty()) config::show_effective(layers, merged);
  return 0;
}
