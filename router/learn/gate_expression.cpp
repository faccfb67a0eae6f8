#include "router/learn/gate_expression.h"

#include <charconv>
#include <cmath>
#include <sstream>
#include <stdexcept>
#include <vector>

namespace router {

struct GateExpression::Node {
  enum class Kind : std::uint8_t { either, both, no, compare, sum, minus, number, name };
  Kind kind = Kind::number;
  std::string text;   // a name, or the sign of a comparison
  std::string skill;  // of skills["..."]
  double number = 0;
  std::vector<std::unique_ptr<Node>> parts;
};

namespace {

using Node = GateExpression::Node;
using NodePtr = std::unique_ptr<Node>;

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.';
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  NodePtr whole() {
    NodePtr node = either();
    skip();
    if (at_ < text_.size()) fail("a comparison ends here; join two with && or ||");
    return node;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    const std::string found =
        at_ < text_.size() ? "`" + std::string(text_.substr(at_, 12)) + "`" : "the end";
    throw std::runtime_error("--gate, column " + std::to_string(at_ + 1) + ", at " + found + ": " +
                             what);
  }

  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }

  bool take(std::string_view sign) {
    skip();
    if (text_.substr(at_, sign.size()) != sign) return false;
    at_ += sign.size();
    return true;
  }

  static NodePtr make(Node::Kind kind, NodePtr left, NodePtr right) {
    auto node = std::make_unique<Node>();
    node->kind = kind;
    node->parts.push_back(std::move(left));
    if (right) node->parts.push_back(std::move(right));
    return node;
  }

  NodePtr either() {
    NodePtr node = both();
    while (take("||")) node = make(Node::Kind::either, std::move(node), both());
    return node;
  }

  NodePtr both() {
    NodePtr node = condition();
    while (take("&&")) node = make(Node::Kind::both, std::move(node), condition());
    return node;
  }

  NodePtr condition() {
    if (++depth_ > kGateDepthMax) fail("nested deeper than " + std::to_string(kGateDepthMax));
    NodePtr node;
    skip();
    if (text_.substr(at_, 2) != "!=" && take("!")) {
      node = make(Node::Kind::no, condition(), nullptr);
    } else if (take("(")) {
      node = either();
      if (!take(")")) fail("a `)` is missing");
    } else {
      node = comparison();
    }
    --depth_;
    return node;
  }

  NodePtr comparison() {
    NodePtr left = sum();
    for (const char* sign : {">=", "<=", "==", "!=", ">", "<"}) {
      if (!take(sign)) continue;
      NodePtr node = make(Node::Kind::compare, std::move(left), sum());
      node->text = sign;
      return node;
    }
    fail("a comparison (< <= > >= == !=) belongs here");
  }

  NodePtr sum() {
    NodePtr node = value();
    for (;;) {
      if (take("+"))
        node = make(Node::Kind::sum, std::move(node), value());
      else if (take("-"))
        node = make(Node::Kind::minus, std::move(node), value());
      else
        return node;
    }
  }

  NodePtr value() {
    skip();
    auto node = std::make_unique<Node>();
    const std::size_t start = at_;
    const bool negative = at_ < text_.size() && text_[at_] == '-';
    const auto [end, error] =
        std::from_chars(text_.data() + at_ + negative, text_.data() + text_.size(), node->number);
    const bool digit =
        at_ + negative < text_.size() &&
        std::string_view("0123456789.").find(text_[at_ + negative]) != std::string_view::npos;
    if (digit && error == std::errc() && std::isfinite(node->number)) {
      if (negative) node->number = -node->number;
      at_ = static_cast<std::size_t>(end - text_.data());
      if (take("%")) node->number /= 100;
      return node;
    }
    while (at_ < text_.size() && is_name(text_[at_])) ++at_;
    if (at_ == start) fail("a number or a figure's name belongs here, as in `gain.lo >= 0`");
    node->kind = Node::Kind::name;
    node->text = text_.substr(start, at_ - start);
    if (node->text == "skills" && take("[\"")) {
      const std::size_t close = text_.find("\"]", at_);
      if (close == std::string_view::npos) fail("the skill's name ends with `\"]`");
      node->skill = text_.substr(at_, close - at_);
      if (node->skill.empty()) fail("the skill's name is missing");
      at_ = close + 2;
      if (!take(".")) fail("a figure belongs here, as in `skills[\"law\"].gain.lo`");
      const std::size_t figure = at_;
      while (at_ < text_.size() && is_name(text_[at_])) ++at_;
      node->text = text_.substr(figure, at_ - figure);
    }
    return node;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

double figure_of(const std::optional<double>& value, const std::string& name) {
  if (value) return *value;
  throw std::runtime_error("--gate: " + name +
                           " has no value on these rows (cost and aiq need costs, apgr and cpt a "
                           "pair: --strong and --weak)");
}

bool row_figure(const PolicyRow& row, const std::string& figure, const std::string& name,
                double& value) {
  if (figure == "score")
    value = row.score;
  else if (figure == "gain")
    value = row.gain.mean;
  else if (figure == "gain.lo")
    value = row.gain.lo;
  else if (figure == "gain.hi")
    value = row.gain.hi;
  else if (figure == "cost")
    value = figure_of(row.cost, name);
  else if (figure == "apgr")
    value = figure_of(row.apgr, name);
  else if (figure == "cpt50")
    value = figure_of(row.cpt50, name);
  else if (figure == "cpt80")
    value = figure_of(row.cpt80, name);
  else if (figure == "cpt95")
    value = figure_of(row.cpt95, name);
  else if (figure == "aiq")
    value = figure_of(row.aiq, name);
  else
    return false;
  return true;
}

double skill_figure(const EvaluateReport& report, const Node& node) {
  for (const SkillRow& skill : report.skills) {
    if (skill.skill != node.skill) continue;
    if (node.text == "rows") return static_cast<double>(skill.rows);
    if (node.text == "score") return skill.policy;
    if (node.text == "best_single") return skill.best_single;
    if (node.text == "oracle") return skill.oracle;
    if (node.text == "gain") return skill.gain.mean;
    if (node.text == "gain.lo") return skill.gain.lo;
    if (node.text == "gain.hi") return skill.gain.hi;
    throw std::runtime_error("--gate: a skill has no figure `" + node.text +
                             "`; it has rows, score, best_single, oracle, gain, gain.lo, gain.hi");
  }
  std::string has;
  for (const SkillRow& skill : report.skills) has += (has.empty() ? "" : ", ") + skill.skill;
  throw std::runtime_error("--gate: no row is of the skill `" + node.skill + "`; the rows have " +
                           (has.empty() ? "none" : has));
}

double named_figure(const EvaluateReport& report, const Node& node) {
  if (!node.skill.empty()) return skill_figure(report, node);
  const std::string& name = node.text;
  if (name == "rows") return static_cast<double>(report.rows);
  if (name == "headroom") return report.headroom;
  if (name == "abstained") return report.abstained;
  if (name == "ece" || name == "calibration_error") return report.calibration_error;
  if (name == "near_misses") return static_cast<double>(report.near_misses.near);
  if (name == "skills_worse") {
    double worse = 0;
    for (const SkillRow& skill : report.skills) worse += skill.gain.hi < 0;
    return worse;
  }
  double value = 0;
  if (row_figure(report.policies.front(), name, name, value)) return value;
  std::string rows;
  for (const PolicyRow& row : report.policies) {
    rows += (rows.empty() ? "" : ", ") + row.name;
    if (name.starts_with(row.name + ".") &&
        row_figure(row, name.substr(row.name.size() + 1), name, value))
      return value;
  }
  throw std::runtime_error(
      "--gate: there is no figure `" + name +
      "`; there are score, gain, gain.lo, gain.hi, cost, apgr, cpt50, cpt80, cpt95, aiq (also as "
      "ROW.FIGURE with the rows " +
      rows + "), rows, headroom, abstained, ece, near_misses, skills_worse");
}

double value_of(const Node& node, const EvaluateReport& report) {
  switch (node.kind) {
    case Node::Kind::sum:
      return value_of(*node.parts[0], report) + value_of(*node.parts[1], report);
    case Node::Kind::minus:
      return value_of(*node.parts[0], report) - value_of(*node.parts[1], report);
    case Node::Kind::name:
      return named_figure(report, node);
    default:
      return node.number;
  }
}

std::string text_of(const Node& node) {
  std::ostringstream out;
  switch (node.kind) {
    case Node::Kind::sum:
      return text_of(*node.parts[0]) + " + " + text_of(*node.parts[1]);
    case Node::Kind::minus:
      return text_of(*node.parts[0]) + " - " + text_of(*node.parts[1]);
    case Node::Kind::name:
      return node.skill.empty() ? node.text : "skills[\"" + node.skill + "\"]." + node.text;
    default:
      out << node.number;
      return out.str();
  }
}

bool compare(const std::string& sign, double left, double right) {
  if (sign == ">=") return left >= right;
  if (sign == "<=") return left <= right;
  if (sign == ">") return left > right;
  if (sign == "<") return left < right;
  return (left == right) == (sign == "==");
}

/// Both sides are always judged: every comparison is told, and a wrong name is never overlooked.
bool judge_node(const Node& node, const EvaluateReport& report, std::string& why) {
  if (node.kind == Node::Kind::no) return !judge_node(*node.parts[0], report, why);
  if (node.kind == Node::Kind::compare) {
    const double left = value_of(*node.parts[0], report), right = value_of(*node.parts[1], report);
    const bool holds = compare(node.text, left, right);
    std::ostringstream line;
    line.precision(6);
    line << (holds ? "  holds  " : "  fails  ") << text_of(*node.parts[0]) << " " << node.text
         << " " << text_of(*node.parts[1]) << "  (" << left << " and " << right << ")\n";
    why += line.str();
    return holds;
  }
  const bool left = judge_node(*node.parts[0], report, why);
  const bool right = judge_node(*node.parts[1], report, why);
  return node.kind == Node::Kind::both ? left && right : left || right;
}

}  // namespace

GateExpression::GateExpression(std::string_view text) {
  if (text.size() > kGateBytesMax)
    throw std::runtime_error("--gate is longer than " + std::to_string(kGateBytesMax) + " bytes");
  root_ = Parser(text).whole();
}

GateExpression::~GateExpression() = default;
GateExpression::GateExpression(GateExpression&&) noexcept = default;

GateVerdict GateExpression::judge(const EvaluateReport& report) const {
  GateVerdict verdict;
  verdict.passed = judge_node(*root_, report, verdict.why);
  return verdict;
}

}  // namespace router
