// The file of experts' sizes that budgets of memory need.
#pragma once

#include <string>
#include <vector>

namespace router {

/// {"EXPERT": size}; sizes in the order of `experts`, in the file's unit, others are not looked at.
/// Throws std::runtime_error, which names --sizes: no such file, not of this form, or an expert is
/// missing.
std::vector<double> read_sizes(const std::string& path, const std::vector<std::string>& experts);

}  // namespace router
