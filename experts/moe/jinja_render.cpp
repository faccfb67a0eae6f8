#include "experts/moe/jinja_render.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <type_traits>

#include "experts/moe/unicode.h"

namespace moe::jinja {
namespace {

enum class Flow : std::uint8_t { on, break_, continue_ };

class Renderer {
 public:
  Renderer(Dict globals, Runtime& runtime, int macro_depth_max)
      : runtime_(runtime), macro_depth_left_(macro_depth_max) {
    scopes_.push_back(std::move(globals));
  }

  Flow run(const Body& body, std::string& out) {
    for (const Statement& statement : body) {
      runtime_.heap.charge_step();
      const Flow flow = with_line(statement.line, [&] { return run_one(statement, out); });
      if (flow != Flow::on) return flow;
    }
    return Flow::on;
  }

 private:
  // An Error from where no line is known gets the line of what was being done.
  template <class Do>
  std::invoke_result_t<Do> with_line(int line, Do&& act) {
    try {
      return act();
    } catch (Error& error) {
      if (error.line == 0) error.line = line;
      throw;
    }
  }

  Flow run_one(const Statement& s, std::string& out) {
    switch (s.kind) {
      case Statement::Kind::text:
        put(out, s.name);
        return Flow::on;
      case Statement::Kind::print:
        put(out, to_text(evaluate(*s.expression)));
        return Flow::on;
      case Statement::Kind::if_:
        for (const Branch& branch : s.branches) {
          if (!branch.condition || is_true(evaluate(*branch.condition)))
            return run(branch.body, out);
        }
        return Flow::on;
      case Statement::Kind::for_:
        return run_for(s, out);
      case Statement::Kind::set:
        run_set(s);
        return Flow::on;
      case Statement::Kind::macro:
        scopes_.back().set(s.name, Value(&s));
        return Flow::on;
      case Statement::Kind::filter:
        put(out, to_text(filter(*s.expression, Value(captured(s.body)))));
        return Flow::on;
      case Statement::Kind::break_:
        return Flow::break_;
      case Statement::Kind::continue_:
        return Flow::continue_;
    }
    return Flow::on;
  }

  void put(std::string& out, const std::string& text) {
    runtime_.heap.charge_bytes(text.size());
    out += text;
  }

  std::string captured(const Body& body) {
    std::string text;
    run(body, text);
    return text;
  }

  void run_set(const Statement& s) {
    const Value value = s.expression ? evaluate(*s.expression) : Value(captured(s.body));
    if (s.targets.size() > 1) return unpack(s.targets, value);
    const std::string& target = s.targets[0];
    const std::size_t dot = target.find('.');
    if (dot == std::string::npos) {
      scopes_.back().set(target, value);
      return;
    }
    const Value object = look_up(target.substr(0, dot));
    if (object.dict() == nullptr) throw Error("\"" + target.substr(0, dot) + "\" is no namespace");
    object.dict()->set(target.substr(dot + 1), value);
  }

  void unpack(const std::vector<std::string>& targets, const Value& value) {
    const List items = items_of(value, runtime_);
    if (items.size() != targets.size()) {
      throw Error(std::to_string(items.size()) + " values for " + std::to_string(targets.size()) +
                  " variables");
    }
    for (std::size_t i = 0; i < items.size(); ++i) scopes_.back().set(targets[i], items[i]);
  }

  Flow run_for(const Statement& s, std::string& out) {
    List items = items_of(evaluate(*s.expression), runtime_);
    scopes_.emplace_back();
    const Leaving leave(*this);
    if (s.filter) {
      std::erase_if(items, [&](const Value& item) {
        assign_targets(s.targets, item);
        return !is_true(evaluate(*s.filter));
      });
    }
    if (items.empty()) return run(s.otherwise, out);
    for (std::size_t i = 0; i < items.size(); ++i) {
      scopes_.back() = Dict();  // what an iteration sets ends with it
      assign_targets(s.targets, items[i]);
      scopes_.back().set("loop", Value(runtime_.heap.add(loop_of(items, i))));
      if (run(s.body, out) == Flow::break_) break;
    }
    return Flow::on;
  }

  void assign_targets(const std::vector<std::string>& targets, const Value& item) {
    if (targets.size() > 1) {
      unpack(targets, item);
    } else {
      scopes_.back().set(targets[0], item);
    }
  }

  static Dict loop_of(const List& items, std::size_t i) {
    const auto count = [](std::size_t n) { return Value(static_cast<std::int64_t>(n)); };
    Dict loop;
    loop.items = {{"index", count(i + 1)},
                  {"index0", count(i)},
                  {"revindex", count(items.size() - i)},
                  {"revindex0", count(items.size() - i - 1)},
                  {"first", Value(i == 0)},
                  {"last", Value(i + 1 == items.size())},
                  {"length", count(items.size())}};
    if (i > 0) loop.set("previtem", items[i - 1]);
    if (i + 1 < items.size()) loop.set("nextitem", items[i + 1]);
    return loop;
  }

  Value look_up(const std::string& name) const {
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      if (const Value* value = scope->find(name)) return *value;
    }
    return find_function(name);
  }

  Value evaluate(const Expression& e) {
    runtime_.heap.charge_step();
    return with_line(e.line, [&] { return evaluate_one(e); });
  }

  Value evaluate_one(const Expression& e) {
    using Kind = Expression::Kind;
    switch (e.kind) {
      case Kind::literal:
        return e.value;
      case Kind::name:
        return look_up(e.text);
      case Kind::list:
        return runtime_.heap.add(evaluate_all(e.operands, 0));
      case Kind::dict:
        return make_dict(e);
      case Kind::attribute:
        return find_item(evaluate(*e.operands[0]), Value(e.text), runtime_);
      case Kind::item: {
        const Value object = evaluate(*e.operands[0]);
        return find_item(object, evaluate(*e.operands[1]), runtime_);
      }
      case Kind::slice:
        return slice(e);
      case Kind::call:
        return call(e);
      case Kind::filter:
        return filter(e, evaluate(*e.operands[0]));
      case Kind::test: {
        const Value subject = evaluate(*e.operands[0]);
        return apply_test(e.text, subject, arguments_of(e));
      }
      case Kind::unary:
        return unary(e);
      case Kind::binary:
        return binary(e);
      case Kind::conditional:
        if (is_true(evaluate(*e.operands[1]))) return evaluate(*e.operands[0]);
        return e.operands[2] ? evaluate(*e.operands[2]) : Value(Undefined{"if without else"});
    }
    return Value();
  }

  List evaluate_all(const std::vector<ExpressionPtr>& expressions, std::size_t from) {
    List values;
    for (std::size_t i = from; i < expressions.size(); ++i)
      values.push_back(evaluate(*expressions[i]));
    return values;
  }

  Value make_dict(const Expression& e) {
    Dict dict;
    for (std::size_t i = 0; i + 1 < e.operands.size(); i += 2) {
      const Value key = evaluate(*e.operands[i]);
      if (key.text() == nullptr) {
        throw Error("a mapping whose key is " + std::string(type_name(key)) + " is not supported");
      }
      dict.set(*key.text(), evaluate(*e.operands[i + 1]));
    }
    return runtime_.heap.add(std::move(dict));
  }

  Arguments arguments_of(const Expression& e) {
    Arguments arguments;
    arguments.positional = evaluate_all(e.operands, 1);
    for (const auto& [name, expression] : e.named)
      arguments.named.emplace_back(name, evaluate(*expression));
    return arguments;
  }

  Value filter(const Expression& e, const Value& subject) {
    return apply_filter(e.text, subject, arguments_of(e), runtime_);
  }

  Value call(const Expression& e) {
    const Expression& callee = *e.operands[0];
    if (callee.kind == Expression::Kind::attribute) {
      const Value object = evaluate(*callee.operands[0]);
      return call_method(callee.text, object, arguments_of(e), runtime_);
    }
    if (callee.kind != Expression::Kind::name) throw Error("a call of what is no name");
    const Value found = look_up(callee.text);
    const auto* macro = found.as<const Statement*>();
    if (macro != nullptr) return call_macro(**macro, arguments_of(e));
    const auto* function = found.as<Builtin>();
    if (function != nullptr) return call_function(function->name, arguments_of(e), runtime_);
    if (found.undefined()) throw Error("the function \"" + callee.text + "\" is not supported");
    throw Error("a call of " + std::string(type_name(found)));
  }

  // A macro sees its parameters and the template's own variables, not its caller's.
  Value call_macro(const Statement& macro, const Arguments& arguments) {
    if (macro_depth_left_ == 0) throw Error("macros call each other too deep");
    if (arguments.positional.size() > macro.targets.size()) {
      throw Error("too many arguments for the macro \"" + macro.name + "\"");
    }
    Dict scope;
    for (std::size_t i = 0; i < macro.targets.size(); ++i) {
      const Value* given = arguments.find(i, macro.targets[i]);
      if (given != nullptr) {
        scope.set(macro.targets[i], *given);
      } else if (macro.defaults[i]) {
        scope.set(macro.targets[i], evaluate(*macro.defaults[i]));
      } else {
        scope.set(macro.targets[i], Undefined{macro.targets[i]});
      }
    }
    const MacroScopes scopes(*this, std::move(scope));
    return Value(captured(macro.body));
  }

  Value slice(const Expression& e) {
    const Value object = evaluate(*e.operands[0]);
    if (object.list() == nullptr && object.text() == nullptr) {
      throw Error("a slice of " + std::string(type_name(object)));
    }
    const std::int64_t length = length_of(object);
    const auto part = [&](std::size_t i) -> Value {
      return e.operands[i] ? evaluate(*e.operands[i]) : Value(None());
    };
    const Value from = part(1), to = part(2), by = part(3);
    const std::int64_t step = by.as<None>() != nullptr ? 1 : integer(by, "a slice's step");
    if (step == 0) throw Error("a slice with step 0");
    const std::int64_t low = step > 0 ? 0 : -1;
    const std::int64_t high = step > 0 ? length : length - 1;
    const auto place = [&](const Value& v, std::int64_t otherwise) {
      if (v.as<None>() != nullptr) return otherwise;
      const std::int64_t at = integer(v, "a slice's end");
      return std::clamp(at < 0 ? at + length : at, low, high);
    };
    const std::int64_t begin = place(from, step > 0 ? 0 : length - 1);
    const std::int64_t end = place(to, step > 0 ? length : -1);
    const List items = items_of(object, runtime_);
    List chosen;
    const std::int64_t stride = std::clamp(step, -length - 1, length + 1);
    for (std::int64_t i = begin; stride > 0 ? i < end : i > end; i += stride) {
      chosen.push_back(items[static_cast<std::size_t>(i)]);
    }
    if (object.list() != nullptr) return runtime_.heap.add(std::move(chosen));
    std::string text;
    for (const Value& c : chosen) text += *c.text();
    return make_text(runtime_, std::move(text));
  }

  Value unary(const Expression& e) {
    const Value value = evaluate(*e.operands[0]);
    if (e.text == "not") return !is_true(value);
    if (!is_number(value)) throw Error("\"" + e.text + "\" of " + std::string(type_name(value)));
    if (e.text == "+") return value;
    if (value.as<double>() != nullptr) return -number(value);
    return arithmetic("-", Value(std::int64_t{0}), value);
  }

  Value binary(const Expression& e) {
    const Value left = evaluate(*e.operands[0]);
    const std::string& op = e.text;
    if (op == "and") return is_true(left) ? evaluate(*e.operands[1]) : left;
    if (op == "or") return is_true(left) ? left : evaluate(*e.operands[1]);
    const Value right = evaluate(*e.operands[1]);
    if (op == "==") return equal(left, right);
    if (op == "!=") return !equal(left, right);
    if (op == "in") return contains(right, left);
    if (op == "not in") return !contains(right, left);
    if (op == "~") return make_text(runtime_, to_text(left) + to_text(right));
    if (op == "<") return less(left, right);
    if (op == ">") return less(right, left);
    if (op == "<=") return !less(right, left);
    if (op == ">=") return !less(left, right);
    return arithmetic(op, left, right);
  }

  Value arithmetic(const std::string& op, const Value& left, const Value& right) {
    for (const Value* side : {&left, &right}) {
      if (side->undefined()) throw Error("\"" + side->as<Undefined>()->name + "\" is undefined");
    }
    if (op == "+" && left.text() != nullptr && right.text() != nullptr) {
      return make_text(runtime_, *left.text() + *right.text());
    }
    if (op == "+" && left.list() != nullptr && right.list() != nullptr) {
      List joined = *left.list();
      joined.insert(joined.end(), right.list()->begin(), right.list()->end());
      return runtime_.heap.add(std::move(joined));
    }
    if (op == "*" && left.text() != nullptr && right.as<std::int64_t>() != nullptr) {
      return repeat(*left.text(), *right.as<std::int64_t>());
    }
    if (!is_number(left) || !is_number(right)) {
      throw Error("\"" + op + "\" of " + std::string(type_name(left)) + " and " +
                  std::string(type_name(right)));
    }
    if (op == "/" || left.as<double>() != nullptr || right.as<double>() != nullptr) {
      return real_arithmetic(op, number(left), number(right));
    }
    return whole_arithmetic(op, integer(left, op), integer(right, op));
  }

  Value repeat(const std::string& text, std::int64_t times) {
    std::string out;
    for (std::int64_t i = 0; i < times && !text.empty(); ++i) {
      runtime_.heap.charge_step();
      runtime_.heap.charge_bytes(text.size());
      out += text;
    }
    return Value(std::move(out));
  }

  static Value real_arithmetic(const std::string& op, double a, double b) {
    if (op == "+") return a + b;
    if (op == "-") return a - b;
    if (op == "*") return a * b;
    if (op == "/" && b != 0) return a / b;
    throw Error("\"" + op + "\" of these real numbers is not supported");
  }

  static Value whole_arithmetic(const std::string& op, std::int64_t a, std::int64_t b) {
    std::int64_t result = 0;
    bool overflow = false;
    if (op == "+") {
      overflow = __builtin_add_overflow(a, b, &result);
    } else if (op == "-") {
      overflow = __builtin_sub_overflow(a, b, &result);
    } else if (op == "*") {
      overflow = __builtin_mul_overflow(a, b, &result);
    } else {  // // and %, rounding down as Python does
      if (b == 0 || (b == -1 && a == std::numeric_limits<std::int64_t>::min())) {
        throw Error("a division by zero or beyond the integers");
      }
      const bool down = a % b != 0 && (a < 0) != (b < 0);
      result = op == "%" ? a % b + (down ? b : 0) : a / b - (down ? 1 : 0);
    }
    if (overflow) throw Error("an integer beyond 64 bits");
    return result;
  }

  struct Leaving {
    explicit Leaving(Renderer& r) : renderer(r) {}

    ~Leaving() { renderer.scopes_.pop_back(); }

    Renderer& renderer;
  };

  // While a macro runs: the template's own variables and its parameters.
  struct MacroScopes {
    MacroScopes(Renderer& r, Dict parameters) : renderer(r) {
      auto& scopes = renderer.scopes_;
      callers.assign(std::make_move_iterator(scopes.begin() + 1),
                     std::make_move_iterator(scopes.end()));
      scopes.resize(1);
      scopes.push_back(std::move(parameters));
      --renderer.macro_depth_left_;
    }

    ~MacroScopes() {
      renderer.scopes_.resize(1);
      std::move(callers.begin(), callers.end(), std::back_inserter(renderer.scopes_));
      ++renderer.macro_depth_left_;
    }

    Renderer& renderer;
    std::vector<Dict> callers;
  };

  Runtime& runtime_;
  int macro_depth_left_;
  std::vector<Dict> scopes_;  // the template's own first
};

}  // namespace

std::string render(const Body& body, Dict globals, Runtime& runtime, int macro_depth_max) {
  std::string out;
  Renderer(std::move(globals), runtime, macro_depth_max).run(body, out);
  return out;
}

}  // namespace moe::jinja
