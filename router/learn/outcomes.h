// Reads graded outcomes: JSON Lines, gzip or plain, one query a line.
//
//   {"id","text","domain" | "skills","outcomes":{EXPERT:{"score":0..1,"cost":usd|null,
//    "answer":text|null,"latency_ms","tokens_in","tokens_out"}},"gold":text|null}
//
// `domain` is one skill, `skills` a list of names (each gets an equal share); both may be absent.
// Unknown keys are ignored. An expert that did not answer a query is simply not in `outcomes`.
//
// Memory: one line at a time, plus 8 bytes per row for the duplicate check. Lines that cannot be
// used are skipped and recorded as faults, so that one pass names every fault of a file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace router {

struct ReadLimits {
  std::size_t line_bytes_max = 16u << 20;
  std::size_t rows_max = 4'000'000;
  std::size_t faults_max = 50;  // described one by one; the rest is only counted
};

struct Outcome {
  std::uint32_t expert = 0;  // index into OutcomeReader::experts()
  float score = 0;           // 0..1
  float cost_usd = -1;       // -1: the source has none
  float latency_ms = -1;
  std::int32_t tokens_in = -1, tokens_out = -1;
  std::string answer;  // only when the reader keeps answers
};

struct OutcomeRow {
  std::string id, text, gold;
  std::vector<std::string> skills;
  std::vector<Outcome> outcomes;
  std::uint64_t id_hash = 0;  // hash_of_id(id)
  std::size_t line = 0;       // 1-based
};

struct Fault {
  std::string path;
  std::size_t line = 0;
  std::string what;  // an operator's sentence: what is wrong and what would be right
};

/// The hash by which training rows are remembered and split (XXH3-64 of the id's bytes).
std::uint64_t hash_of_id(std::string_view id);

/// Uniform in [0, 1): the same row falls on the same side of a split in every program and run.
double split_point(std::uint64_t id_hash, std::uint64_t seed);

class OutcomeReader {
 public:
  /// Throws std::runtime_error when the file cannot be opened. Not thread-safe.
  explicit OutcomeReader(std::string path, bool keep_answers = false, ReadLimits limits = {});
  ~OutcomeReader();
  OutcomeReader(OutcomeReader&&) noexcept;
  OutcomeReader& operator=(OutcomeReader&&) noexcept;

  /// From now on a row may lack "outcomes": questions that nobody was asked yet.
  void take_ungraded() { ungraded_ = true; }

  /// False at the end of the file. `row` is overwritten and its memory reused.
  bool next(OutcomeRow& row);

  /// The last row as it stands in the file.
  std::string_view line() const { return line_; }

  const std::vector<std::string>& experts() const { return experts_; }

  const std::vector<Fault>& faults() const { return faults_; }

  std::size_t faults_total() const { return faults_total_; }

 private:
  struct Source;
  bool read_line();
  bool parse_line(OutcomeRow& row);
  bool take_id(OutcomeRow& row);
  bool fail(std::string what);

  std::unique_ptr<Source> source_;
  std::string path_;
  ReadLimits limits_;
  bool keep_answers_ = false, ungraded_ = false;
  std::string line_;
  std::size_t line_number_ = 0;
  std::size_t rows_ = 0;
  std::vector<std::string> experts_;
  std::unordered_map<std::string, std::uint32_t> expert_index_;
  std::unordered_set<std::uint64_t> seen_;
  std::vector<Fault> faults_;
  std::size_t faults_total_ = 0;
};

/// One sentence per fault, a line each, at most as many as were kept; "" when there are none.
std::string describe(const std::vector<Fault>& faults, std::size_t total);

/// Throws std::runtime_error with all of a file's faults, when it had any.
void refuse_faults(const OutcomeReader& reader);

}  // namespace router
