// Vectors of an encoder beside the n-grams: fitted on what these leave unexplained on rows that
// they were not fitted on, so that a decision without its vector is the n-grams' own.
//
// Inputs are the rows' vectors at unit length, less their mean, over their spread: encoders differ
// in how much all their vectors have in common. Of a few penalties the one with the smallest
// held-out error is taken, and none where the error does not fall by a standard error: then the
// vectors say nothing that words do not, and the policy needs no encoder.
#pragma once

#include <string>
#include <vector>

#include "router/learn/heads.h"
#include "router/policy.h"
#include "router/vectors.h"

namespace router {

/// The vectors of `texts`, all empty where none of kFingerprintText is to be had. An empty
/// `fingerprint` is filled; another than the encoder's is an error. Throws std::runtime_error as
/// `vectors` (may be null: none) does.
std::vector<std::string> ask_vectors(const std::string& encoder, std::string& fingerprint,
                                     const VectorsOf& vectors, std::vector<std::string> texts,
                                     const std::function<void(double)>& progress);

/// The same for the rows of `table`, which has its texts; how many rows have none.
std::size_t give_vectors(const std::string& encoder, std::string& fingerprint,
                         const VectorsOf& vectors, Table& table,
                         const std::function<void(double)>& progress);

/// The vectors of a table as inputs; a row without one is empty.
struct DenseRows {
  Sparse rows;  // [rows, dimension]
  Eigen::RowVectorXf mean;
  float spread = 1;
};

/// Throws when they would not fit in memory.
DenseRows read_dense(const Table& table, std::size_t dimension);

struct DenseHead {
  bool helps = false;    // where it is false all is as the n-grams have it
  Matrix weight;         // [dimension, experts + skills]
  float sharpen = 1;     // of the softmax, over SkillHead::sharpness
  SkillHead skills;      // of the n-grams, but for score, share and accuracy
  OutcomeHead outcomes;  // likewise, but for score and predicted
};

/// `target` as fit_skills() got it.
DenseHead fit_dense(const DenseRows& dense, const SkillHead& skills, const OutcomeHead& outcomes,
                    const Matrix& target, const Matrix& outcome, const std::vector<int>& fold,
                    const Settings& settings);

/// Fills weight, scale and shift of the policy's Dense. `weight` [dimension, dim].
void put_dense(const Matrix& weight, const DenseRows& dense, Policy& policy);

}  // namespace router
