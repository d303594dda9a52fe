// tools/builtin/builtin.h — Constructors of the built-in tools, one tool per file. Private.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "engine/base/clock.h"
#include "tools/tool.h"

namespace swarm::tools::builtin {

// calculator(expression): + - * / ^, unary minus, parentheses, decimals; exact rational arithmetic
// as long as it fits 127 bits, long double beyond.
std::shared_ptr<Tool> make_calculator();
// The value as text, or why there is none. At most 1000 characters, 100 levels.
Result<std::string> calculate(std::string_view expression);

// now(): the wall clock, ISO 8601 in UTC. clock: nullptr = this machine's.
std::shared_ptr<Tool> make_now(const Clock* clock);

// read_file(path, offset?, limit?): text files below root, which must be an existing folder.
Result<std::shared_ptr<Tool>> make_read_file(const std::string& root);

}  // namespace swarm::tools::builtin
