// The one set of defaults of the learner. Nothing here is tuned to one data set; README.md says
// what each was measured with.
#pragma once

#include <cstddef>

namespace router {

struct Settings {
  std::size_t dim = 128;            // width of the unit vector z
  std::size_t bucket_rows_min = 2;  // a bucket that fewer rows have is not kept
  int folds = 5;                    // for held-out predictions
  float skill_gain = 8;             // z is multiplied by this before the skill classifier
  float skill_l2 = 1e-4f;
  int skill_iterations = 50;
  float profile_prior = 20;  // outcomes that the prior of a cell weighs
  float ridge_z = 640;       // penalties of the direct term
  float ridge_surface = 3600;
  float ridge_skill = 10;
  std::size_t neighbours = 100;
  float neighbour_power = 3;
  std::size_t memory_rows_max = 16'384;
  int cell_iterations = 6;  // of k-means over the memory
};

}  // namespace router
