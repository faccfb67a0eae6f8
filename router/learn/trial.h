// What an evaluation is made of: the judged rows, and what a policy decided about each of them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "router/learn/metrics.h"
#include "router/learn/table.h"
#include "router/policy.h"
#include "router/pool_view.h"
#include "router/route.h"

namespace router {

struct EvaluateOptions;

struct Trial {
  Table table;  // the judged rows
  PoolView pool;
  bool priced = false;             // every outcome has a cost
  std::vector<std::string> skill;  // [rows] the natural label, may be empty
  std::size_t rows_overlapping = 0, rows_excluded = 0;
  std::vector<std::string> left_out;  // experts of the policy without outcomes here

  // Filled by run_policy().
  std::vector<std::uint32_t> chosen;              // [rows] index into table.experts
  std::vector<std::uint8_t> abstained;            // [rows]
  std::vector<std::vector<std::uint32_t>> swept;  // [settings of the quality knob][rows]
  Matrix p, similar;  // [rows, experts] p_correct, mean outcome of the most similar past queries
  std::vector<std::vector<SkillShare>> read;  // [rows] the skills that the policy saw

  std::size_t rows() const { return table.rows(); }

  std::size_t experts() const { return table.experts.size(); }

  bool has(std::size_t row, std::size_t expert) const;
  double score(std::size_t row, std::size_t expert) const;     // 0 where there is no outcome
  double cost_usd(std::size_t row, std::size_t expert) const;  // 0 where it is not known
};

/// Throws as evaluate() does.
Trial read_trial(const Policy& policy, const EvaluateOptions& options);

/// Gives the rows the vectors that the policy needs, or none; how many lack one that is needed.
/// Throws as give_vectors() does.
std::size_t prepare_vectors(const Policy& policy, const EvaluateOptions& options, Trial& trial);

/// Decides every row; an expert without an outcome on a row is unhealthy there. `progress` (may be
/// empty) is called with the share that is done, from one thread at a time.
void run_policy(const Policy& policy, std::optional<double> quality, Trial& trial,
                const std::function<void(double)>& progress);

/// Rows of `table` for which `keep` is 0 go.
void drop_rows(Table& table, const std::vector<std::uint8_t>& keep);

/// The column of an expert. Throws std::runtime_error when it is not there.
std::uint32_t column_of(const Table& table, const std::string& name);

}  // namespace router
