// Templates as trees. The language is Jinja 3 (https://jinja.palletsprojects.com/templates/) as
// transformers.apply_chat_template sets it up: trim_blocks, lstrip_blocks, loop controls.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "experts/moe/jinja_value.h"

namespace moe::jinja {

enum class Token : std::uint8_t {
  text,
  print_begin,
  print_end,
  block_begin,
  block_end,
  name,
  string,
  integer,
  real,
  op,
  end
};

struct Lexeme {
  Token kind = Token::end;
  std::string text;  // of a string: without quotes, escapes resolved
  int line = 0;
};

/// Throws Error with a line.
std::vector<Lexeme> tokenize(std::string_view source);

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

/// `operands` by kind:
/// literal: `value` | name: `text` | list: items | dict: key, value, key, value ...
/// attribute: object, and `text` | item: object, index | slice: object, from, to, step (null: none)
/// call: callee, arguments ... | filter, test: subject, arguments ..., and `text` the name
/// unary (`text` - + not), binary (`text` the operator): left, right
/// conditional: then, condition, otherwise (null: none)
struct Expression {
  enum class Kind : std::uint8_t {
    literal,
    name,
    list,
    dict,
    attribute,
    item,
    slice,
    call,
    filter,
    test,
    unary,
    binary,
    conditional
  };
  Kind kind = Kind::literal;
  int line = 0;
  std::string text;
  Value value;
  std::vector<ExpressionPtr> operands;
  std::vector<std::pair<std::string, ExpressionPtr>> named;  // keyword arguments
};

struct Statement;
using Body = std::vector<Statement>;

struct Branch {
  ExpressionPtr condition;  // null: else
  Body body;
};

/// text: `name` | print: `expression` | if: `branches` | set: `targets`, `expression` or (block)
/// `body`; one target "ns.x" for an attribute | for: `targets` in `expression`, `filter` (or null),
/// `body`, `otherwise` | macro: `name`, `targets` the parameters, `defaults` (null: none), `body`
/// filter: `expression` is the filter on an empty literal, `body`
struct Statement {
  enum class Kind : std::uint8_t { text, print, if_, for_, set, macro, filter, break_, continue_ };
  Kind kind = Kind::text;
  int line = 0;
  std::string name;
  ExpressionPtr expression;
  ExpressionPtr filter;
  std::vector<Branch> branches;
  std::vector<std::string> targets;
  std::vector<ExpressionPtr> defaults;
  Body body;
  Body otherwise;
};

/// Throws Error with a line, for what is no Jinja and for what is not supported, by name.
Body parse(std::string_view source);

}  // namespace moe::jinja
