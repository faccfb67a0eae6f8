// What the native models of the process did, for /metrics (Prometheus text format).
#pragma once

#include <string>

namespace experts {

class NativeModels;

/// Appends the families `skillyard_native_*`, a line for each loaded model, labelled by its file.
/// Any thread.
void append_metrics(const NativeModels& models, std::string& out);

}  // namespace experts
