// What the wording of a question's options says about which of them is right.
//
// Writers of tests leave traces: the right option shares words with the wrong ones, which were
// derived from it; it is rarely the smallest or the largest of the numbers, and seldom "all of the
// above" where there are ten. How much each trace tells is learned with the weights of votes
// (router/learn/panels.h); here they are only described. Pure and bounded.
#pragma once

#include <array>
#include <vector>

#include "aggregator/canonical.h"

namespace router {

inline constexpr std::size_t kChoiceTraits = 26;

/// Traits of one option, most of them 0..1; what each is stands in choices.cpp.
using ChoiceTraits = std::array<float, kChoiceTraits>;

/// By option. Empty when the question has fewer than two.
std::vector<ChoiceTraits> describe_choices(const aggregator::Question& question);

}  // namespace router
