// engine/text/jinja/interpreter.h — Runs a parsed template once: walks the tree, keeps the scopes,
// writes the output. Throws SyntaxFailure with the place of the expression that failed. One object
// per rendering.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/lexer.h"
#include "engine/text/jinja/runtime.h"

namespace swarm::engine::text::jinja {

class Interpreter {
 public:
  Interpreter(const Dict& variables, const Limits& limits);
  MarkedText run(const Body& body);

 private:
  enum class Flow : uint8_t { normal, leave, next };

  Flow run_body(const Body& body);
  Flow run_statement(const Statement& statement);
  void run_loop(const Statement& loop);
  List filtered_items(const Statement& loop);
  void set_member(const Statement& statement);
  void set_block(const Statement& statement);
  void write(const MarkedText& text);

  Value evaluate(const Expression& node);
  Value evaluate_parts(const Expression& node);
  Value evaluate_compare(const Expression& node);
  Value evaluate_slice(const Expression& node);
  Value evaluate_call(const Expression& node);
  Value evaluate_dict(const Expression& node);
  Value evaluate_concat(const Expression& node);
  Arguments arguments_of(const Expression& node);
  Value call(const Value& callee, const Arguments& arguments);
  Value call_macro(const Statement& macro, const Arguments& arguments);

  Value lookup(const std::string& name) const;
  void assign(const std::string& name, Value value);
  void assign_targets(const std::vector<std::string>& targets, const Value& value);
  MarkedText capture(const Body& body);

  Runtime runtime_;
  std::vector<Dict> scopes_;   // [0]: variables and top-level assignments
  size_t frame_ = 0;           // first scope of the running macro; scopes below it are not visible
  int calls_ = 0;
  size_t at_ = 0;              // offset of what is evaluated now, for errors
  MarkedText out_;
};

}  // namespace swarm::engine::text::jinja
