// Any bytes are a gate or a sentence about why not; a gate that was read can be judged.
#include <cstdint>
#include <stdexcept>
#include <string_view>

#include "router/learn/gate_expression.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const router::EvaluateReport report = [] {
    router::EvaluateReport made;
    made.rows = 10;
    for (const char* name : {"policy", "random", "best_single", "oracle"}) {
      made.policies.emplace_back();
      made.policies.back().name = name;
      made.policies.back().score = 0.5;
    }
    made.skills.push_back({"law", 5, 0.5, 0.4, 0.9, {0.1, 0.0, 0.2}, "alice", 1});
    return made;
  }();
  try {
    const router::GateExpression gate({reinterpret_cast<const char*>(data), size});
    (void)gate.judge(report);
  } catch (const std::runtime_error&) {
  }
  return 0;
}
