// Any reply to any question of every type: no crash, bounded key, same answer when asked twice.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "aggregator/canonical.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace aggregator;
  if (size < 2) return 0;
  const std::string_view all(reinterpret_cast<const char*>(bytes), size);
  const auto type = static_cast<AnswerType>(all[0] % kAnswerTypes);
  const std::size_t cut = all.find('\0', 1);
  const std::string_view text =
      cut == all.npos ? "Which?\nA. one\nB. 2\nC. I do" : all.substr(1, cut - 1);
  const std::string_view reply = cut == all.npos ? all.substr(1) : all.substr(cut + 1);
  const Question detected = read_question(text);
  const Question declared = read_question(text, type, text);
  const ReadLimits limits;
  for (const Question& question : {detected, declared}) {
    const Canonical once = canonical(question, reply), twice = canonical(question, reply);
    if (once.found != twice.found || once.key != twice.key) std::abort();
    if (once.found && once.key.empty()) std::abort();
    if (once.key.size() > 4 * limits.json_bytes_max) std::abort();
  }
  refine(detected, {reply, text});
  return 0;
}
