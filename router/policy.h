// A learned policy: an immutable snapshot, made by train(), read by decide(), one file.
//
// The map from text to competence, linear in the query's n-grams but for one softmax:
//   x      weight of each n-gram and surface bin of the query: idf * family weight, unit length;
//          what training never saw counts for the length alone, so the unknown pulls to the mean
//   score  x * bag                                    [experts, skills]   (int8, one pass)
//   q      softmax(skill_sharpness * score[skills] + skill_bias)
//   p_correct[e]   mean[e] + score[e] + sum_s q_s * skill_gain[s, e], clipped to [0.01, 0.99]
// All of it is ridge regression on the outcomes (router/learn/train.cpp). For people the decision
// also tells skill_term = sum_s q_s * profile[s, e] (shrunken success rate per skill and expert).
// Expected cost: sum_s q_s * skill_cost[s, e], likewise shrunken.
//
// A policy may have been trained with an encoder's vectors, too (Dense). Where the vector of a
// query is there,
//   u      the vector at unit length
//   score  x * bag + u * weight - shift, and the softmax is `sharpen` times as sharp
// and where it is not, all is as above: what the vector adds was fitted on what the n-grams left
// unexplained.
//
// File: "SKYPOLCY", u32 format, u32 features version, u64 payload bytes, payload, u64 XXH3-64 of
// all before it. Little-endian. Written to PATH.tmp, synced, then renamed over PATH. A policy
// without an encoder has format kWordsFormat, one with an encoder kPolicyFormat.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "router/features.h"

namespace router {

inline constexpr std::uint32_t kPolicyFormat = 7;
inline constexpr std::uint32_t kWordsFormat = 6;
inline constexpr std::uint64_t kPolicyBytesMax = 64u << 20;

inline constexpr int kSurfaceEdges = 9;
inline constexpr std::uint32_t kSurfaceBins = kSurfaceEdges + 1;
inline constexpr std::uint32_t kBagRows = kBuckets + kSurfaceCount * kSurfaceBins;

/// Past queries with their outcomes: what the guard replays and recall() compares with.
struct Memory {
  std::uint32_t rows = 0;
  std::vector<std::int8_t> z;           // [rows, dim] held-out scores as keys, see make_key()
  std::vector<std::uint8_t> score;      // [rows, experts] 0..200; kUnknown: no outcome
  std::vector<std::uint8_t> predicted;  // [rows, experts] held-out p_correct, 0..250
  std::vector<std::uint8_t> predicted_by_words;  // the same without vectors; empty without Dense
  std::vector<std::string> label;                // [rows] id, for explanations; may be empty
};

inline constexpr std::uint8_t kUnknown = 255;
inline constexpr float kScoreSteps = 200;      // Memory::score = round(score * kScoreSteps)
inline constexpr float kPredictedSteps = 250;  // Memory::predicted = round(p * kPredictedSteps)

struct PolicyExpert {
  std::string name;
  float mean = 0;       // success rate over the training rows
  float cost_usd = -1;  // mean per query; -1: not known
  float latency_ms = -1;
  float tokens_out = 256;  // expected
  std::uint32_t outcomes = 0;
};

/// How much the votes of a panel count, and where asking several experts pays. Learned from panels
/// of training rows by router/learn/panels.h, read by router/seats.h.
///   weight of e's vote = slope * logit p_correct + weight[skills, e] + sum_s q_s * weight[s, e]
///   prior of an option = choice . describe_choices() of it
struct Panels {
  static constexpr std::size_t kTypes = 9;  // aggregator::kAnswerTypes

  std::uint32_t rows = 0;  // panels that it was learned from; 0: none, log-odds count
  float slope = 0;
  float decide_at = 0;             // posterior at which nobody else is asked
  std::vector<float> weight;       // [skills + 1, experts]
  std::vector<float> choice;       // [kChoiceTraits] of router/choices.h
  std::vector<std::uint8_t> mode;  // [skills, kTypes] aggregator::Mode by the query's first skill
};

/// What a query's vector adds to the scores of its n-grams. Learned by router/learn/dense.h.
struct Dense {
  std::string encoder;  // who makes the vectors: encoder_name() (router/encoder.h); empty: nobody
  std::string fingerprint;          // its vector of kFingerprintText: it is known again by that
  std::vector<std::int8_t> weight;  // [dimension, dim] columns as the bag's
  std::vector<float> scale;         // [dim] step of each column
  std::vector<float> shift;         // [dim] what the mean vector of the training rows scores
  float sharpen = 1;

  bool empty() const { return encoder.empty(); }  // decisions are by words alone

  std::size_t dimension() const { return fingerprint.size(); }
};

struct Policy {
  std::uint64_t version = 0;  // XXH3-64 of the payload; 0: no policy
  std::uint32_t dim = 0;
  std::vector<std::string> skills;  // the last is `general`
  std::vector<PolicyExpert> experts;

  std::vector<std::int8_t> bag;     // [kBagRows, dim] columns: experts, skills, zeros
  std::vector<float> bag_scale;     // [dim]
  std::vector<float> mass;          // [kBagRows] squared weight; 0: not seen in training
  float unseen_mass = 0;            // of a bucket without mass
  float unseen_max = 1;             // is_outside(): share of unseen weight that is still usual
  float skill_score_min = 0;        // is_outside(): score of the best skill that is still usual
  std::vector<float> surface_edge;  // [kSurfaceCount, kSurfaceEdges] rising
  float skill_sharpness = 0;
  std::vector<float> skill_bias;  // [skills]
  std::vector<float> skill_gain;  // [skills, experts]
  std::vector<float> profile;     // [skills, experts]
  std::vector<float> support;     // [skills, experts] effective outcomes
  std::vector<float> skill_cost;  // [skills, experts] mean usd of a query, -1: not known
  std::vector<float> key_scale;   // [dim]
  Memory memory;
  Dense dense;

  Panels panels;

  std::vector<std::uint64_t> trained_ids;  // hash_of_id of every training row, sorted
  std::string source;                      // names of the training files, for people
  std::uint64_t seed = 0;
  double share = 1;  // of the rows by split_point(id, seed)

  bool declared = false;  // made of cards (router/cards.h), nothing was learned; never in a file

  bool empty() const { return experts.empty(); }
};

using PolicyPtr = std::shared_ptr<const Policy>;

/// Throws std::runtime_error with an operator's sentence: missing, truncated, changed bytes,
/// written by a newer program, features of another version.
PolicyPtr load_policy(const std::string& path);

/// Sets policy.version, writes atomically. Throws std::runtime_error when the disk refuses.
/// The same policy gives the same bytes.
void save_policy(Policy& policy, const std::string& path);

/// The bytes of the file, and back (fuzzed). decode throws like load_policy; `path` is for the
/// text.
std::string encode_policy(Policy& policy);
PolicyPtr decode_policy(const std::string& bytes, const std::string& path);

}  // namespace router
