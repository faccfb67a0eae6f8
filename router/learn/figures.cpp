#include "router/learn/figures.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <sstream>

namespace router {
namespace {

constexpr double kWidth = 720;
constexpr double kLetter = 6.6;  // mean width of a letter of the labels

std::string short_name(const std::string& text, std::size_t most = 34) {
  if (text.size() <= most) return text;
  std::size_t cut = most - 1;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;
  return text.substr(0, cut) + "\xE2\x80\xA6";
}

/// A drawing that grows; coordinates are those of its viewBox.
class Svg {
 public:
  Svg(double height, std::string_view label) {
    out_ << "<svg viewBox=\"0 0 " << kWidth << " " << fixed(height, 0) << "\" role=\"img\" "
         << "aria-label=\"" << escape_html(label) << "\">\n";
  }

  void line(double x1, double y1, double x2, double y2, std::string_view style) {
    out_ << "<line x1=\"" << fixed(x1, 1) << "\" y1=\"" << fixed(y1, 1) << "\" x2=\""
         << fixed(x2, 1) << "\" y2=\"" << fixed(y2, 1) << "\" class=\"" << style << "\"/>\n";
  }

  void path(const std::vector<CostPoint>& way, std::string_view style) {
    out_ << "<polyline class=\"" << style << "\" points=\"";
    for (const CostPoint& p : way) out_ << fixed(p.cost, 1) << "," << fixed(p.score, 1) << " ";
    out_ << "\"/>\n";
  }

  void dot(double x, double y, double radius, std::string_view style, const std::string& title) {
    out_ << "<circle cx=\"" << fixed(x, 1) << "\" cy=\"" << fixed(y, 1) << "\" r=\""
         << fixed(radius, 1) << "\" class=\"" << style << "\"><title>" << escape_html(title)
         << "</title></circle>\n";
  }

  void bar(double x, double y, double width, double height, std::string_view style,
           const std::string& title) {
    out_ << "<rect x=\"" << fixed(x, 1) << "\" y=\"" << fixed(y, 1) << "\" width=\""
         << fixed(std::max(0.0, width), 1) << "\" height=\"" << fixed(std::max(0.0, height), 1)
         << "\" rx=\"1.5\" class=\"" << style << "\"><title>" << escape_html(title)
         << "</title></rect>\n";
  }

  /// anchor: start, middle, end.
  void text(double x, double y, std::string_view anchor, std::string_view style,
            const std::string& words) {
    out_ << "<text x=\"" << fixed(x, 1) << "\" y=\"" << fixed(y, 1) << "\" text-anchor=\"" << anchor
         << "\" class=\"" << style << "\">" << escape_html(words) << "</text>\n";
  }

  std::string done() {
    out_ << "</svg>\n";
    return out_.str();
  }

 private:
  std::ostringstream out_;
};

/// A linear or logarithmic axis from values to coordinates.
struct Axis {
  double from = 0, to = 1;    // values
  double start = 0, end = 1;  // coordinates
  bool log = false;

  double operator()(double value) const {
    if (to <= from) return start;
    const double share = log ? std::log(std::max(value, from) / from) / std::log(to / from)
                             : (value - from) / (to - from);
    return start + std::clamp(share, 0.0, 1.0) * (end - start);
  }
};

/// A distance of 1, 2 or 5 times a power of ten that gives about `wanted` ticks.
double tick_step(double span, int wanted) {
  const double raw = std::max(span, 1e-9) / wanted;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  for (const double step : {1.0, 2.0, 5.0}) {
    if (raw <= step * power) return step * power;
  }
  return 10 * power;
}

std::vector<double> ticks_of(double from, double to, int wanted) {
  const double step = tick_step(to - from, wanted);
  std::vector<double> ticks;
  for (double at = std::ceil(from / step - 1e-9) * step; at <= to + step * 1e-6; at += step)
    ticks.push_back(std::abs(at) < step * 1e-6 ? 0 : at);
  return ticks;
}

std::string_view style_of(const std::string& row) {
  if (row == "policy") return "mine";
  if (row == "best_single") return "best";
  if (row == "oracle") return "ideal";
  return "other";
}

/// Labels beside points, as long as there is room; the points' titles have every name.
class Labels {
 public:
  void place(Svg& svg, double x, double y, const std::string& words) {
    const double width = kLetter * static_cast<double>(words.size());
    const Box right{x + 8, y - 9, x + 8 + width, y + 5};
    const Box left{x - 8 - width, y - 9, x - 8, y + 5};
    const Box below{x - width / 2, y + 8, x + width / 2, y + 20};
    const Box above{x - width / 2, y - 21, x + width / 2, y - 8};
    for (const Box& box : {right, left, below, above}) {
      if (box.x1 < 48 || box.x2 > kWidth || meets_any(box)) continue;
      taken_.push_back(box);
      const bool is_left = box.x2 < x;  // ends at the point, however wide the letters are
      svg.text(is_left ? box.x2 : box.x1, box.y2 - 2, is_left ? "end" : "start", "label", words);
      return;
    }
  }

  void keep_clear(double x, double y) { taken_.push_back({x - 5, y - 5, x + 5, y + 5}); }

 private:
  struct Box {
    double x1, y1, x2, y2;
  };

  bool meets_any(const Box& box) const {
    return std::any_of(taken_.begin(), taken_.end(), [&](const Box& other) {
      return box.x1 < other.x2 && other.x1 < box.x2 && box.y1 < other.y2 && other.y1 < box.y2;
    });
  }

  std::vector<Box> taken_;
};

/// Grid and numbers of a square share-against-share figure.
void draw_square(Svg& svg, const Axis& x, const Axis& y) {
  for (int i = 0; i <= 5; ++i) {
    const double share = i / 5.0;
    svg.line(x(share), y.start, x(share), y.end, "grid");
    svg.text(x(share), y.start + 18, "middle", "tick", points(share, 0));
  }
  for (const double tick : ticks_of(y.from, y.to, 5)) {
    svg.line(x.start, y(tick), x.end, y(tick), "grid");
    svg.text(x.start - 8, y(tick) + 4, "end", "tick", points(tick, 0));
  }
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (c == '\'')
      out += "&#39;";
    else
      out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out;
}

std::string fixed(double value, int digits) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(digits) << (std::abs(value) < 1e-12 ? 0.0 : value);
  return out.str();
}

std::string points(double share, int digits) {
  return fixed(100 * share, digits);
}

std::string draw_gains(const EvaluateReport& report) {
  constexpr double kRow = 26, kTop = 8, kLeft = 170;
  const double bottom = kTop + kRow * static_cast<double>(report.policies.size());
  double from = 0, to = 0;
  for (const PolicyRow& row : report.policies)
    from = std::min(from, row.gain.lo), to = std::max(to, row.gain.hi);
  const double room = std::max(0.01, 0.04 * (to - from));
  const Axis x{from - room, to + room, kLeft, kWidth - 70};
  Svg svg(bottom + 42, "gain of every way of routing over the best single expert");
  for (const double tick : ticks_of(x.from, x.to, 7)) {
    svg.line(x(tick), kTop, x(tick), bottom, tick == 0 ? "axis" : "grid");
    svg.text(x(tick), bottom + 16, "middle", "tick", points(tick, x.to - x.from < 0.05 ? 1 : 0));
  }
  svg.text((x.start + x.end) / 2, bottom + 36, "middle", "tick",
           "gain over the best single expert, points; bars: 95% interval");
  for (std::size_t i = 0; i < report.policies.size(); ++i) {
    const PolicyRow& row = report.policies[i];
    const double y = kTop + kRow * (static_cast<double>(i) + 0.5);
    const std::string style(style_of(row.name));
    const std::string title = row.name + ": " + points(row.gain.mean, 2) + " (" +
                              points(row.gain.lo, 2) + " to " + points(row.gain.hi, 2) + ")";
    svg.text(kLeft - 12, y + 4, "end", row.name == "policy" ? "label strong" : "label", row.name);
    svg.line(x(row.gain.lo), y, x(row.gain.hi), y, "range " + style);
    svg.dot(x(row.gain.mean), y, 5, "fill " + style, title);
    svg.text(kWidth - 6, y + 4, "end", "label",
             (row.gain.mean > 0 ? "+" : "") + points(row.gain.mean, 2));
  }
  return svg.done();
}

std::string draw_costs(const EvaluateReport& report) {
  double dearest = 0, cheapest = 1e300, low = 1, high = 0;
  const auto reach = [&](double cost, double score) {
    if (cost > 0) cheapest = std::min(cheapest, cost);
    dearest = std::max(dearest, cost);
    low = std::min(low, score), high = std::max(high, score);
  };
  for (const ExpertRow& expert : report.alone) reach(expert.cost.value_or(0), expert.score);
  for (const CostPoint& point : report.policies.front().curve) reach(point.cost, point.score);
  if (dearest <= 0) return "";
  const bool log = dearest > 10 * cheapest;
  const Axis x{log ? cheapest / 1.3 : 0, dearest * (log ? 1.3 : 1.05), 56, kWidth - 10, log};
  const Axis y{low - 0.05 * (high - low) - 0.005, high + 0.05 * (high - low) + 0.005, 340, 10};
  Svg svg(386, "mean cost of a query against mean score");
  for (const double tick : ticks_of(y.from, y.to, 6)) {
    svg.line(x.start, y(tick), x.end, y(tick), "grid");
    svg.text(x.start - 8, y(tick) + 4, "end", "tick", points(tick, 0));
  }
  std::vector<double> marks = ticks_of(x.from, x.to, 6);
  if (log) {
    marks.clear();
    for (double power = std::pow(10, std::floor(std::log10(x.from))); power < x.to; power *= 10)
      for (const double step : {1.0, 2.0, 5.0})
        if (step * power >= x.from && step * power <= x.to) marks.push_back(step * power);
  }
  for (const double mark : marks) {
    std::ostringstream text;
    text << std::setprecision(3) << 1000 * mark;
    svg.line(x(mark), y.start, x(mark), y.end, "grid");
    svg.text(x(mark), y.start + 18, "middle", "tick", text.str());
  }
  svg.text(
      (x.start + x.end) / 2, y.start + 40, "middle", "tick",
      std::string("usd per 1,000 queries") + (log ? " (logarithmic)" : "") + "; vertical: score");
  Labels labels;
  const auto follow = [&](const std::vector<CostPoint>& hull, std::string_view style) {
    std::vector<CostPoint> way;
    if (hull.empty()) return;
    for (int i = 0; i <= 96; ++i) {
      const double cost = hull.front().cost + (hull.back().cost - hull.front().cost) *
                                                  (log ? std::pow(i / 96.0, 3) : i / 96.0);
      way.push_back({x(cost), y(score_at(hull, cost))});
    }
    svg.path(way, style);
  };
  for (const PolicyRow& row : report.policies)
    if (row.name == "fixed_mix") follow(hull_of(row.curve), "curve dashed best");
  follow(hull_of(report.policies.front().curve), "curve mine");
  for (const ExpertRow& expert : report.alone) {
    const double px = x(expert.cost.value_or(0)), py = y(expert.score);
    svg.dot(px, py, 4.5, "fill other",
            expert.expert + ": " + points(expert.score, 1) + " at " +
                fixed(1000 * expert.cost.value_or(0), 3) + " usd per 1,000");
    labels.keep_clear(px, py);
  }
  const PolicyRow& mine = report.policies.front();
  svg.dot(x(mine.cost.value_or(0)), y(mine.score), 6, "fill mine",
          "policy: " + points(mine.score, 1));
  for (const ExpertRow& expert : report.alone)
    labels.place(svg, x(expert.cost.value_or(0)), y(expert.score), short_name(expert.expert));
  return svg.done();
}

std::string draw_recovery(const EvaluateReport& report) {
  double top = 1, low = 0;
  for (const PolicyRow& row : report.policies) {
    if (row.name == "oracle") continue;
    for (const CostPoint& p : row.recovered)
      top = std::max(top, p.score), low = std::min(low, p.score);
  }
  const Axis x{0, 1, 56, 560};
  const Axis y{low, top * 1.03, 340, 10};
  Svg svg(386, "share of calls to the strong expert against the gap recovered");
  draw_square(svg, x, y);
  svg.text((x.start + x.end) / 2, y.start + 40, "middle", "tick",
           "% of queries sent to " + short_name(report.strong, 40) + "; vertical: % of the gap");
  double legend = 24;
  for (const PolicyRow& row : report.policies) {
    if (row.recovered.empty() || row.name == "oracle") continue;
    if (row.name == "routellm_threshold") continue;  // the policy's own order
    std::vector<CostPoint> way;
    for (const CostPoint& p : row.recovered) way.push_back({x(p.cost), y(p.score)});
    const std::string style = row.name == "policy"   ? "curve mine"
                              : row.name == "random" ? "curve dashed other"
                              : row.name == "knn"    ? "curve best"
                                                     : "curve other";
    svg.path(way, style);
    svg.line(574, legend, 596, legend, style);
    svg.text(602, legend + 4, "start", "label", row.name + " " + fixed(row.apgr.value_or(0), 3));
    legend += 20;
  }
  svg.text(574, legend + 6, "start", "tick", "with the APGR");
  return svg.done();
}

std::string draw_reliability(const EvaluateReport& report) {
  double total = 0, most = 1;
  for (const ReliabilityBin& bin : report.reliability) {
    total += static_cast<double>(bin.count);
    most = std::max(most, static_cast<double>(bin.count));
  }
  const Axis x{0, 1, 56, 400};
  const Axis y{0, 1, 340, 10};
  Svg svg(386, "estimated probability of a right answer against the share that was right");
  draw_square(svg, x, y);
  svg.line(x(0), y(0), x(1), y(1), "curve dashed other");
  std::vector<CostPoint> way;
  for (const ReliabilityBin& bin : report.reliability)
    if (bin.count > 0) way.push_back({x(bin.predicted), y(bin.observed)});
  svg.path(way, "curve mine");
  for (const ReliabilityBin& bin : report.reliability) {
    if (bin.count == 0) continue;
    const double share = static_cast<double>(bin.count) / total;
    const std::string title = "estimated " + points(bin.predicted) + "%, right " +
                              points(bin.observed) + "%, " + std::to_string(bin.count) +
                              " estimates";
    svg.dot(x(bin.predicted), y(bin.observed), 2.5 + 9 * std::sqrt(share), "fill mine", title);
    const double at = 340 - 330 * bin.predicted;
    svg.bar(470, at - 7, 220 * static_cast<double>(bin.count) / most, 14, "fill other", title);
    svg.text(462, at + 4, "end", "tick", points(bin.predicted, 0));
  }
  svg.text((x.start + x.end) / 2, 380, "middle", "tick", "% estimated; vertical: % right");
  svg.text(580, 380, "middle", "tick", "how many estimates of each kind");
  return svg.done();
}

std::string draw_skills(const EvaluateReport& report) {
  constexpr double kRow = 22, kTop = 8, kLeft = 240;
  const double bottom = kTop + kRow * static_cast<double>(report.skills.size());
  double low = 1;
  for (const SkillRow& skill : report.skills)
    low = std::min({low, skill.policy, skill.best_single});
  const Axis x{std::max(0.0, std::floor(10 * low) / 10), 1, kLeft, kWidth - 60};
  Svg svg(bottom + 42, "score by skill: best single expert, policy, oracle");
  for (const double tick : ticks_of(x.from, x.to, 6)) {
    svg.line(x(tick), kTop, x(tick), bottom, "grid");
    svg.text(x(tick), bottom + 16, "middle", "tick", points(tick, 0));
  }
  for (std::size_t i = 0; i < report.skills.size(); ++i) {
    const SkillRow& skill = report.skills[i];
    const double y = kTop + kRow * (static_cast<double>(i) + 0.5);
    svg.text(kLeft - 12, y + 4, "end", "label", short_name(skill.skill));
    svg.line(x(x.from), y, x(skill.policy), y, "grid");
    svg.line(x(skill.policy), y, x(skill.oracle), y, "range ideal thin");
    svg.dot(x(skill.oracle), y, 3.5, "fill ideal", "oracle " + points(skill.oracle));
    svg.line(x(skill.best_single), y - 8, x(skill.best_single), y + 8, "range best");
    svg.dot(x(skill.policy), y, 4.5, "fill mine", "policy " + points(skill.policy));
    svg.text(kWidth - 6, y + 4, "end", "tick",
             (skill.gain.mean > 0 ? "+" : "") + points(skill.gain.mean));
  }
  svg.text((x.start + x.end) / 2, bottom + 36, "middle", "tick",
           "score; bar: best single, dot: policy, far dot: oracle; right: gain, points");
  return svg.done();
}

std::string draw_regret(const EvaluateReport& report) {
  const double count = static_cast<double>(report.rows_by_right.size());
  double most = 1;
  for (const std::size_t rows : report.rows_by_right)
    most = std::max(most, static_cast<double>(rows));
  Svg svg(246, "rows by how many experts are right, and the part that the policy lost");
  const double step = (kWidth - 70) / count;
  for (std::size_t i = 0; i < report.rows_by_right.size(); ++i) {
    const double rows = static_cast<double>(report.rows_by_right[i]);
    const double lost = rows * report.regret_by_right[i];
    const double x = 56 + step * static_cast<double>(i);
    const std::string title = std::to_string(i) + " of " + std::to_string(report.experts.size()) +
                              " experts right: " + fixed(rows, 0) + " rows, lost " + fixed(lost, 1);
    svg.bar(x, 200 - 190 * rows / most, step * 0.82, 190 * rows / most, "fill other", title);
    svg.bar(x, 200 - 190 * lost / most, step * 0.82, 190 * lost / most, "fill best", title);
    if (count <= 16 || i % 4 == 0)
      svg.text(x + step * 0.41, 216, "middle", "tick", std::to_string(i));
  }
  svg.line(56, 200, kWidth - 14, 200, "axis");
  svg.text(kWidth / 2, 238, "middle", "tick",
           "experts that are right; height: rows, filled: score that the policy lost on them");
  return svg.done();
}

}  // namespace router
