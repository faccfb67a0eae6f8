#include "experts/moe/jinja_parser.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace moe::jinja {
namespace {

using NodeKind = Expression::Kind;

constexpr int kDepthMax = 400;   // of rules inside each other; a bracket takes about four
constexpr int kChainMax = 1000;  // of operators in one tag: a chain to the left is as deep a tree

class Parser {
 public:
  explicit Parser(std::vector<Lexeme> lexemes) : lexemes_(std::move(lexemes)) {}

  Body run() {
    Body body = parse_body({});
    if (!is(Token::end)) fail("the tag \"" + now().text + "\" closes nothing");
    return body;
  }

 private:
  // Statements.

  // Up to one of the tags named in `ends` (left in place: now() is that name) or the end.
  Body parse_body(const std::vector<std::string_view>& ends) {
    const Deeper deeper(*this);
    Body body;
    while (!is(Token::end)) {
      chain_ = 0;
      if (is(Token::text)) {
        Statement& text = add(body, Statement::Kind::text);
        text.name = take().text;
      } else if (is(Token::print_begin)) {
        Statement& print = add(body, Statement::Kind::print);
        take();
        print.expression = parse_expression();
        expect(Token::print_end, "}}");
      } else {
        take();  // block_begin
        const std::string& tag = now().text;
        if (is_end_tag(tag) || std::find(ends.begin(), ends.end(), tag) != ends.end()) {
          if (std::find(ends.begin(), ends.end(), tag) == ends.end()) {
            fail("the tag \"" + tag + "\" closes nothing here");
          }
          return body;
        }
        parse_block(body);
      }
    }
    if (!ends.empty()) fail("the template ends before \"" + std::string(ends.back()) + "\"");
    return body;
  }

  static bool is_end_tag(std::string_view tag) {
    return tag.starts_with("end") || tag == "else" || tag == "elif";
  }

  void parse_block(Body& body) {
    const std::string tag = expect(Token::name, "a tag's name").text;
    if (tag == "if") {
      parse_if(add(body, Statement::Kind::if_));
    } else if (tag == "for") {
      parse_for(add(body, Statement::Kind::for_));
    } else if (tag == "set") {
      parse_set(add(body, Statement::Kind::set));
    } else if (tag == "macro") {
      parse_macro(add(body, Statement::Kind::macro));
    } else if (tag == "filter") {
      parse_filter_block(add(body, Statement::Kind::filter));
    } else if (tag == "break" || tag == "continue") {
      add(body, tag == "break" ? Statement::Kind::break_ : Statement::Kind::continue_);
      end_block();
    } else if (tag == "generation") {  // transformers: marks the assistant's text for training
      end_block();
      Body inner = parse_body({"endgeneration"});
      close("endgeneration");
      std::move(inner.begin(), inner.end(), std::back_inserter(body));
    } else {
      fail("the tag \"" + tag + "\" is not supported");
    }
  }

  void parse_if(Statement& statement) {
    Branch first;
    first.condition = parse_expression();
    end_block();
    first.body = parse_body({"elif", "else", "endif"});
    statement.branches.push_back(std::move(first));
    while (now().text != "endif") {
      Branch branch;
      const bool is_else = take().text == "else";
      if (!is_else) branch.condition = parse_expression();
      end_block();
      branch.body = is_else ? parse_body({"endif"}) : parse_body({"elif", "else", "endif"});
      statement.branches.push_back(std::move(branch));
    }
    close("endif");
  }

  void parse_for(Statement& statement) {
    statement.targets = parse_targets();
    expect_name("in");
    statement.expression = parse_or();  // not a conditional: "if" filters the loop
    if (take_name("if")) statement.filter = parse_expression();
    if (is_name("recursive")) fail("a recursive loop is not supported");
    end_block();
    statement.body = parse_body({"else", "endfor"});
    if (take_name("else")) {
      end_block();
      statement.otherwise = parse_body({"endfor"});
    }
    close("endfor");
  }

  std::vector<std::string> parse_targets() {
    std::vector<std::string> targets;
    const bool bracket = take_op("(");
    do {
      targets.push_back(expect(Token::name, "a variable's name").text);
    } while (take_op(","));
    if (bracket) expect_op(")");
    return targets;
  }

  void parse_set(Statement& statement) {
    statement.targets = parse_targets();
    if (statement.targets.size() == 1 && take_op(".")) {
      statement.targets[0] += "." + expect(Token::name, "an attribute's name").text;
    }
    if (take_op("=")) {
      statement.expression = parse_tuple();
      end_block();
      return;
    }
    if (is_op("|")) fail("a filter on a set block is not supported");
    end_block();
    statement.body = parse_body({"endset"});
    close("endset");
  }

  void parse_macro(Statement& statement) {
    statement.name = expect(Token::name, "a macro's name").text;
    expect_op("(");
    while (!take_op(")")) {
      statement.targets.push_back(expect(Token::name, "a parameter's name").text);
      statement.defaults.push_back(take_op("=") ? parse_expression() : nullptr);
      if (!is_op(")")) expect_op(",");
    }
    end_block();
    statement.body = parse_body({"endmacro"});
    close("endmacro");
  }

  void parse_filter_block(Statement& statement) {
    auto subject = make(NodeKind::literal);
    subject->value = Value("");
    statement.expression = parse_filter(std::move(subject));
    end_block();
    statement.body = parse_body({"endfilter"});
    close("endfilter");
  }

  void end_block() { expect(Token::block_end, "%}"); }

  void close(std::string_view tag) {
    expect_name(tag);
    if (is(Token::name)) take();  // Jinja allows the block's name after its end tag
    end_block();
  }

  Statement& add(Body& body, Statement::Kind kind) {
    body.emplace_back();
    body.back().kind = kind;
    body.back().line = now().line;
    return body.back();
  }

  // Expressions, loosest binding first.

  ExpressionPtr parse_expression() {
    const Deeper deeper(*this);
    ExpressionPtr value = parse_or();
    while (is_name("if")) {
      ExpressionPtr choice = make(NodeKind::conditional);
      take();
      choice->operands.push_back(std::move(value));
      choice->operands.push_back(parse_or());
      choice->operands.push_back(take_name("else") ? parse_expression() : nullptr);
      value = std::move(choice);
    }
    return value;
  }

  // a, b without brackets
  ExpressionPtr parse_tuple() {
    ExpressionPtr first = parse_expression();
    if (!is_op(",")) return first;
    ExpressionPtr list = make(NodeKind::list);
    list->operands.push_back(std::move(first));
    while (take_op(",")) list->operands.push_back(parse_expression());
    return list;
  }

  ExpressionPtr parse_or() {
    ExpressionPtr left = parse_and();
    while (is_name("or")) left = parse_right(std::move(left), take().text, &Parser::parse_and);
    return left;
  }

  ExpressionPtr parse_and() {
    ExpressionPtr left = parse_not();
    while (is_name("and")) left = parse_right(std::move(left), take().text, &Parser::parse_not);
    return left;
  }

  ExpressionPtr parse_not() {
    const Deeper deeper(*this);
    if (!is_name("not")) return parse_comparison();
    ExpressionPtr negation = make(NodeKind::unary);
    negation->text = take().text;
    negation->operands.push_back(parse_not());
    return negation;
  }

  ExpressionPtr parse_comparison() {
    ExpressionPtr left = parse_sum();
    const std::string op = take_comparison();
    if (op.empty()) return left;
    left = parse_right(std::move(left), op, &Parser::parse_sum);
    if (!take_comparison().empty()) fail("a chain of comparisons is not supported");
    return left;
  }

  std::string take_comparison() {
    for (const auto op : {"==", "!=", "<", ">", "<=", ">="}) {
      if (take_op(op)) return op;
    }
    if (take_name("in")) return "in";
    if (is_name("not") && next().kind == Token::name && next().text == "in") {
      take();
      take();
      return "not in";
    }
    return "";
  }

  ExpressionPtr parse_sum() { return parse_chain({"+", "-"}, &Parser::parse_concatenation); }

  ExpressionPtr parse_concatenation() { return parse_chain({"~"}, &Parser::parse_product); }

  ExpressionPtr parse_product() { return parse_chain({"*", "/", "//", "%"}, &Parser::parse_power); }

  ExpressionPtr parse_power() {
    ExpressionPtr left = parse_unary(true);
    if (is_op("**")) fail("the operator \"**\" is not supported");
    return left;
  }

  ExpressionPtr parse_unary(bool with_filters) {
    const Deeper deeper(*this);
    ExpressionPtr value;
    if (is_op("-") || is_op("+")) {
      value = make(NodeKind::unary);
      value->text = take().text;
      value->operands.push_back(parse_unary(false));
    } else {
      value = parse_primary();
    }
    value = parse_postfix(std::move(value));
    return with_filters ? parse_filters_and_tests(std::move(value)) : std::move(value);
  }

  ExpressionPtr parse_primary() {
    if (is_op("(")) return parse_bracketed();
    if (is_op("[")) return parse_items(NodeKind::list, "]");
    if (is_op("{")) return parse_items(NodeKind::dict, "}");
    ExpressionPtr value = make(NodeKind::literal);
    switch (now().kind) {
      case Token::string: {
        std::string text = take().text;
        while (is(Token::string)) text += take().text;
        value->value = Value(std::move(text));
        return value;
      }
      case Token::integer: {
        std::int64_t number = 0;
        const std::string text = take().text;
        const auto end = text.data() + text.size();
        if (std::from_chars(text.data(), end, number).ec != std::errc()) fail("a number too large");
        value->value = Value(number);
        return value;
      }
      case Token::real:
        value->value = Value(std::stod(take().text));
        return value;
      case Token::name:
        return parse_name();
      default:
        fail("\"" + now().text + "\" where a value is expected");
    }
  }

  ExpressionPtr parse_name() {
    ExpressionPtr value = make(NodeKind::literal);
    const std::string name = take().text;
    if (name == "true" || name == "True") {
      value->value = Value(true);
    } else if (name == "false" || name == "False") {
      value->value = Value(false);
    } else if (name == "none" || name == "None") {
      value->value = Value(None());
    } else {
      value->kind = NodeKind::name;
      value->text = name;
    }
    return value;
  }

  // (a) is a; (a, b) and () are lists: nothing here tells a tuple from a list.
  ExpressionPtr parse_bracketed() {
    ExpressionPtr list = make(NodeKind::list);
    expect_op("(");
    bool tuple = is_op(")");
    while (!is_op(")")) {
      list->operands.push_back(parse_expression());
      if (!take_op(",")) break;
      tuple = true;
    }
    expect_op(")");
    return tuple ? std::move(list) : std::move(list->operands[0]);
  }

  ExpressionPtr parse_items(NodeKind kind, std::string_view end) {
    ExpressionPtr items = make(kind);
    take();
    while (!take_op(end)) {
      items->operands.push_back(parse_expression());
      if (kind == NodeKind::dict) {
        expect_op(":");
        items->operands.push_back(parse_expression());
      }
      if (!is_op(end)) expect_op(",");
    }
    return items;
  }

  ExpressionPtr parse_postfix(ExpressionPtr value) {
    while (true) {
      if (is_op(".")) {
        ExpressionPtr attribute = make_link(NodeKind::attribute);
        take();
        attribute->operands.push_back(std::move(value));
        if (is(Token::integer)) fail("an index after a dot is not supported");
        attribute->text = expect(Token::name, "an attribute's name").text;
        value = std::move(attribute);
      } else if (is_op("[")) {
        value = parse_subscript(std::move(value));
      } else if (is_op("(")) {
        ExpressionPtr call = make_link(NodeKind::call);
        call->operands.push_back(std::move(value));
        parse_arguments(*call);
        value = std::move(call);
      } else {
        return value;
      }
    }
  }

  ExpressionPtr parse_subscript(ExpressionPtr object) {
    ExpressionPtr item = make_link(NodeKind::item);
    expect_op("[");
    item->operands.push_back(std::move(object));
    item->operands.push_back(is_op(":") ? nullptr : parse_expression());
    if (is_op(":")) {
      item->kind = NodeKind::slice;
      for (int part = 0; part < 2; ++part) {
        const bool given = take_op(":") && !is_op(":") && !is_op("]");
        item->operands.push_back(given ? parse_expression() : nullptr);
      }
    }
    expect_op("]");
    return item;
  }

  // "(" already seen
  void parse_arguments(Expression& call) {
    const Deeper deeper(*this);
    expect_op("(");
    while (!take_op(")")) {
      if (is_op("*") || is_op("**")) fail("unpacking arguments is not supported");
      if (is(Token::name) && next().kind == Token::op && next().text == "=") {
        std::string name = take().text;
        take();
        call.named.emplace_back(std::move(name), parse_expression());
      } else {
        call.operands.push_back(parse_expression());
      }
      if (!is_op(")")) expect_op(",");
    }
  }

  ExpressionPtr parse_filters_and_tests(ExpressionPtr value) {
    while (true) {
      if (is_op("|")) {
        take();
        value = parse_filter(std::move(value));
        value = parse_postfix(std::move(value));
      } else if (is_name("is")) {
        value = parse_test(std::move(value));
      } else if (is_op("(")) {
        value = parse_postfix(std::move(value));
      } else {
        return value;
      }
    }
  }

  ExpressionPtr parse_filter(ExpressionPtr subject) {
    ExpressionPtr filter = make_link(NodeKind::filter);
    filter->text = expect(Token::name, "a filter's name").text;
    filter->operands.push_back(std::move(subject));
    if (is_op("(")) parse_arguments(*filter);
    return filter;
  }

  ExpressionPtr parse_test(ExpressionPtr subject) {
    take();  // is
    const bool negated = take_name("not");
    ExpressionPtr test = make_link(NodeKind::test);
    test->text = expect(Token::name, "a test's name").text;
    test->operands.push_back(std::move(subject));
    const bool word = is(Token::name) && !is_name("else") && !is_name("or") && !is_name("and") &&
                      !is_name("is") && !is_name("if") && !is_name("in") && !is_name("not");
    if (is_op("(")) {
      parse_arguments(*test);
    } else if (word || is(Token::string) || is(Token::integer) || is(Token::real) || is_op("[") ||
               is_op("{")) {
      test->operands.push_back(parse_postfix(parse_primary()));
    }
    if (!negated) return test;
    ExpressionPtr negation = make(NodeKind::unary);
    negation->text = "not";
    negation->operands.push_back(std::move(test));
    return negation;
  }

  using Parse = ExpressionPtr (Parser::*)();

  ExpressionPtr parse_chain(std::initializer_list<std::string_view> ops, Parse operand) {
    ExpressionPtr left = (this->*operand)();
    while (std::any_of(ops.begin(), ops.end(), [this](auto op) { return is_op(op); })) {
      left = parse_right(std::move(left), take().text, operand);
    }
    return left;
  }

  ExpressionPtr parse_right(ExpressionPtr left, const std::string& op, Parse operand) {
    ExpressionPtr binary = make_link(NodeKind::binary);
    binary->text = op;
    binary->operands.push_back(std::move(left));
    binary->operands.push_back((this->*operand)());
    return binary;
  }

  // Lexemes.

  const Lexeme& now() const { return lexemes_[at_]; }

  const Lexeme& next() const { return lexemes_[std::min(at_ + 1, lexemes_.size() - 1)]; }

  const Lexeme& take() {
    const Lexeme& lexeme = lexemes_[at_];
    at_ = std::min(at_ + 1, lexemes_.size() - 1);
    return lexeme;
  }

  bool is(Token kind) const { return now().kind == kind; }

  bool is_op(std::string_view op) const { return is(Token::op) && now().text == op; }

  bool is_name(std::string_view name) const { return is(Token::name) && now().text == name; }

  bool take_op(std::string_view op) {
    if (!is_op(op)) return false;
    take();
    return true;
  }

  bool take_name(std::string_view name) {
    if (!is_name(name)) return false;
    take();
    return true;
  }

  const Lexeme& expect(Token kind, std::string_view what) {
    if (!is(kind)) fail("\"" + now().text + "\" where " + std::string(what) + " is expected");
    return take();
  }

  void expect_op(std::string_view op) {
    if (!take_op(op)) fail("\"" + now().text + "\" where \"" + std::string(op) + "\" is expected");
  }

  void expect_name(std::string_view name) {
    if (!take_name(name)) {
      fail("\"" + now().text + "\" where \"" + std::string(name) + "\" is expected");
    }
  }

  ExpressionPtr make(NodeKind kind) const {
    auto expression = std::make_unique<Expression>();
    expression->kind = kind;
    expression->line = now().line;
    return expression;
  }

  // An expression whose first operand may be a chain of its like.
  ExpressionPtr make_link(NodeKind kind) {
    if (++chain_ > kChainMax) fail("an expression with too many operators");
    return make(kind);
  }

  [[noreturn]] void fail(const std::string& what) const { throw Error(what, now().line); }

  struct Deeper {
    explicit Deeper(Parser& p) : parser(p) {
      if (++parser.depth_ > kDepthMax) parser.fail("nested too deep");
    }

    ~Deeper() { --parser.depth_; }

    Parser& parser;
  };

  std::vector<Lexeme> lexemes_;
  std::size_t at_ = 0;
  int depth_ = 0;
  int chain_ = 0;
};

}  // namespace

Body parse(std::string_view source) {
  return Parser(tokenize(source)).run();
}

}  // namespace moe::jinja
