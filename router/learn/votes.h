// What the recorded answers of outcome files say, read as a panel's replies are read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "aggregator/canonical.h"
#include "router/learn/table.h"

namespace router {

struct Votes {
  std::vector<aggregator::Question> question;  // [rows]; free_text: the row has no answers to count
  std::vector<std::uint8_t> key;    // [rows, experts] 0: none; else the row's n-th answer
  std::vector<std::uint8_t> right;  // [rows] the right one of them; 0: none of them is
  std::size_t experts = 0;

  std::uint8_t of(std::size_t row, std::size_t expert) const { return key[row * experts + expert]; }

  /// Rows with at least two readable answers.
  std::size_t countable() const;
};

/// Reads the files again for their answers, for the rows and experts of the table.
Votes read_votes(const std::vector<std::string>& files, const Table& table);

}  // namespace router
