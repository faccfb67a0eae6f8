// What the recorded answers of outcome files say, read as a panel's replies are read.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "aggregator/canonical.h"
#include "router/choices.h"
#include "router/learn/table.h"

namespace router {

struct Votes {
  std::vector<aggregator::Question> question;  // [rows] without words; free_text: nothing to count
  std::vector<std::uint8_t> key;    // [rows, experts] 0: none; else the row's n-th answer, which is
                                    // its n-th option where it has some
  std::vector<std::uint8_t> right;  // [rows] the right one of them; 0: not known to be any
  std::vector<std::vector<ChoiceTraits>> choices;  // [rows] by option
  std::vector<double> number;  // [rows, experts] NaN: none; empty: no row asks for a number
  std::size_t experts = 0;

  std::uint8_t of(std::size_t row, std::size_t expert) const { return key[row * experts + expert]; }

  double number_of(std::size_t row, std::size_t expert) const {
    return number.empty() ? std::numeric_limits<double>::quiet_NaN()
                          : number[row * experts + expert];
  }

  /// Rows with at least two readable answers.
  std::size_t countable() const;
};

/// Reads the files again for their answers, for the rows and experts of the table.
Votes read_votes(const std::vector<std::string>& files, const Table& table);

}  // namespace router
