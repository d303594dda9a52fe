// tools/builtin/builtin.h — Constructors of the built-in tools. Private.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "engine/base/clock.h"
#include "tools/builtin/folder.h"
#include "tools/tool.h"

namespace swarm::tools::builtin {

// calculator(expression): + - * / ^, unary minus, parentheses, decimals; exact rational arithmetic
// as long as it fits 127 bits, long double beyond.
std::shared_ptr<Tool> make_calculator();
// The value as text, or why there is none. At most 1000 characters, 100 levels.
Result<std::string> calculate(std::string_view expression);

// now(): the wall clock, ISO 8601 in UTC. clock: nullptr = this machine's.
std::shared_ptr<Tool> make_now(const Clock* clock);

// File tools below root, which must be an existing folder; see folder.h.
Result<std::shared_ptr<Tool>> make_read_file(const std::string& root);
Result<std::shared_ptr<Tool>> make_write_file(const std::string& root, Growth growth);
Result<std::shared_ptr<Tool>> make_edit_file(const std::string& root, Growth growth);
Result<std::shared_ptr<Tool>> make_list_directory(const std::string& root);
Result<std::shared_ptr<Tool>> make_search_files(const std::string& root);

// shell(command), code_interpreter(language, code): in a sandbox.
std::shared_ptr<Tool> make_shell(const ProgramOptions& options);
std::shared_ptr<Tool> make_code_interpreter(const ProgramOptions& options);

// read_artifact(handle, offset?, limit?): pages of a result that was cut.
Result<std::shared_ptr<Tool>> make_read_artifact(std::shared_ptr<Artifacts> artifacts);

inline ToolResult problem(std::string text) {
  return ToolResult{.text = std::move(text), .is_error = true, .truncated = false};
}

}  // namespace swarm::tools::builtin
