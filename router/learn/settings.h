// The one set of defaults of the learner. Nothing here is tuned to one data set; README.md says
// what each was measured with.
#pragma once

#include <cstddef>

namespace router {

struct Settings {
  std::size_t bucket_rows_min = 2;  // a bucket that fewer rows have is not kept
  float edge_weight = 1.5f;         // of the first and last words, in idf
  float surface_weight = 1.5f;      // of the surface bins
  float unseen_weight = 0.5f;       // of what training never saw, in ln(rows)
  int folds = 5;                    // for held-out predictions
  float skill_ridge = 1;            // penalty of the skill columns
  float outcome_ridge = 12;         // penalty of the expert columns
  float skill_input = .7f;          // scale of the skill shares as inputs of the outcomes
  int iterations = 25;              // of conjugate gradients at most
  float profile_prior = 20;         // outcomes that the prior of a cell weighs
  double outside_share = .03;       // of the training rows that each bound of `outside` passes over
  std::size_t memory_rows_max = 16'384;
  int topic_iterations = 6;  // of k-means where no row has a label
};

}  // namespace router
