// engine/text/jinja/ast.h — A parsed template: statements and expressions as plain trees.
// Built once by the parser, then immutable and shared by all renderings.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/text/jinja/value.h"

namespace swarm::engine::text::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;
using Keywords = std::vector<std::pair<std::string, ExpressionPtr>>;

enum class Operator : uint8_t {
  add, subtract, multiply, divide, floor_divide, modulo, power,
  equal, not_equal, less, less_equal, greater, greater_equal, in, not_in,
};

struct Expression {
  enum class Kind : uint8_t {
    literal,       // value
    name,          // text
    list,          // parts
    tuple,         // parts
    dict,          // parts: key, value, key, value, ...
    attribute,     // parts[0] . text
    subscript,     // parts[0] [ parts[1] ]
    slice,         // parts[0] [ parts[1] : parts[2] : parts[3] ], each of 1-3 may be null
    call,          // parts[0] ( parts[1...], keywords )
    filter,        // parts[0] | text ( parts[1...], keywords )
    test,          // parts[0] is text ( parts[1...] )
    logic_not,     // parts[0]
    logic_and,     // parts[0], parts[1]
    logic_or,      // parts[0], parts[1]
    negative,      // parts[0]
    positive,      // parts[0]
    binary,        // parts[0] operators[0] parts[1]
    compare,       // parts[0] operators[0] parts[1] operators[1] parts[2] ...
    concat,        // parts, joined as text
    conditional,   // parts[0] if parts[1] else parts[2] (null: undefined)
  };
  Kind kind = Kind::literal;
  size_t at = 0;  // byte offset in the source
  int depth = 0;  // levels below; bounded, so that evaluation cannot overflow the stack
  std::string text = {};
  Value value = {};
  std::vector<ExpressionPtr> parts = {};
  std::vector<Operator> operators = {};
  Keywords keywords = {};
};

// Where a set block keeps its rendered body while its filters run.
inline constexpr const char* kSetBlockBody = " body";

struct Statement;
using Body = std::vector<Statement>;

struct Statement {
  enum class Kind : uint8_t {
    text,          // literal
    output,        // expression
    loop,          // for targets in expression [if condition]: body, otherwise
    branch,        // if expression: body, otherwise
    set,           // targets = expression
    set_member,    // targets[0] . name = expression
    set_block,     // targets[0] = body, through the filters of expression if not null
    macro,         // name(parameters): body
    group,         // body, as it is (generation blocks)
    leave,         // break
    next,          // continue
  };
  Kind kind = Kind::text;
  size_t at = 0;
  MarkedText literal = {};
  std::string name = {};
  std::vector<std::string> targets = {};
  ExpressionPtr expression = nullptr;
  ExpressionPtr condition = nullptr;
  Keywords parameters = {};  // of a macro, with defaults or null
  Body body = {};
  Body otherwise = {};
};

}  // namespace swarm::engine::text::jinja
