// engine/text/jinja/parser.h — Tokens to a tree. What the language has but this interpreter lacks
// (import, extends, include, block, call, autoescape ...) is refused by name with its place.
// Throws SyntaxFailure. Nesting is bounded. Pure, thread-safe.
#pragma once

#include <string_view>
#include <vector>

#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/lexer.h"

namespace swarm::engine::text::jinja {

// source: normalised (see lexer.h).
Body parse(std::string_view source);

// Expressions only; used by the parser of statements. Reads from tokens[at], stops behind the
// expression.
class ExpressionParser {
 public:
  explicit ExpressionParser(const std::vector<Token>& tokens) : tokens_(tokens) {}

  ExpressionPtr parse_expression();            // conditional
  ExpressionPtr parse_tuple();                 // a or a, b
  ExpressionPtr parse_without_conditional();   // for X in THIS if ...
  ExpressionPtr parse_filters(ExpressionPtr node);  // | name(...) ... behind a value

  const Token& current() const { return tokens_[at_]; }
  const Token& next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token take();
  bool is_name(std::string_view word) const;
  bool is_punctuation(std::string_view text) const;
  bool skip_name(std::string_view word);
  bool skip_punctuation(std::string_view text);
  void expect_punctuation(std::string_view text);
  std::string expect_name(std::string_view what);
  [[noreturn]] void refuse(std::string expected) const;  // "expected X, found Y" at current()

 private:
  struct Deeper;
  ExpressionPtr make(Expression::Kind kind, size_t at, std::vector<ExpressionPtr> parts = {});
  // Measures a node whose parts are complete and refuses trees that are too deep.
  ExpressionPtr measured(ExpressionPtr node) const;
  ExpressionPtr parse_or();
  ExpressionPtr parse_and();
  ExpressionPtr parse_not();
  ExpressionPtr parse_compare();
  ExpressionPtr parse_sum();
  ExpressionPtr parse_concat();
  ExpressionPtr parse_product();
  ExpressionPtr parse_power();
  ExpressionPtr parse_unary(bool with_filters);
  ExpressionPtr parse_primary();
  ExpressionPtr parse_name();
  ExpressionPtr parse_parentheses();
  ExpressionPtr parse_list();
  ExpressionPtr parse_dict();
  ExpressionPtr parse_postfix(ExpressionPtr node);
  ExpressionPtr parse_attribute(ExpressionPtr node);
  ExpressionPtr parse_subscript(ExpressionPtr node);
  ExpressionPtr parse_call(ExpressionPtr node);
  ExpressionPtr parse_test(ExpressionPtr node);
  void parse_arguments(Expression& call);
  bool compare_operator(Operator& out);

  const std::vector<Token>& tokens_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace swarm::engine::text::jinja
