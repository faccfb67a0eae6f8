#include "router/learn/table.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <unordered_map>

#include "router/learn/outcomes.h"

namespace router {
namespace {

constexpr std::size_t kRowsKeptMax = 200'000;  // more are sampled by the seed

struct RowDraft {
  std::string id, text;
  std::uint64_t id_hash = 0;
  double order = 0;  // of the seeded sample
  Features features;
  std::uint32_t text_bytes = 0;
  std::vector<std::uint32_t> labels;
  std::vector<Outcome> outcomes;  // expert: index into NameList::experts
};

struct NameList {
  std::vector<std::string> list;
  std::unordered_map<std::string, std::uint32_t> index;

  std::uint32_t add(const std::string& name) {
    auto [at, fresh] = index.try_emplace(name, static_cast<std::uint32_t>(list.size()));
    if (fresh) list.push_back(name);
    return at->second;
  }
};

/// Keeps the `most` rows that come first in the seeded order.
void thin(std::vector<RowDraft>& rows, std::size_t most) {
  if (rows.size() <= most) return;
  std::nth_element(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(most), rows.end(),
                   [](const RowDraft& a, const RowDraft& b) { return a.order < b.order; });
  rows.resize(most);
}

void read_file(const std::string& path, const TableOptions& options, std::size_t most,
               NameList& experts, NameList& skills, std::vector<RowDraft>& rows,
               std::size_t& rows_read, std::vector<Fault>& faults, std::size_t& faults_total) {
  OutcomeReader reader(path);
  Extractor extractor;
  OutcomeRow row;
  while (reader.next(row)) {
    ++rows_read;
    const bool in_train = split_point(row.id_hash, options.seed) < options.share;
    if (options.part != Part::all && in_train != (options.part == Part::train)) continue;
    RowDraft draft;
    draft.id = row.id;
    draft.id_hash = row.id_hash;
    draft.order = split_point(row.id_hash, options.seed ^ 0x5eedull);
    extractor.extract(row.text, draft.features);
    draft.features.buckets.shrink_to_fit();
    draft.text_bytes = static_cast<std::uint32_t>(std::min<std::size_t>(row.text.size(), ~0u));
    if (options.keep_text) draft.text = row.text;
    for (const std::string& skill : row.skills) draft.labels.push_back(skills.add(skill));
    draft.outcomes = row.outcomes;
    for (Outcome& outcome : draft.outcomes)
      outcome.expert = experts.add(reader.experts()[outcome.expert]);
    rows.push_back(std::move(draft));
    if (rows.size() >= 2 * most) thin(rows, most);
  }
  faults.insert(faults.end(), reader.faults().begin(), reader.faults().end());
  faults_total += reader.faults_total();
}

/// Which of the file's experts become columns: kNone or the column.
std::vector<std::int32_t> choose_columns(const TableOptions& options, const NameList& names,
                                         const std::vector<RowDraft>& rows, Table& table) {
  std::vector<std::size_t> outcomes(names.list.size(), 0);
  for (const RowDraft& row : rows) {
    for (const Outcome& outcome : row.outcomes) ++outcomes[outcome.expert];
  }
  std::vector<std::int32_t> column(names.list.size(), -1);
  if (!options.experts.empty()) {
    std::string missing;
    for (const std::string& name : options.experts) {
      const auto found = names.index.find(name);
      if (found == names.index.end() || outcomes[found->second] == 0) {
        missing += (missing.empty() ? "" : ", ") + name;
        continue;
      }
      if (column[found->second] >= 0) continue;
      column[found->second] = static_cast<std::int32_t>(table.experts.size());
      table.experts.push_back(name);
    }
    if (!missing.empty()) {
      std::string has;
      for (std::size_t e = 0; e < names.list.size() && e < 40; ++e)
        has += (e ? ", " : "") + names.list[e];
      throw std::runtime_error("no outcome for the experts " + missing + "; the files have " + has);
    }
    return column;
  }
  std::vector<std::uint32_t> sorted(names.list.size());
  std::iota(sorted.begin(), sorted.end(), 0u);
  std::sort(sorted.begin(), sorted.end(),
            [&](auto a, auto b) { return names.list[a] < names.list[b]; });
  for (std::uint32_t e : sorted) {
    if (static_cast<double>(outcomes[e]) < options.covered_min * static_cast<double>(rows.size())) {
      table.left_out.push_back(names.list[e]);
      continue;
    }
    column[e] = static_cast<std::int32_t>(table.experts.size());
    table.experts.push_back(names.list[e]);
  }
  return column;
}

void fill(const std::vector<std::int32_t>& column, std::vector<RowDraft>& rows, Table& table) {
  const auto n = static_cast<Eigen::Index>(rows.size()),
             experts = static_cast<Eigen::Index>(table.experts.size());
  table.score = Matrix::Constant(n, experts, std::numeric_limits<float>::quiet_NaN());
  table.cost_usd = Matrix::Constant(n, experts, -1.f);
  std::vector<double> latency(table.experts.size()), tokens(table.experts.size());
  std::vector<std::size_t> latencies(table.experts.size()), tokened(table.experts.size());
  for (Eigen::Index r = 0; r < n; ++r) {
    RowDraft& row = rows[static_cast<std::size_t>(r)];
    for (const Outcome& outcome : row.outcomes) {
      const std::int32_t e = column[outcome.expert];
      if (e < 0) continue;
      table.score(r, e) = outcome.score;
      table.cost_usd(r, e) = outcome.cost_usd;
      const auto at = static_cast<std::size_t>(e);
      if (outcome.latency_ms >= 0) latency[at] += outcome.latency_ms, ++latencies[at];
      if (outcome.tokens_out >= 0) tokens[at] += outcome.tokens_out, ++tokened[at];
    }
    table.ids.push_back(std::move(row.id));
    table.id_hashes.push_back(row.id_hash);
    table.features.push_back(std::move(row.features));
    table.text_bytes.push_back(row.text_bytes);
    table.labels.push_back(std::move(row.labels));
    if (!row.text.empty()) table.texts.push_back(std::move(row.text));
  }
  for (std::size_t e = 0; e < table.experts.size(); ++e) {
    auto mean = [](double sum, std::size_t count) {
      return count ? static_cast<float>(sum / static_cast<double>(count)) : -1.f;
    };
    table.latency_ms.push_back(mean(latency[e], latencies[e]));
    table.tokens_out.push_back(mean(tokens[e], tokened[e]));
  }
}

}  // namespace

Table read_table(const TableOptions& options) {
  const std::size_t most = options.limit ? std::min(options.limit, kRowsKeptMax) : kRowsKeptMax;
  NameList experts, skills;
  std::vector<RowDraft> rows;
  std::vector<Fault> faults;
  std::size_t faults_total = 0;
  Table table;
  for (const std::string& path : options.files) {
    read_file(path, options, most, experts, skills, rows, table.rows_read, faults, faults_total);
  }
  if (faults_total > 0) {
    throw std::runtime_error(std::to_string(faults_total) + " faults in the outcome files\n" +
                             describe(faults, faults_total));
  }
  thin(rows, most);
  std::sort(rows.begin(), rows.end(),
            [](const RowDraft& a, const RowDraft& b) { return a.id_hash < b.id_hash; });
  for (std::size_t r = 1; r < rows.size(); ++r) {
    if (rows[r].id_hash == rows[r - 1].id_hash) {
      throw std::runtime_error("the id \"" + rows[r].id + "\" is in two of the outcome files");
    }
  }
  if (rows.empty()) throw std::runtime_error("the outcome files hold no row that can be used");
  const std::vector<std::int32_t> column = choose_columns(options, experts, rows, table);
  if (table.experts.empty())
    throw std::runtime_error("no expert has outcomes for half of the rows");
  table.skills = skills.list;
  fill(column, rows, table);
  return table;
}

}  // namespace router
