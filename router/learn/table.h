// Outcome files as matrices: what training and evaluation work on.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <string>
#include <vector>

#include "router/features.h"

namespace router {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

enum class Part : std::uint8_t { all, train /* split point below share */, test /* the rest */ };

struct TableOptions {
  std::vector<std::string> files;
  std::vector<std::string> experts;  // keep these, in this order; empty: all that cover enough rows
  double covered_min = 0.5;          // an expert with fewer outcomes than this share is left out
  std::size_t limit = 0;             // rows, drawn by the seed; 0: no limit
  std::uint64_t seed = 0;
  double share = 1;  // of the split
  Part part = Part::all;
  bool keep_text = false;  // only where somebody will read it
};

struct Table {
  std::vector<std::string> experts, skills;
  std::vector<std::string> ids;
  std::vector<std::uint64_t> id_hashes;
  std::vector<Features> features;
  std::vector<std::uint32_t> text_bytes;
  std::vector<std::vector<std::uint32_t>> labels;  // [rows] skills of the row, equal shares
  std::vector<std::string> texts;                  // empty unless kept
  Matrix score;                                    // [rows, experts], NaN: no outcome
  Matrix cost_usd;                                 // [rows, experts], -1: not known
  std::vector<float> latency_ms, tokens_out;       // [experts] means, -1: not known
  std::vector<std::string> left_out;               // experts that cover too few rows
  std::size_t rows_read = 0;

  std::size_t rows() const { return ids.size(); }
};

/// Throws std::runtime_error that names every fault of every file (up to the reader's limit), an
/// expert that was asked for and has no outcome, or that no row is left.
Table read_table(const TableOptions& options);

}  // namespace router
