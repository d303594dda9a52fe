#include "engine/text/jinja/interpreter.h"

namespace swarm::engine::text::jinja {
namespace {

using Kind = Expression::Kind;

// A scope that ends with the block, whatever happens in it.
class ScopeGuard {
 public:
  explicit ScopeGuard(std::vector<Dict>& scopes) : scopes_(scopes) { scopes_.emplace_back(); }
  ~ScopeGuard() { scopes_.pop_back(); }
  ScopeGuard(const ScopeGuard&) = delete;
  ScopeGuard& operator=(const ScopeGuard&) = delete;

 private:
  std::vector<Dict>& scopes_;
};

Value loop_variable(const List& items, size_t index) {
  const auto count = static_cast<int64_t>(items.size()), i = static_cast<int64_t>(index);
  Value position = Value::dict({{"index0", Value::integer(i)}});
  Dict loop{{"index", Value::integer(i + 1)},
            {"index0", Value::integer(i)},
            {"revindex", Value::integer(count - i)},
            {"revindex0", Value::integer(count - i - 1)},
            {"first", Value::boolean(index == 0)},
            {"last", Value::boolean(index + 1 == items.size())},
            {"length", Value::integer(count)}};
  loop.emplace_back(
      "cycle", Value::callable({.kind = Callable::Kind::method,
                                .name = "cycle",
                                .self = std::make_shared<const Value>(std::move(position))}));
  if (index > 0) loop.emplace_back("previtem", items[index - 1]);
  if (index + 1 < items.size()) loop.emplace_back("nextitem", items[index + 1]);
  return Value::dict(std::move(loop));
}

}  // namespace

Interpreter::Interpreter(const Dict& variables, const Limits& limits) : runtime_(limits) {
  scopes_.push_back(variables);
}

MarkedText Interpreter::run(const Body& body) {
  try {
    run_body(body);
  } catch (const Failure& failure) {
    throw SyntaxFailure{failure, at_};
  }
  return std::move(out_);
}

void Interpreter::write(const MarkedText& text) {
  out_.append(text);
  runtime_.charge_bytes(text.size());
  if (out_.size() > runtime_.limits().output_bytes_max) runtime_.charge_bytes(out_.size());
}

Interpreter::Flow Interpreter::run_body(const Body& body) {
  for (const Statement& statement : body)
    if (const Flow flow = run_statement(statement); flow != Flow::normal) return flow;
  return Flow::normal;
}

Interpreter::Flow Interpreter::run_statement(const Statement& statement) {
  runtime_.charge(1);
  at_ = statement.at;
  switch (statement.kind) {
    case Statement::Kind::text:
      write(statement.literal);
      break;
    case Statement::Kind::output:
      write(to_text(evaluate(*statement.expression)));
      break;
    case Statement::Kind::loop:
      run_loop(statement);
      break;
    case Statement::Kind::branch:
      return run_body(truth(evaluate(*statement.expression)) ? statement.body
                                                             : statement.otherwise);
    case Statement::Kind::set:
      assign_targets(statement.targets, evaluate(*statement.expression));
      break;
    case Statement::Kind::set_member:
      set_member(statement);
      break;
    case Statement::Kind::set_block:
      set_block(statement);
      break;
    case Statement::Kind::macro:
      assign(statement.name, Value::callable({.kind = Callable::Kind::macro,
                                              .name = statement.name,
                                              .macro = &statement}));
      break;
    case Statement::Kind::group:
      return run_body(statement.body);
    case Statement::Kind::leave:
      return Flow::leave;
    case Statement::Kind::next:
      return Flow::next;
  }
  return Flow::normal;
}

List Interpreter::filtered_items(const Statement& loop) {
  List items = iterate(evaluate(*loop.expression));
  runtime_.charge(items.size());
  if (!loop.condition) return items;
  List kept;
  for (Value& item : items) {
    const ScopeGuard scope(scopes_);
    assign_targets(loop.targets, item);
    if (truth(evaluate(*loop.condition))) kept.push_back(std::move(item));
  }
  return kept;
}

void Interpreter::run_loop(const Statement& loop) {
  const List items = filtered_items(loop);
  for (size_t i = 0; i < items.size(); ++i) {
    runtime_.charge(1);
    const ScopeGuard scope(scopes_);
    at_ = loop.at;
    assign_targets(loop.targets, items[i]);
    assign("loop", loop_variable(items, i));
    if (run_body(loop.body) == Flow::leave) break;
  }
  if (!items.empty()) return;
  const ScopeGuard scope(scopes_);
  run_body(loop.otherwise);
}

void Interpreter::set_member(const Statement& statement) {
  Value value = evaluate(*statement.expression);
  const Value object = lookup(statement.targets[0]);
  at_ = statement.at;
  Namespace* space = object.as_namespace();
  if (space == nullptr)
    fail("expected a namespace to set \"" + statement.name + "\" of, found " +
         std::string(object.kind_name()));
  if (value.holds_namespace()) fail("a namespace cannot hold a namespace");
  for (auto& [name, held] : space->members)
    if (name == statement.name) {
      held = std::move(value);
      return;
    }
  space->members.emplace_back(statement.name, std::move(value));
}

MarkedText Interpreter::capture(const Body& body) {
  MarkedText outer = std::exchange(out_, {});
  run_body(body);
  return std::exchange(out_, std::move(outer));
}

void Interpreter::set_block(const Statement& statement) {
  Value value;
  {
    const ScopeGuard scope(scopes_);
    value = Value::string(capture(statement.body));
    if (statement.expression) {
      assign(kSetBlockBody, value);
      value = evaluate(*statement.expression);
    }
  }
  assign(statement.targets[0], std::move(value));
}

Value Interpreter::lookup(const std::string& name) const {
  for (size_t i = scopes_.size(); i-- > frame_;)
    if (const Value* found = find(scopes_[i], name)) return *found;
  if (const Value* found = find(scopes_[0], name)) return *found;
  if (is_function(name)) return Value::callable({.kind = Callable::Kind::function, .name = name});
  return Value::undefined("\"" + name + "\"");
}

void Interpreter::assign(const std::string& name, Value value) {
  for (auto& [held_name, held] : scopes_.back())
    if (held_name == name) {
      held = std::move(value);
      return;
    }
  scopes_.back().emplace_back(name, std::move(value));
}

void Interpreter::assign_targets(const std::vector<std::string>& targets, const Value& value) {
  if (targets.size() == 1) return assign(targets[0], value);
  List items = iterate(value);
  if (items.size() != targets.size())
    fail("expected " + std::to_string(targets.size()) + " values to unpack, found " +
         std::to_string(items.size()));
  for (size_t i = 0; i < items.size(); ++i) assign(targets[i], std::move(items[i]));
}

Value Interpreter::evaluate(const Expression& node) {
  runtime_.charge(1);
  at_ = node.at;
  switch (node.kind) {
    case Kind::literal:
      return node.value;
    case Kind::name:
      return lookup(node.text);
    case Kind::logic_and: {
      Value left = evaluate(*node.parts[0]);
      return truth(left) ? evaluate(*node.parts[1]) : left;
    }
    case Kind::logic_or: {
      Value left = evaluate(*node.parts[0]);
      return truth(left) ? left : evaluate(*node.parts[1]);
    }
    case Kind::conditional:
      if (truth(evaluate(*node.parts[1]))) return evaluate(*node.parts[0]);
      if (!node.parts[2]) return Value::undefined("the missing else");
      return evaluate(*node.parts[2]);
    case Kind::compare:
      return evaluate_compare(node);
    case Kind::slice:
      return evaluate_slice(node);
    case Kind::call:
      return evaluate_call(node);
    case Kind::dict:
      return evaluate_dict(node);
    case Kind::concat:
      return evaluate_concat(node);
    case Kind::filter: {
      const Value input = evaluate(*node.parts[0]);
      const Arguments arguments = arguments_of(node);
      at_ = node.at;
      return apply_filter(runtime_, node.text, input, arguments);
    }
    case Kind::test: {
      const Value value = evaluate(*node.parts[0]);
      const Arguments arguments = arguments_of(node);
      at_ = node.at;
      return Value::boolean(apply_test(runtime_, node.text, value, arguments));
    }
    default:
      return evaluate_parts(node);
  }
}

// The kinds whose parts are all evaluated, in order, before anything happens.
Value Interpreter::evaluate_parts(const Expression& node) {
  List values;
  for (const ExpressionPtr& part : node.parts) values.push_back(evaluate(*part));
  at_ = node.at;
  switch (node.kind) {
    case Kind::list:
      return Value::list(std::move(values));
    case Kind::tuple:
      return Value::tuple(std::move(values));
    case Kind::attribute:
      return get_attribute(values[0], node.text);
    case Kind::subscript:
      return get_item(runtime_, values[0], values[1]);
    case Kind::logic_not:
      return Value::boolean(!truth(values[0]));
    case Kind::negative:
      return negate(values[0]);
    case Kind::positive:
      return negate(negate(values[0]));
    default:
      return binary(runtime_, node.operators[0], values[0], values[1]);
  }
}

Value Interpreter::evaluate_compare(const Expression& node) {
  Value left = evaluate(*node.parts[0]);
  for (size_t i = 0; i < node.operators.size(); ++i) {
    Value right = evaluate(*node.parts[i + 1]);
    at_ = node.at;
    if (!compare(runtime_, node.operators[i], left, right)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Interpreter::evaluate_slice(const Expression& node) {
  const Value object = evaluate(*node.parts[0]);
  const auto bound = [&](size_t i) {
    return node.parts[i] ? evaluate(*node.parts[i]) : Value::none();
  };
  const Value start = bound(1), stop = bound(2), step = bound(3);
  at_ = node.at;
  return slice(runtime_, object, start, stop, step);
}

Value Interpreter::evaluate_dict(const Expression& node) {
  Dict members;
  for (size_t i = 0; i < node.parts.size(); i += 2) {
    const Value key = evaluate(*node.parts[i]);
    if (!key.is_string()) fail_unsupported("expected a string as key of a mapping");
    Value value = evaluate(*node.parts[i + 1]);
    at_ = node.at;
    runtime_.charge(members.size());
    const std::string& name = key.as_string()->text();
    bool replaced = false;
    for (auto& [held_name, held] : members)
      if (held_name == name) {
        held = value;
        replaced = true;
      }
    if (!replaced) members.emplace_back(name, std::move(value));
  }
  return Value::dict(std::move(members));
}

Value Interpreter::evaluate_concat(const Expression& node) {
  MarkedText out;
  for (const ExpressionPtr& part : node.parts) {
    const MarkedText text = to_text(evaluate(*part));
    at_ = node.at;
    runtime_.charge_bytes(out.size() + text.size());
    out.append(text);
  }
  return Value::string(std::move(out));
}

Arguments Interpreter::arguments_of(const Expression& node) {
  Arguments arguments;
  for (size_t i = 1; i < node.parts.size(); ++i)
    arguments.positional.push_back(evaluate(*node.parts[i]));
  for (const auto& [name, part] : node.keywords)
    arguments.keywords.emplace_back(name, evaluate(*part));
  return arguments;
}

Value Interpreter::evaluate_call(const Expression& node) {
  const Value callee = evaluate(*node.parts[0]);
  const Arguments arguments = arguments_of(node);
  at_ = node.at;
  if (const Undefined* undefined = callee.as_undefined())
    fail("unknown function: " + undefined->name + " is undefined");
  return call(callee, arguments);
}

Value Interpreter::call(const Value& callee, const Arguments& arguments) {
  const Callable* callable = callee.as_callable();
  if (callable == nullptr) fail("expected a function, found " + std::string(callee.kind_name()));
  switch (callable->kind) {
    case Callable::Kind::function:
      return call_function(runtime_, callable->name, arguments);
    case Callable::Kind::method:
      return call_method(runtime_, *callable->self, callable->name, arguments);
    default:
      return call_macro(*callable->macro, arguments);
  }
}

Value Interpreter::call_macro(const Statement& macro, const Arguments& arguments) {
  if (calls_ >= runtime_.limits().calls_max)
    throw Failure{ErrorKind::invalid_input,
                  "expected at most " + std::to_string(runtime_.limits().calls_max) +
                      " macros inside macros"};
  std::vector<std::string_view> names;
  for (const auto& [name, otherwise] : macro.parameters) names.push_back(name);
  arguments.check("macro " + macro.name, names);
  const size_t frame = frame_;
  Value result;
  {
    const ScopeGuard scope(scopes_);
    frame_ = scopes_.size() - 1;
    ++calls_;
    for (size_t i = 0; i < macro.parameters.size(); ++i) {
      const auto& [name, otherwise] = macro.parameters[i];
      const Value* given = arguments.find(i, name);
      if (given != nullptr) {
        assign(name, *given);
      } else {
        assign(name, otherwise ? evaluate(*otherwise) : Value::undefined("\"" + name + "\""));
      }
    }
    result = Value::string(capture(macro.body));
    --calls_;
  }
  frame_ = frame;
  return result;
}

}  // namespace swarm::engine::text::jinja
