// The report as one page: what a colleague gets.
#include <algorithm>
#include <sstream>

#include "router/learn/figures.h"
#include "router/learn/report.h"
#include "router/version_text.h"

namespace router {
namespace {

// `default-src 'none'`: the page cannot load anything, wherever it is opened.
constexpr std::string_view kHead = R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Routing report</title>
<style>
:root{--page:#fff;--text:#1c2430;--soft:#5b6675;--line:#dfe4ea;--card:#f6f8fa;--mine:#1f6feb;
--best:#d9730d;--ideal:#2a8c55;--other:#8b96a5}
@media (prefers-color-scheme:dark){:root{--page:#0f141a;--text:#e4e9f0;--soft:#98a3b3;--line:#2a323c;
--card:#171e26;--mine:#5aa2ff;--best:#f0a04b;--ideal:#54c486;--other:#6d7988}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:880px;padding:32px 20px 64px;background:var(--page);color:var(--text);
font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:26px;margin:0 0 4px}h2{font-size:18px;margin:40px 0 6px}
p{margin:6px 0 12px}.soft{color:var(--soft)}
.warn{border-left:4px solid var(--best);padding:8px 12px;background:var(--card)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;margin:20px 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:10px 12px}
.tile b{display:block;font-size:21px;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:13px}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}
th,td{padding:5px 8px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--soft);font-weight:600}th:first-child,td:first-child{text-align:left}
tr.mine td{font-weight:600}
svg{width:100%;height:auto;display:block;margin:8px 0}
svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--text)}
svg .tick{fill:var(--soft)}svg .strong{font-weight:700}
.grid{stroke:var(--line);stroke-width:1}.axis{stroke:var(--soft);stroke-width:1.2}
.curve{fill:none;stroke-width:2.2;stroke-linejoin:round}.dashed{stroke-dasharray:5 4;stroke-width:1.6}
.range{stroke-width:3;stroke-linecap:round}.thin{stroke-width:1.4}
.curve.mine,.range.mine{stroke:var(--mine)}.curve.best,.range.best{stroke:var(--best)}
.curve.ideal,.range.ideal{stroke:var(--ideal)}.curve.other,.range.other{stroke:var(--other)}
.fill.mine{fill:var(--mine)}.fill.best{fill:var(--best)}.fill.ideal{fill:var(--ideal)}
.fill.other{fill:var(--other)}
@media print{body{max-width:none}h2{break-after:avoid}svg{break-inside:avoid}}
</style>
</head>
<body>
)html";

std::string signed_points(double gain, int digits = 2) {
  return (gain > 0 ? "+" : "") + points(gain, digits);
}

std::string interval(const Interval& gain, int digits = 2) {
  return signed_points(gain.mean, digits) + " <span class=\"soft\">(" + points(gain.lo, digits) +
         " to " + points(gain.hi, digits) + ")</span>";
}

std::string optional_cell(const std::optional<double>& value, int digits, double times = 1) {
  return value ? fixed(times * *value, digits) : "&ndash;";
}

void tile(std::ostream& out, const std::string& figure, const std::string& what) {
  out << "<div class=\"tile\"><b>" << figure << "</b><span>" << what << "</span></div>\n";
}

/// The finding in one sentence; which one is decided by the interval alone.
std::string finding(const EvaluateReport& report) {
  const PolicyRow& mine = report.policies.front();
  const std::string best = "<b>" + escape_html(report.best_single) + "</b>";
  if (mine.gain.lo > 0)
    return "The policy is better than the best single expert, " + best + ", by " +
           points(mine.gain.mean, 2) + " points.";
  if (mine.gain.hi < 0)
    return "The policy is <b>worse</b> than the best single expert, " + best + ", by " +
           points(-mine.gain.mean, 2) + " points.";
  if (mine.gain.lo == 0 && mine.gain.hi == 0)
    return "The policy stays with the best single expert, " + best + ", on every row that counts.";
  return "These rows do not show a difference between the policy and the best single expert, " +
         best + ".";
}

void write_head(const EvaluateReport& report, std::ostream& out) {
  const PolicyRow& mine = report.policies.front();
  out << kHead << "<h1>Routing report</h1>\n<p class=\"soft\">" << escape_html(report.source)
      << ": " << report.rows << " judged rows, " << report.experts.size() << " experts, "
      << report.skills.size() << " skills; policy " << version_text(report.policy_version)
      << ", seed " << report.seed << "</p>\n";
  if (report.rows_overlapping > 0)
    out << "<p class=\"warn\">" << report.rows_overlapping
        << " of these rows were used to train the policy: the figures flatter it.</p>\n";
  out << "<p>" << finding(report) << "</p>\n<div class=\"tiles\">\n";
  tile(out, points(mine.score, 2) + "%", "score of the policy");
  tile(out, signed_points(mine.gain.mean),
       "points over the best single; 95%: " + points(mine.gain.lo, 2) + " to " +
           points(mine.gain.hi, 2));
  tile(out, points(report.headroom) + "%", "of the way to the oracle");
  if (mine.cost) tile(out, fixed(1000 * *mine.cost, 3), "usd per 1,000 queries");
  if (mine.aiq) tile(out, fixed(*mine.aiq, 3), "AIQ, area of the cost-quality curve");
  if (mine.apgr) tile(out, fixed(*mine.apgr, 3), "APGR of the pair");
  tile(out, points(report.abstained) + "%", "of the rows the guard kept the default");
  tile(out, fixed(report.calibration_error, 4), "expected calibration error");
  out << "</div>\n";
}

/// A figure that some rows have; a column that none has is left out.
struct Column {
  const char* title;
  std::optional<double> PolicyRow::*value;
  int digits;
  double times;
};

void write_rows(const EvaluateReport& report, std::ostream& out) {
  std::vector<Column> columns;
  for (const Column& column :
       {Column{"usd / 1,000", &PolicyRow::cost, 3, 1000}, Column{"APGR", &PolicyRow::apgr, 3, 1},
        Column{"CPT50", &PolicyRow::cpt50, 3, 1}, Column{"CPT80", &PolicyRow::cpt80, 3, 1},
        Column{"CPT95", &PolicyRow::cpt95, 3, 1}, Column{"AIQ", &PolicyRow::aiq, 3, 1},
        Column{"same expert, %", &PolicyRow::agreement, 0, 100}}) {
    if (std::any_of(report.policies.begin(), report.policies.end(),
                    [&](const PolicyRow& row) { return (row.*column.value).has_value(); }))
      columns.push_back(column);
  }
  out << "<h2>Ways of routing</h2>\n"
      << draw_gains(report)
      << "<div class=\"wide\"><table><tr><th>row</th><th>score</th><th>gain over best single</th>";
  for (const Column& column : columns) out << "<th>" << column.title << "</th>";
  out << "</tr>\n";
  for (const PolicyRow& row : report.policies) {
    out << (row.name == "policy" ? "<tr class=\"mine\">" : "<tr>") << "<td>"
        << escape_html(row.name) << "</td><td>" << points(row.score, 2) << "</td><td>"
        << interval(row.gain) << "</td>";
    for (const Column& column : columns)
      out << "<td>" << optional_cell(row.*column.value, column.digits, column.times) << "</td>";
    out << "</tr>\n";
  }
  out << "</table></div>\n";
  for (const std::string& note : report.notes)
    out << "<p class=\"soft\">" << escape_html(note) << "</p>\n";
}

void write_experts(const EvaluateReport& report, std::ostream& out) {
  out << "<h2>Experts</h2>\n<div class=\"wide\"><table><tr><th>expert</th><th>score alone</th>"
         "<th>usd / 1,000</th><th>chosen</th><th>score when chosen</th></tr>\n";
  for (const ExpertRow& expert : report.alone) {
    out << "<tr><td>" << escape_html(expert.expert) << "</td><td>" << points(expert.score)
        << "</td><td>" << optional_cell(expert.cost, 3, 1000) << "</td><td>" << points(expert.share)
        << "%</td><td>" << (expert.share > 0 ? points(expert.score_chosen) : "&ndash;")
        << "</td></tr>\n";
  }
  out << "</table></div>\n";
}

void write_skills(const EvaluateReport& report, std::ostream& out) {
  if (report.skills.empty()) return;
  out << "<h2>Skills</h2>\n"
      << draw_skills(report)
      << "<div class=\"wide\"><table><tr><th>skill</th><th>rows</th><th>policy</th>"
         "<th>best single</th><th>oracle</th><th>gain</th><th>most chosen</th></tr>\n";
  for (const SkillRow& skill : report.skills) {
    out << "<tr><td>" << escape_html(skill.skill) << "</td><td>" << skill.rows << "</td><td>"
        << points(skill.policy) << "</td><td>" << points(skill.best_single) << "</td><td>"
        << points(skill.oracle) << "</td><td>" << interval(skill.gain, 1) << "</td><td>"
        << escape_html(skill.favourite) << " " << points(skill.favourite_share, 0)
        << "%</td></tr>\n";
  }
  out << "</table></div>\n";
}

void write_losses(const EvaluateReport& report, std::ostream& out) {
  const NearMisses& misses = report.near_misses;
  out << "<h2>What is lost, and where</h2>\n"
      << draw_regret(report) << "<p>On " << misses.lost << " rows another expert did better; on "
      << misses.near << " of them it was within " << points(kNearMiss, 0)
      << " points of the chosen one's estimate";
  if (misses.near > 0) out << " (on average " << points(misses.gap) << " behind)";
  out << ".</p>\n";
  if (misses.examples.empty()) return;
  out << "<p class=\"soft\">The closest:";
  for (const std::string& id : misses.examples) out << " " << escape_html(id);
  out << "</p>\n";
}

void write_agreement(const EvaluateReport& report, std::ostream& out) {
  if (report.agreement_names.size() < 3) return;
  out << "<h2>Agreement</h2>\n<p class=\"soft\">Share of the rows, in percent, on which two ways "
         "of "
         "routing ask the same expert.</p>\n<div class=\"wide\"><table><tr><th></th>";
  for (const std::string& name : report.agreement_names)
    out << "<th>" << escape_html(name) << "</th>";
  out << "</tr>\n";
  for (std::size_t i = 0; i < report.agreement_names.size(); ++i) {
    out << "<tr><td>" << escape_html(report.agreement_names[i]) << "</td>";
    for (const double same : report.agreement[i]) out << "<td>" << points(same, 0) << "</td>";
    out << "</tr>\n";
  }
  out << "</table></div>\n";
}

}  // namespace

std::string to_html(const EvaluateReport& report) {
  std::ostringstream out;
  write_head(report, out);
  write_rows(report, out);
  if (report.policies.front().cost) {
    out << "<h2>Cost against quality</h2>\n<p class=\"soft\">Line: the policy as its quality knob "
           "turns. Dashed: the best mix of single experts without looking at the query. Dots: "
           "single "
           "experts; the large one is the policy.</p>\n"
        << draw_costs(report);
  }
  if (!report.strong.empty() && report.policies.front().apgr) {
    out << "<h2>Strong and weak</h2>\n<p class=\"soft\">" << escape_html(report.strong) << " and "
        << escape_html(report.weak)
        << ": the part of the gap between them that is recovered when the rows go to the strong "
           "one "
           "in the order of the policy.</p>\n"
        << draw_recovery(report);
  }
  write_skills(report, out);
  out << "<h2>Calibration</h2>\n<p class=\"soft\">Estimated probability of a right answer against "
         "the share that was right, over all pairs of row and expert.</p>\n"
      << draw_reliability(report);
  write_experts(report, out);
  write_losses(report, out);
  write_agreement(report, out);
  out << "<p class=\"soft\">Intervals: 95%, percentile bootstrap of 1,000 resamples, paired by "
         "row. "
         "The best single expert is chosen in hindsight, on these rows.</p>\n</body>\n</html>\n";
  return out.str();
}

}  // namespace router
