#include "engine/text/jinja/jinja.h"

#include <algorithm>

#include "engine/text/jinja/interpreter.h"
#include "engine/text/jinja/parser.h"

namespace swarm::engine::text::jinja {

struct Tree {
  Body body;
};

Error Template::locate(const Failure& failure, size_t at) const {
  const std::string_view before = std::string_view(source_).substr(0, at);
  const size_t line_end = before.rfind('\n');
  const size_t line_begin = line_end == std::string_view::npos ? 0 : line_end + 1;
  SourceLocation location{.file = name_};
  location.line = 1 + static_cast<int>(std::count(before.begin(), before.end(), '\n'));
  location.column = 1 + static_cast<int>(before.size() - line_begin);
  return Error{failure.kind, failure.message, location};
}

Result<std::shared_ptr<const Template>> Template::parse(std::string_view source, std::string name) {
  auto made = std::make_shared<Template>(Key{});
  made->name_ = std::move(name);
  made->source_ = normalise_source(source);
  try {
    made->tree_ = std::make_shared<const Tree>(Tree{jinja::parse(made->source_)});
  } catch (const SyntaxFailure& failure) {
    return made->locate(failure.failure, failure.at);
  }
  return std::shared_ptr<const Template>(std::move(made));
}

Result<MarkedText> Template::render(const Dict& variables, const Limits& limits) const {
  try {
    return Interpreter(variables, limits).run(tree_->body);
  } catch (const SyntaxFailure& failure) {
    return locate(failure.failure, failure.at);
  }
}

}  // namespace swarm::engine::text::jinja
