#include "experts/moe/tools/logits.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "experts/moe/forward.h"

namespace moe::tools {

namespace {

constexpr std::size_t kRowsMax = 256;

using Tokens = std::vector<std::int32_t>;

std::vector<Tokens> read_cases(const std::filesystem::path& path, const Config& config) {
  std::ifstream file(path);
  const nlohmann::json json = nlohmann::json::parse(file, nullptr, false);
  if (!json.is_object() || !json.contains("prompts")) {
    throw std::runtime_error("cases file " + path.string() + " is not JSON with a list `prompts`");
  }
  std::vector<Tokens> sequences;
  for (const auto& prompt : json["prompts"]) {
    Tokens tokens = prompt.at("tokens").get<Tokens>();
    const Tokens greedy = prompt.value("greedy", Tokens());
    tokens.insert(tokens.end(), greedy.begin(), greedy.end());
    for (const std::int32_t token : tokens) {
      if (token < 0 || token >= config.vocabulary) {
        throw std::runtime_error("cases file " + path.string() + " has token " +
                                 std::to_string(token) + ", the vocabulary ends at " +
                                 std::to_string(config.vocabulary));
      }
    }
    sequences.push_back(std::move(tokens));
  }
  return sequences;
}

std::size_t pages_of(const Tokens& tokens) {
  return (tokens.size() + kPagePositions - 1) / kPagePositions;
}

class Teacher {
 public:
  Teacher(const Model& model, const std::vector<Tokens>& sequences, const LogitsOptions& options)
      : sequences_(sequences),
        cache_(KvCache::Shape::of(model.config), total_pages(sequences)),
        team_(std::max(1, options.threads)),
        forward_(model, cache_, team_, pick_kernels(options.coarse), kRowsMax),
        done_(sequences.size(), 0),
        logits_(sequences.size()) {
    for (const Tokens& tokens : sequences) {
      pages_.emplace_back();
      for (std::size_t i = 0; i < pages_of(tokens); ++i) pages_.back().push_back(cache_.take());
    }
  }

  /// Steps sequences [first, last) together, each `chunk` tokens at a time.
  void run(std::size_t first, std::size_t last, std::size_t chunk) {
    for (;;) {
      std::vector<BatchRow> rows;
      std::vector<std::size_t> owners;
      for (std::size_t s = first; s < last; ++s) {
        const std::size_t end = std::min(done_[s] + chunk, sequences_[s].size());
        for (std::size_t i = done_[s]; i < end && rows.size() < kRowsMax; ++i) {
          rows.push_back(
              {sequences_[s][i], static_cast<std::int32_t>(i), pages_[s].data(), nullptr, true});
          owners.push_back(s);
        }
      }
      if (rows.empty()) return;
      forward_.run(rows);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const auto row = forward_.logits(i);
        logits_[owners[i]].insert(logits_[owners[i]].end(), row.begin(), row.end());
        ++done_[owners[i]];
      }
    }
  }

  const std::vector<std::vector<float>>& logits() const { return logits_; }

 private:
  static std::size_t total_pages(const std::vector<Tokens>& sequences) {
    std::size_t total = 1;
    for (const Tokens& tokens : sequences) total += pages_of(tokens);
    return total;
  }

  const std::vector<Tokens>& sequences_;
  KvCache cache_;
  Team team_;
  Forward forward_;
  std::vector<std::vector<std::uint32_t>> pages_;
  std::vector<std::size_t> done_;
  std::vector<std::vector<float>> logits_;
};

void write_npy(const std::filesystem::path& path, const std::vector<std::vector<float>>& parts,
               std::size_t rows, std::size_t columns) {
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" +
                       std::to_string(rows) + ", " + std::to_string(columns) + "), }";
  header.resize((10 + header.size() + 1 + 63) / 64 * 64 - 10 - 1, ' ');
  header += '\n';
  std::ofstream file(path, std::ios::binary);
  const char magic[] = {'\x93',
                        'N',
                        'U',
                        'M',
                        'P',
                        'Y',
                        1,
                        0,
                        static_cast<char>(header.size() & 255),
                        static_cast<char>(header.size() >> 8)};
  file.write(magic, sizeof magic);
  file << header;
  for (const std::vector<float>& part : parts) {
    file.write(reinterpret_cast<const char*>(part.data()),
               static_cast<std::streamsize>(part.size() * sizeof(float)));
  }
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path.string());
}

}  // namespace

LogitsReport write_logits(const LogitsOptions& options) {
  const Model model = Model::open(options.model);
  const std::vector<Tokens> sequences = read_cases(options.cases, model.config);
  Teacher teacher(model, sequences, options);
  if (options.batch) {
    teacher.run(0, sequences.size(), 8);
  } else {
    for (std::size_t s = 0; s < sequences.size(); ++s) teacher.run(s, s + 1, 1);
  }
  LogitsReport report;
  report.vocabulary = static_cast<std::size_t>(model.config.vocabulary);
  for (const Tokens& tokens : sequences) report.rows += tokens.size();
  write_npy(options.out, teacher.logits(), report.rows, report.vocabulary);
  return report;
}

}  // namespace moe::tools
