#include "router/learn/outcomes.h"

#include <simdjson.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#include <zlib.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <stdexcept>

namespace router {
namespace {

constexpr std::size_t kBlockBytes = 1 << 16;

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kShown = 60;
  std::string out = "\"";
  out.append(text.substr(0, kShown));
  if (text.size() > kShown) out += "...";
  return out + "\"";
}

bool read_string(simdjson::dom::element row, const char* key, std::string& out) {
  std::string_view value;
  if (row[key].get(value) != simdjson::SUCCESS) return false;
  out.assign(value);
  return true;
}

/// -1 when absent or null; NaN when it is not a number >= 0.
double read_amount(simdjson::dom::object object, const char* key) {
  simdjson::dom::element element;
  if (object[key].get(element) != simdjson::SUCCESS || element.is_null()) return -1;
  double value = 0;
  if (element.get(value) != simdjson::SUCCESS || !(value >= 0)) return std::nan("");
  return value;
}

}  // namespace

std::uint64_t hash_of_id(std::string_view id) {
  return XXH3_64bits(id.data(), id.size());
}

double split_point(std::uint64_t id_hash, std::uint64_t seed) {
  const std::uint64_t mixed = XXH3_64bits_withSeed(&id_hash, sizeof id_hash, seed);
  return static_cast<double>(mixed >> 11) * 0x1p-53;
}

struct OutcomeReader::Source {
  gzFile file = nullptr;
  simdjson::dom::parser parser;
  std::string block;
  std::size_t at = 0;
  bool ended = false;

  ~Source() {
    if (file) gzclose(file);
  }
};

OutcomeReader::OutcomeReader(std::string path, bool keep_answers, ReadLimits limits)
    : source_(std::make_unique<Source>()),
      path_(std::move(path)),
      limits_(limits),
      keep_answers_(keep_answers) {
  source_->file = gzopen(path_.c_str(), "rb");
  if (!source_->file) {
    throw std::runtime_error("cannot open the outcome file " + path_ + ": " + std::strerror(errno));
  }
  gzbuffer(source_->file, kBlockBytes);
}

OutcomeReader::~OutcomeReader() = default;
OutcomeReader::OutcomeReader(OutcomeReader&&) noexcept = default;
OutcomeReader& OutcomeReader::operator=(OutcomeReader&&) noexcept = default;

bool OutcomeReader::fail(std::string what) {
  ++faults_total_;
  if (faults_.size() < limits_.faults_max)
    faults_.push_back({path_, line_number_, std::move(what)});
  return false;
}

/// The next line into line_; false at the end. A line over the limit is skipped and recorded.
bool OutcomeReader::read_line() {
  Source& s = *source_;
  line_.clear();
  bool too_long = false;
  while (true) {
    if (s.at == s.block.size()) {
      if (s.ended) break;
      s.block.resize(kBlockBytes);
      const int got = gzread(s.file, s.block.data(), static_cast<unsigned>(kBlockBytes));
      int code = Z_OK;
      const char* message = gzerror(s.file, &code);
      s.block.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
      s.at = 0;
      if (got < static_cast<int>(kBlockBytes)) s.ended = true;
      if (code != Z_OK && code != Z_STREAM_END) {
        fail("the gzip stream is damaged or cut short after this line (" + std::string(message) +
             "); copy the file again");
        s.ended = true;
      }
      if (s.block.empty()) break;
    }
    const char* from = s.block.data() + s.at;
    const std::size_t left = s.block.size() - s.at;
    const void* end = std::memchr(from, '\n', left);
    const std::size_t length =
        end ? static_cast<std::size_t>(static_cast<const char*>(end) - from) : left;
    if (line_.size() + length > limits_.line_bytes_max) too_long = true;
    if (!too_long) line_.append(from, length);
    s.at += length + (end ? 1 : 0);
    if (end) {
      ++line_number_;
      if (!too_long) return true;
      fail("the line is longer than " + std::to_string(limits_.line_bytes_max) + " bytes");
      too_long = false;
      line_.clear();
    }
  }
  if (line_.empty() || too_long) return false;
  ++line_number_;
  return true;
}

bool OutcomeReader::parse_line(OutcomeRow& row) {
  using simdjson::dom::element;
  row.skills.clear();
  row.outcomes.clear();
  row.gold.clear();
  row.line = line_number_;
  element root;
  const auto error = source_->parser.parse(line_.data(), line_.size()).get(root);
  if (error == simdjson::UTF8_ERROR) return fail("not valid UTF-8; outcome files are UTF-8");
  if (error) return fail("not a JSON object: " + std::string(simdjson::error_message(error)));
  if (!root.is_object()) return fail("not a JSON object; one query a line is expected");
  if (!read_string(root, "id", row.id) || row.id.empty()) {
    return fail("no \"id\"; a non-empty string is expected");
  }
  if (!read_string(root, "text", row.text))
    return fail("no \"text\"; the query as a string is expected");
  read_string(root, "gold", row.gold);
  std::string domain;
  if (read_string(root, "domain", domain) && !domain.empty()) row.skills.push_back(domain);
  simdjson::dom::array skills;
  if (root["skills"].get(skills) == simdjson::SUCCESS) {
    row.skills.clear();
    for (element skill : skills) {
      std::string_view name;
      if (skill.get(name) != simdjson::SUCCESS || name.empty()) {
        return fail("\"skills\" must be a list of non-empty strings");
      }
      row.skills.emplace_back(name);
    }
  }
  if (ungraded_ && root["outcomes"].error() == simdjson::NO_SUCH_FIELD) return take_id(row);
  simdjson::dom::object outcomes;
  if (root["outcomes"].get(outcomes) != simdjson::SUCCESS) {
    return fail("no \"outcomes\"; an object of expert names is expected");
  }
  for (auto [name, value] : outcomes) {
    simdjson::dom::object graded;
    if (value.get(graded) != simdjson::SUCCESS) {
      return fail("the outcome of " + in_quotes(name) + " is not an object");
    }
    Outcome outcome;
    element score;
    if (graded["score"].get(score) != simdjson::SUCCESS || score.is_null()) continue;
    double value_of_score = 0;
    if (score.get(value_of_score) != simdjson::SUCCESS ||
        !(value_of_score >= 0 && value_of_score <= 1)) {
      return fail("the score of " + in_quotes(name) + " is not a number from 0 to 1");
    }
    outcome.score = static_cast<float>(value_of_score);
    outcome.cost_usd = static_cast<float>(read_amount(graded, "cost"));
    outcome.latency_ms = static_cast<float>(read_amount(graded, "latency_ms"));
    if (std::isnan(outcome.cost_usd) || std::isnan(outcome.latency_ms)) {
      return fail("cost and latency_ms of " + in_quotes(name) +
                  " must be numbers from 0 up, or null");
    }
    std::int64_t tokens = 0;
    if (graded["tokens_in"].get(tokens) == simdjson::SUCCESS)
      outcome.tokens_in = static_cast<int>(tokens);
    if (graded["tokens_out"].get(tokens) == simdjson::SUCCESS)
      outcome.tokens_out = static_cast<int>(tokens);
    std::string_view answer;
    if (keep_answers_ && graded["answer"].get(answer) == simdjson::SUCCESS)
      outcome.answer.assign(answer);
    std::string key(name);
    auto [found, fresh] =
        expert_index_.try_emplace(key, static_cast<std::uint32_t>(experts_.size()));
    if (fresh) experts_.push_back(std::move(key));
    outcome.expert = found->second;
    row.outcomes.push_back(std::move(outcome));
  }
  return take_id(row);
}

bool OutcomeReader::take_id(OutcomeRow& row) {
  row.id_hash = hash_of_id(row.id);
  if (!seen_.insert(row.id_hash).second)
    return fail("the id " + in_quotes(row.id) + " was used before");
  return true;
}

bool OutcomeReader::next(OutcomeRow& row) {
  while (read_line()) {
    if (line_.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (++rows_ > limits_.rows_max) {
      fail("more than " + std::to_string(limits_.rows_max) + " rows; the rest was not read");
      return false;
    }
    if (parse_line(row)) return true;
  }
  return false;
}

std::string describe(const std::vector<Fault>& faults, std::size_t total) {
  std::string out;
  for (const Fault& fault : faults) {
    out += fault.path + ":" + std::to_string(fault.line) + ": " + fault.what + "\n";
  }
  if (total > faults.size()) out += "and " + std::to_string(total - faults.size()) + " more\n";
  return out;
}

void refuse_faults(const OutcomeReader& reader) {
  const std::size_t total = reader.faults_total();
  if (total == 0) return;
  throw std::runtime_error(std::to_string(total) + (total == 1 ? " fault\n" : " faults\n") +
                           describe(reader.faults(), total));
}

}  // namespace router
