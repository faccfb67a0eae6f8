// Reads the parity cases: prompts with the exact model's greedy tokens, routing and logits.
#pragma once

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace moe::testing {

/// The directory in SKILLYARD_DATA; empty: not set, and the caller skips.
inline std::filesystem::path data_directory() {
  const char* path = std::getenv("SKILLYARD_DATA");
  return path != nullptr ? path : "";
}

/// A float32 C-order array of two dimensions in numpy's .npy format, version 1.
struct Npy {
  std::size_t rows = 0, cols = 0;
  std::vector<float> values;

  static Npy read(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    char magic[10] = {};
    file.read(magic, sizeof magic);
    std::string header(
        static_cast<unsigned char>(magic[8]) | static_cast<unsigned char>(magic[9]) << 8, ' ');
    file.read(header.data(), static_cast<std::streamsize>(header.size()));
    if (!file || std::memcmp(magic, "\x93NUMPY", 6) != 0 ||
        header.find("'<f4'") == std::string::npos) {
      throw std::runtime_error("not a float32 .npy file: " + path.string());
    }
    Npy npy;
    const std::size_t shape = header.find("'shape': (") + 10;
    std::size_t used = 0;
    npy.rows = std::stoul(header.substr(shape), &used);
    npy.cols = std::stoul(header.substr(shape + used + 1));
    npy.values.resize(npy.rows * npy.cols);
    file.read(reinterpret_cast<char*>(npy.values.data()),
              static_cast<std::streamsize>(npy.values.size() * sizeof(float)));
    if (!file) throw std::runtime_error("truncated: " + path.string());
    return npy;
  }
};

struct Case {
  std::vector<int> tokens, greedy;
  std::vector<double> greedy_margin;
  std::size_t first_row = 0;  // of the logits array; row first_row + i is after token i
  std::map<int, std::vector<std::vector<int>>> experts;  // layer -> token -> experts, best first
  std::map<int, std::vector<double>> margins;

  std::vector<int> sequence() const {
    std::vector<int> all = tokens;
    all.insert(all.end(), greedy.begin(), greedy.end());
    return all;
  }
};

struct Cases {
  std::string name;  // llama-nano.F32
  std::filesystem::path model;
  std::vector<Case> prompts;
  Npy exact;
  double llamacpp_nmse = -1;  // before a flip; -1: unknown
  int llamacpp_flips = -1;

  static Cases read(const std::filesystem::path& json_path) {
    Cases cases;
    std::ifstream file(json_path);
    const nlohmann::json json = nlohmann::json::parse(file);
    cases.name = json_path.stem().string();
    cases.model = json_path.parent_path() / (cases.name + ".gguf");
    cases.exact = Npy::read(json_path.parent_path() / (cases.name + ".exact.npy"));
    if (json.contains("llamacpp_vs_exact")) {
      cases.llamacpp_nmse = json["llamacpp_vs_exact"]["nmse_before_flip"];
      cases.llamacpp_flips = json["llamacpp_vs_exact"]["routing_flips"];
    }
    for (const auto& prompt : json["prompts"]) {
      Case one;
      one.tokens = prompt["tokens"].get<std::vector<int>>();
      one.greedy = prompt["greedy"].get<std::vector<int>>();
      if (prompt.contains("greedy_margin")) {
        one.greedy_margin = prompt["greedy_margin"].get<std::vector<double>>();
      }
      one.first_row = prompt["rows"][0];
      if (prompt.contains("routing")) {
        for (const auto& layer : prompt["routing"]) {
          one.experts[layer["layer"]] = layer["experts"].get<std::vector<std::vector<int>>>();
          one.margins[layer["layer"]] = layer["margin"].get<std::vector<double>>();
        }
      }
      cases.prompts.push_back(std::move(one));
    }
    return cases;
  }
};

/// Every model of a data directory that has cases, sorted by name.
inline std::vector<Cases> read_all(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::filesystem::path npy = entry.path();
    npy.replace_extension(".exact.npy");
    if (entry.path().extension() == ".json" && std::filesystem::exists(npy)) {
      paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Cases> all;
  for (const auto& path : paths) all.push_back(Cases::read(path));
  return all;
}

}  // namespace moe::testing
