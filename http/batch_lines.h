// The lines of a batch: what a file asks, and how an answer stands in the output file.
// https://platform.openai.com/docs/api-reference/batch/request-input
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/batches.h"

namespace http {

/// What a file holds. `refused` are lines that nobody is asked: broken, a custom_id twice, another
/// endpoint. `fault` is set when the file as a whole is no batch.
struct BatchFile {
  std::vector<store::BatchLine> lines;
  std::vector<store::LineOutcome> refused;
  std::string fault, fault_code;
};

/// `id` is the batch's. Pure; every line is read, none is trusted.
BatchFile read_batch(std::string_view id, std::string_view content, std::string_view endpoint,
                     std::int64_t lines_max);

/// `body` is a JSON document, made one line here.
std::string row_of(std::string_view batch, const store::BatchLine& line, int status,
                   std::string_view request_id, std::string_view body);

/// A line that got no response at all.
std::string error_row(std::string_view batch, std::int64_t line, std::string_view custom_id,
                      std::string_view code, std::string_view message);

}  // namespace http
