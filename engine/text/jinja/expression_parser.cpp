#include <algorithm>

#include "engine/text/jinja/parser.h"
#include "engine/text/jinja/runtime.h"

namespace swarm::engine::text::jinja {
namespace {

constexpr int kNestingMax = 60;   // while parsing
constexpr int kTreeDepthMax = 120;  // of the result; chains like a + b + c count too
using Kind = Expression::Kind;

std::string describe(const Token& token) {
  switch (token.kind) {
    case Token::Kind::text: return "template text";
    case Token::Kind::output_begin: return "\"{{\"";
    case Token::Kind::output_end: return "\"}}\"";
    case Token::Kind::block_begin: return "\"{%\"";
    case Token::Kind::block_end: return "\"%}\"";
    case Token::Kind::string: return "a string";
    case Token::Kind::end: return "the end of the template";
    default: return "\"" + token.text + "\"";
  }
}

[[noreturn]] void refuse_unknown(std::string_view what, const Expression& node) {
  throw SyntaxFailure{
      {ErrorKind::unsupported, "unknown " + std::string(what) + " \"" + node.text + "\""}, node.at};
}

template <class... Parts>
std::vector<ExpressionPtr> parts_of(Parts... parts) {
  std::vector<ExpressionPtr> out;
  (out.push_back(std::move(parts)), ...);
  return out;
}

}  // namespace

struct ExpressionParser::Deeper {
  explicit Deeper(ExpressionParser& owner) : parser(owner) {
    if (++parser.depth_ > kNestingMax)
      parser.refuse("at most " + std::to_string(kNestingMax) + " levels of nesting");
  }
  ~Deeper() { --parser.depth_; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;
  ExpressionParser& parser;
};

void ExpressionParser::refuse(std::string expected) const {
  throw SyntaxFailure{
      {ErrorKind::invalid_input, "expected " + expected + ", found " + describe(current())},
      current().at};
}

Token ExpressionParser::take() {
  const Token& token = tokens_[at_];
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}
bool ExpressionParser::is_name(std::string_view word) const {
  return current().kind == Token::Kind::name && current().text == word;
}
bool ExpressionParser::is_punctuation(std::string_view text) const {
  return current().kind == Token::Kind::punctuation && current().text == text;
}
bool ExpressionParser::skip_name(std::string_view word) {
  if (!is_name(word)) return false;
  take();
  return true;
}
bool ExpressionParser::skip_punctuation(std::string_view text) {
  if (!is_punctuation(text)) return false;
  take();
  return true;
}
void ExpressionParser::expect_punctuation(std::string_view text) {
  if (!skip_punctuation(text)) refuse("\"" + std::string(text) + "\"");
}
std::string ExpressionParser::expect_name(std::string_view what) {
  if (current().kind != Token::Kind::name) refuse(std::string(what));
  return take().text;
}

ExpressionPtr ExpressionParser::make(Kind kind, size_t at, std::vector<ExpressionPtr> parts) {
  auto node = std::make_unique<Expression>();
  node->kind = kind;
  node->at = at;
  node->parts = std::move(parts);
  return measured(std::move(node));
}

ExpressionPtr ExpressionParser::measured(ExpressionPtr node) const {
  for (const ExpressionPtr& part : node->parts)
    if (part) node->depth = std::max(node->depth, part->depth + 1);
  for (const auto& [name, part] : node->keywords)
    node->depth = std::max(node->depth, part->depth + 1);
  if (node->depth > kTreeDepthMax)
    refuse("expressions of at most " + std::to_string(kTreeDepthMax) + " levels");
  return node;
}

ExpressionPtr ExpressionParser::parse_expression() {
  const Deeper deeper(*this);
  const size_t at = current().at;
  ExpressionPtr node = parse_or();
  while (skip_name("if")) {
    ExpressionPtr condition = parse_or();
    ExpressionPtr otherwise = skip_name("else") ? parse_expression() : nullptr;
    node = make(Kind::conditional, at,
                parts_of(std::move(node), std::move(condition), std::move(otherwise)));
  }
  return node;
}

ExpressionPtr ExpressionParser::parse_tuple() {
  const size_t at = current().at;
  ExpressionPtr first = parse_expression();
  if (!is_punctuation(",")) return first;
  ExpressionPtr node = make(Kind::tuple, at, parts_of(std::move(first)));
  while (skip_punctuation(",")) {
    const bool ended = is_punctuation(")") || current().kind == Token::Kind::block_end ||
                       current().kind == Token::Kind::output_end;
    if (ended) break;
    node->parts.push_back(parse_expression());
  }
  return measured(std::move(node));
}

ExpressionPtr ExpressionParser::parse_without_conditional() { return parse_or(); }

ExpressionPtr ExpressionParser::parse_or() {
  ExpressionPtr node = parse_and();
  while (is_name("or")) {
    const size_t at = take().at;
    node = make(Kind::logic_or, at, parts_of(std::move(node), parse_and()));
  }
  return node;
}

ExpressionPtr ExpressionParser::parse_and() {
  ExpressionPtr node = parse_not();
  while (is_name("and")) {
    const size_t at = take().at;
    node = make(Kind::logic_and, at, parts_of(std::move(node), parse_not()));
  }
  return node;
}

ExpressionPtr ExpressionParser::parse_not() {
  if (!is_name("not")) return parse_compare();
  const Deeper deeper(*this);
  const size_t at = take().at;
  return make(Kind::logic_not, at, parts_of(parse_not()));
}

bool ExpressionParser::compare_operator(Operator& out) {
  static const std::vector<std::pair<std::string_view, Operator>> all = {
      {"==", Operator::equal}, {"!=", Operator::not_equal},  {"<", Operator::less},
      {"<=", Operator::less_equal}, {">", Operator::greater}, {">=", Operator::greater_equal}};
  for (const auto& [text, op] : all) {
    if (!skip_punctuation(text)) continue;
    out = op;
    return true;
  }
  if (skip_name("in")) {
    out = Operator::in;
    return true;
  }
  if (is_name("not") && next().kind == Token::Kind::name && next().text == "in") {
    take();
    take();
    out = Operator::not_in;
    return true;
  }
  return false;
}

ExpressionPtr ExpressionParser::parse_compare() {
  const size_t at = current().at;
  ExpressionPtr node = parse_sum();
  std::vector<Operator> operators;
  std::vector<ExpressionPtr> parts;
  for (Operator op{}; compare_operator(op);) {
    operators.push_back(op);
    parts.push_back(parse_sum());
  }
  if (operators.empty()) return node;
  parts.insert(parts.begin(), std::move(node));
  node = make(Kind::compare, at, std::move(parts));
  node->operators = std::move(operators);
  return node;
}

ExpressionPtr ExpressionParser::parse_sum() {
  ExpressionPtr node = parse_concat();
  while (is_punctuation("+") || is_punctuation("-")) {
    const Token token = take();
    node = make(Kind::binary, token.at, parts_of(std::move(node), parse_concat()));
    node->operators = {token.text == "+" ? Operator::add : Operator::subtract};
  }
  return node;
}

ExpressionPtr ExpressionParser::parse_concat() {
  const size_t at = current().at;
  ExpressionPtr node = parse_product();
  if (!is_punctuation("~")) return node;
  node = make(Kind::concat, at, parts_of(std::move(node)));
  while (skip_punctuation("~")) node->parts.push_back(parse_product());
  return measured(std::move(node));
}

ExpressionPtr ExpressionParser::parse_product() {
  static const std::vector<std::pair<std::string_view, Operator>> all = {
      {"*", Operator::multiply}, {"/", Operator::divide},
      {"//", Operator::floor_divide}, {"%", Operator::modulo}};
  ExpressionPtr node = parse_power();
  for (;;) {
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const auto& one) { return is_punctuation(one.first); });
    if (found == all.end()) return node;
    const size_t at = take().at;
    node = make(Kind::binary, at, parts_of(std::move(node), parse_power()));
    node->operators = {found->second};
  }
}

ExpressionPtr ExpressionParser::parse_power() {
  ExpressionPtr node = parse_unary(true);
  while (is_punctuation("**")) {
    const size_t at = take().at;
    node = make(Kind::binary, at, parts_of(std::move(node), parse_unary(true)));
    node->operators = {Operator::power};
  }
  return node;
}

ExpressionPtr ExpressionParser::parse_unary(bool with_filters) {
  const Deeper deeper(*this);
  ExpressionPtr node;
  if (is_punctuation("-") || is_punctuation("+")) {
    const Token token = take();
    node = make(token.text == "-" ? Kind::negative : Kind::positive, token.at,
                parts_of(parse_unary(false)));
  } else {
    node = parse_primary();
  }
  node = parse_postfix(std::move(node));
  return with_filters ? parse_filters(std::move(node)) : std::move(node);
}

ExpressionPtr ExpressionParser::parse_name() {
  const Token token = take();
  ExpressionPtr node = make(Kind::literal, token.at);
  if (token.text == "true" || token.text == "True") {
    node->value = Value::boolean(true);
  } else if (token.text == "false" || token.text == "False") {
    node->value = Value::boolean(false);
  } else if (token.text == "none" || token.text == "None") {
    node->value = Value::none();
  } else {
    node->kind = Kind::name;
    node->text = token.text;
  }
  return node;
}

ExpressionPtr ExpressionParser::parse_primary() {
  const size_t at = current().at;
  ExpressionPtr node;
  switch (current().kind) {
    case Token::Kind::name:
      return parse_name();
    case Token::Kind::integer:
      node = make(Kind::literal, at);
      node->value = Value::integer(take().integer);
      return node;
    case Token::Kind::number:
      node = make(Kind::literal, at);
      node->value = Value::number(take().number);
      return node;
    case Token::Kind::string: {
      std::string text;
      while (current().kind == Token::Kind::string) text += take().text;
      node = make(Kind::literal, at);
      node->value = Value::string(text, Trust::trusted);
      return node;
    }
    default:
      if (is_punctuation("(")) return parse_parentheses();
      if (is_punctuation("[")) return parse_list();
      if (is_punctuation("{")) return parse_dict();
      refuse("an expression");
  }
}

ExpressionPtr ExpressionParser::parse_parentheses() {
  const size_t at = take().at;
  if (skip_punctuation(")")) return make(Kind::tuple, at);
  ExpressionPtr node = parse_tuple();
  expect_punctuation(")");
  return node;
}

ExpressionPtr ExpressionParser::parse_list() {
  ExpressionPtr node = make(Kind::list, take().at);
  while (!is_punctuation("]")) {
    node->parts.push_back(parse_expression());
    if (!skip_punctuation(",")) break;
  }
  expect_punctuation("]");
  return measured(std::move(node));
}

ExpressionPtr ExpressionParser::parse_dict() {
  ExpressionPtr node = make(Kind::dict, take().at);
  while (!is_punctuation("}")) {
    node->parts.push_back(parse_expression());
    expect_punctuation(":");
    node->parts.push_back(parse_expression());
    if (!skip_punctuation(",")) break;
  }
  expect_punctuation("}");
  return measured(std::move(node));
}

ExpressionPtr ExpressionParser::parse_postfix(ExpressionPtr node) {
  for (;;) {
    if (is_punctuation(".")) {
      node = parse_attribute(std::move(node));
    } else if (is_punctuation("[")) {
      node = parse_subscript(std::move(node));
    } else if (is_punctuation("(")) {
      node = parse_call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::parse_attribute(ExpressionPtr node) {
  const size_t at = take().at;
  if (current().kind == Token::Kind::integer) {
    ExpressionPtr index = make(Kind::literal, current().at);
    index->value = Value::integer(take().integer);
    return make(Kind::subscript, at, parts_of(std::move(node), std::move(index)));
  }
  ExpressionPtr made = make(Kind::attribute, at, parts_of(std::move(node)));
  made->text = expect_name("an attribute name");
  return made;
}

ExpressionPtr ExpressionParser::parse_subscript(ExpressionPtr node) {
  const size_t at = take().at;
  const auto part = [&]() -> ExpressionPtr {
    if (is_punctuation(":") || is_punctuation("]")) return nullptr;
    return parse_expression();
  };
  ExpressionPtr first = part();
  if (!is_punctuation(":")) {
    if (!first) refuse("an index");
    expect_punctuation("]");
    return make(Kind::subscript, at, parts_of(std::move(node), std::move(first)));
  }
  take();
  ExpressionPtr last = part();
  ExpressionPtr step = skip_punctuation(":") ? part() : nullptr;
  expect_punctuation("]");
  return make(Kind::slice, at,
              parts_of(std::move(node), std::move(first), std::move(last), std::move(step)));
}

void ExpressionParser::parse_arguments(Expression& call) {
  expect_punctuation("(");
  while (!is_punctuation(")")) {
    if (is_punctuation("*") || is_punctuation("**"))
      refuse("plain arguments (unpacking with * is not supported)");
    const bool keyword = current().kind == Token::Kind::name &&
                         next().kind == Token::Kind::punctuation && next().text == "=";
    if (keyword) {
      std::string name = take().text;
      take();
      call.keywords.emplace_back(std::move(name), parse_expression());
    } else {
      if (!call.keywords.empty()) refuse("a keyword argument");
      call.parts.push_back(parse_expression());
    }
    if (!skip_punctuation(",")) break;
  }
  expect_punctuation(")");
}

ExpressionPtr ExpressionParser::parse_call(ExpressionPtr node) {
  ExpressionPtr call = make(Kind::call, current().at, parts_of(std::move(node)));
  parse_arguments(*call);
  return measured(std::move(call));
}

ExpressionPtr ExpressionParser::parse_filters(ExpressionPtr node) {
  for (;;) {
    if (is_punctuation("|")) {
      take();
      ExpressionPtr filter = make(Kind::filter, current().at, parts_of(std::move(node)));
      filter->text = expect_name("a filter name");
      if (!is_filter(filter->text)) refuse_unknown("filter", *filter);
      if (is_punctuation("(")) parse_arguments(*filter);
      node = measured(std::move(filter));
    } else if (is_name("is")) {
      node = parse_test(std::move(node));
    } else if (is_punctuation("(")) {
      node = parse_call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::parse_test(ExpressionPtr node) {
  take();
  const bool negated = skip_name("not");
  ExpressionPtr test = make(Kind::test, current().at, parts_of(std::move(node)));
  test->text = expect_name("a test name");
  if (!is_test(test->text)) refuse_unknown("test", *test);
  const Token& token = current();
  const bool value_follows =
      token.kind == Token::Kind::string || token.kind == Token::Kind::integer ||
      token.kind == Token::Kind::number || is_punctuation("[") || is_punctuation("{") ||
      (token.kind == Token::Kind::name && token.text != "else" && token.text != "or" &&
       token.text != "and" && token.text != "is" && token.text != "if" && token.text != "in" &&
       token.text != "not");
  if (is_punctuation("(")) {
    parse_arguments(*test);
  } else if (value_follows) {
    test->parts.push_back(parse_postfix(parse_primary()));
  }
  test = measured(std::move(test));
  if (!negated) return test;
  const size_t at = test->at;
  return make(Kind::logic_not, at, parts_of(std::move(test)));
}

}  // namespace swarm::engine::text::jinja
