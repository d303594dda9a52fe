#include "engine/text/jinja/parser.h"

#include <algorithm>
#include <initializer_list>

namespace swarm::engine::text::jinja {
namespace {

constexpr int kNestingMax = 60;
using Kind = Statement::Kind;

class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(tokenize(source)), expressions_(tokens_) {}

  Body run() {
    Body body = parse_body({});
    if (expressions_.current().kind != Token::Kind::end) expressions_.refuse("the end");
    return body;
  }

 private:
  // Statements until a block whose name is in ends; that name is the current token then.
  Body parse_body(std::initializer_list<std::string_view> ends) {
    if (++depth_ > kNestingMax)
      expressions_.refuse("at most " + std::to_string(kNestingMax) + " levels of nesting");
    Body body;
    for (bool open = true; open;) {
      const Token& token = expressions_.current();
      if (token.kind == Token::Kind::text) {
        body.push_back({.kind = Kind::text, .at = token.at});
        body.back().literal = MarkedText(expressions_.take().text, Trust::trusted);
      } else if (token.kind == Token::Kind::output_begin) {
        body.push_back(parse_output());
      } else if (token.kind == Token::Kind::block_begin) {
        const Token& word = expressions_.next();
        open = word.kind != Token::Kind::name ||
               std::find(ends.begin(), ends.end(), word.text) == ends.end();
        expressions_.take();
        if (open) body.push_back(parse_statement());
      } else {
        open = false;
        if (ends.size() > 0) expressions_.refuse("{% " + std::string(*(ends.end() - 1)) + " %}");
      }
    }
    --depth_;
    return body;
  }

  void end_block() {
    if (expressions_.current().kind != Token::Kind::block_end) expressions_.refuse("\"%}\"");
    expressions_.take();
  }
  // The end tag of a block: its name is the current token.
  void take_end() {
    expressions_.take();
    end_block();
  }

  Statement parse_output() {
    Statement made{.kind = Kind::output, .at = expressions_.take().at};
    made.expression = expressions_.parse_tuple();
    if (expressions_.current().kind != Token::Kind::output_end) expressions_.refuse("\"}}\"");
    expressions_.take();
    return made;
  }

  Statement parse_statement() {
    const size_t at = expressions_.current().at;
    const std::string word = expressions_.expect_name("the name of a statement");
    if (word == "for") return parse_loop(at);
    if (word == "if") return parse_branch(at);
    if (word == "set") return parse_set(at);
    if (word == "macro") return parse_macro(at);
    if (word == "generation") return parse_group(at);
    if (word == "break" || word == "continue") {
      if (loops_ == 0) refuse_at(at, "expected \"" + word + "\" inside a loop only");
      end_block();
      return {.kind = word == "break" ? Kind::leave : Kind::next, .at = at};
    }
    throw SyntaxFailure{
        {ErrorKind::unsupported, "unknown or unsupported statement \"" + word + "\""}, at};
  }

  [[noreturn]] static void refuse_at(size_t at, std::string message) {
    throw SyntaxFailure{{ErrorKind::invalid_input, std::move(message)}, at};
  }

  std::vector<std::string> parse_targets() {
    const bool parentheses = expressions_.skip_punctuation("(");
    std::vector<std::string> targets{expressions_.expect_name("a variable name")};
    while (expressions_.skip_punctuation(","))
      targets.push_back(expressions_.expect_name("a variable name"));
    if (parentheses) expressions_.expect_punctuation(")");
    return targets;
  }

  Statement parse_loop(size_t at) {
    Statement made{.kind = Kind::loop, .at = at};
    made.targets = parse_targets();
    if (!expressions_.skip_name("in")) expressions_.refuse("\"in\"");
    made.expression = expressions_.parse_without_conditional();
    if (expressions_.skip_name("if")) made.condition = expressions_.parse_expression();
    if (expressions_.is_name("recursive"))
      throw SyntaxFailure{{ErrorKind::unsupported, "recursive loops are not supported"},
                          expressions_.current().at};
    end_block();
    ++loops_;
    made.body = parse_body({"else", "endfor"});
    --loops_;
    if (expressions_.skip_name("else")) {
      end_block();
      made.otherwise = parse_body({"endfor"});
    }
    take_end();
    return made;
  }

  Statement parse_branch(size_t at) {
    Statement made{.kind = Kind::branch, .at = at};
    made.expression = expressions_.parse_tuple();
    end_block();
    made.body = parse_body({"elif", "else", "endif"});
    if (expressions_.is_name("elif")) {
      const size_t inner = expressions_.take().at;
      // The inner branch takes the common end tag.
      if (++depth_ > kNestingMax) refuse_at(inner, "expected a shorter chain of elif");
      made.otherwise.push_back(parse_branch(inner));
      --depth_;
      return made;
    }
    if (expressions_.skip_name("else")) {
      end_block();
      made.otherwise = parse_body({"endif"});
    }
    take_end();
    return made;
  }

  Statement parse_set(size_t at) {
    Statement made{.kind = Kind::set, .at = at};
    made.targets = parse_targets();
    if (expressions_.skip_punctuation(".")) {
      made.kind = Kind::set_member;
      made.name = expressions_.expect_name("an attribute name");
    }
    if (expressions_.skip_punctuation("=")) {
      made.expression = expressions_.parse_tuple();
      end_block();
      return made;
    }
    if (made.kind == Kind::set_member || made.targets.size() != 1) expressions_.refuse("\"=\"");
    made.kind = Kind::set_block;
    if (expressions_.is_punctuation("|")) {
      // The filters apply to the rendered body; no variable of a template can have this name.
      auto body_value = std::make_unique<Expression>();
      body_value->kind = Expression::Kind::name;
      body_value->at = at;
      body_value->text = kSetBlockBody;
      made.expression = expressions_.parse_filters(std::move(body_value));
    }
    end_block();
    made.body = parse_body({"endset"});
    take_end();
    return made;
  }

  Statement parse_macro(size_t at) {
    Statement made{.kind = Kind::macro, .at = at};
    made.name = expressions_.expect_name("a macro name");
    expressions_.expect_punctuation("(");
    while (!expressions_.is_punctuation(")")) {
      std::string parameter = expressions_.expect_name("a parameter name");
      ExpressionPtr otherwise =
          expressions_.skip_punctuation("=") ? expressions_.parse_expression() : nullptr;
      if (!otherwise && !made.parameters.empty() && made.parameters.back().second)
        expressions_.refuse("a default value");
      made.parameters.emplace_back(std::move(parameter), std::move(otherwise));
      if (!expressions_.skip_punctuation(",")) break;
    }
    expressions_.expect_punctuation(")");
    end_block();
    const int loops = std::exchange(loops_, 0);
    made.body = parse_body({"endmacro"});
    loops_ = loops;
    take_end();
    return made;
  }

  Statement parse_group(size_t at) {
    Statement made{.kind = Kind::group, .at = at};
    end_block();
    made.body = parse_body({"endgeneration"});
    take_end();
    return made;
  }

  std::vector<Token> tokens_;
  ExpressionParser expressions_;
  int depth_ = 0;
  int loops_ = 0;
};

}  // namespace

Body parse(std::string_view source) { return Parser(source).run(); }

}  // namespace swarm::engine::text::jinja
