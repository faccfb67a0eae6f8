#include "experts/moe/tools/tokenize.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "experts/moe/gguf.h"
#include "experts/moe/tokenizer.h"

namespace moe::tools {
namespace {

nlohmann::json read_cases(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(path.string() + ": cannot be read");
  nlohmann::json cases = nlohmann::json::parse(in, nullptr, false);
  if (!cases.is_object() || !cases.contains("cases") || !cases["cases"].is_array()) {
    throw std::runtime_error(path.string() + ": expected a JSON object with an array \"cases\"");
  }
  return cases;
}

}  // namespace

TokenizeReport tokenize_cases(const std::filesystem::path& model,
                              const std::filesystem::path& cases,
                              const std::filesystem::path& out) {
  const Tokenizer tokenizer(read_vocabulary(Gguf::open(model)));
  const nlohmann::json file = read_cases(cases);
  const EncodeOptions options{.add_special = file.value("add_special", false),
                              .parse_special = file.value("parse_special", false)};
  std::ofstream sink(out, std::ios::binary);
  TokenizeReport report;
  for (const auto& item : file["cases"]) {
    if (!item.is_object() || !item.contains("text") || !item["text"].is_string()) {
      throw std::runtime_error(cases.string() + ": case " + std::to_string(report.cases) +
                               " has no string \"text\"");
    }
    const auto ids = tokenizer.encode(item["text"].get_ref<const std::string&>(), options);
    sink << (report.cases == 0 ? "[" : ",\n ") << nlohmann::json(ids).dump();
    ++report.cases;
    if (!item.contains("ids")) continue;
    ++report.compared;
    if (item["ids"] == nlohmann::json(ids)) ++report.equal;
  }
  sink << (report.cases == 0 ? "[]\n" : "]\n");
  sink.close();
  if (!sink) throw std::runtime_error(out.string() + ": cannot be written");
  return report;
}

}  // namespace moe::tools
