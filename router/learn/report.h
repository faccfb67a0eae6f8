// The reports of train() and evaluate(), for people and for programs.
#pragma once

#include <iosfwd>
#include <string>

#include "router/learn/evaluate.h"
#include "router/learn/train.h"

namespace router {

/// Throws std::runtime_error when the disk refuses.
void write_file(const std::string& path, const std::string& bytes);

/// {"rows":N,"policies":{NAME:{"score","cost","gain":[mean,lo,hi],"shares",...}}, ...}
std::string to_json(const EvaluateReport& report);

/// RFC 4180, one line per way of routing and skill; the empty skill is all rows.
std::string to_csv(const EvaluateReport& report);

/// One self-contained page: style, figures (inline SVG) and tables; no script, no reference to
/// anything outside. Texts from the files are escaped.
std::string to_html(const EvaluateReport& report);

/// For a terminal.
void print(const EvaluateReport& report, std::ostream& out);

}  // namespace router
