// What the retrieval gate knows, from outcomes of questions that were asked with passages.
//
// Whether the passages were relevant is not in the log; it is a hidden variable of each row:
//
//     relevant (probability r of the probe):  right with  c0 + (1 - c0) h
//     not relevant:                           right with  c0 (1 - d)
//
// Expectation-maximisation (Dempster, Laird and Rubin 1977): posterior relevance of each row, then
// h and d as shares with beta priors, and r's weights by logistic regression on the posteriors,
// drawn to the prior's weights. With no rows the prior comes back.
#pragma once

#include <span>

#include "router/retrieval.h"

namespace router {

struct RetrievalRow {
  double c0 = 0;  // as the gate saw it; where the same question was also asked alone, its score
  SearchProbe probe;
  int passages = 0;  // as chosen; rows with none teach nothing here
  double score = 0;  // 0..1
};

struct RetrievalFitRules {
  double prior_rows = 10;  // weight of the prior's h and d
  double ridge = 0.002;    // pull of each weight to the prior's, in rows: weak, since a weight on a
                           // number of 0..1 may well be 20
  int rounds_max = 200;
  double enough = 1e-6;  // of h, d and weights, between rounds
};

RetrievalModel fit_retrieval(std::span<const RetrievalRow> rows, const RetrievalModel& prior,
                             const RetrievalFitRules& rules);

}  // namespace router
