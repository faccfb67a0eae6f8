// Vectors for training and evaluation (VectorsOf of router/vectors.h): what a file keeps from
// before, and the rest from the expert that makes them, some texts a call, some calls at a time,
// each reply kept at once: who is killed in the middle goes on there.
#pragma once

#include <optional>
#include <string>

#include "router/interview_calls.h"
#include "router/vectors.h"

namespace router {

/// `path`: the file of store/text_vectors.h. `doors`: where the experts are; the first that makes
/// embeddings under the encoder's name is asked, and without one, or without doors, what is kept is
/// all there is. What `doors` refers to outlives the function.
///
/// Before new vectors join kept ones, the encoder must give kFingerprintText the vector that is
/// kept of it. A text that it refuses alone has no vector; any other failure, another length and
/// another fingerprint are errors.
VectorsOf make_vectors(std::string path, std::optional<InterviewDoors> doors);

}  // namespace router
