// tools/tool.h — What an agent can call. A Tool is a name, a schema and an awaitable call.
// Tools are owned by a Registry (or an MCP session) that outlives every call. call() runs on the
// caller's strand and may suspend; several calls of one tool may be in flight unless the tool says
// otherwise. A tool's own failure is a ToolResult with is_error (the model reads it and may correct
// itself); an exception means cancellation or a bug, never a bad argument.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/async/task.h"
#include "engine/base/deadline.h"
#include "engine/base/error.h"
#include "engine/base/json.h"

namespace swarm::tools {

// Whether a call may be repeated: decides retry and resume.
enum class Effect : uint8_t { read, idempotent, once };

struct ToolSpec {
  std::string name;                // as the model sees it, [A-Za-z0-9_-]{1,64}
  std::string description;
  Json parameters;                 // JSON Schema with an object root, verbatim
  Effect effect = Effect::once;
  std::string origin;              // "builtin", "mcp:shop", "script", "scripted"
};

struct ToolContext {
  std::string agent;               // who calls
  std::string call_id;
  Deadline deadline;
};

struct ToolResult {
  std::string text;                // what the model reads
  bool is_error = false;
  bool truncated = false;          // text was cut to the size limit
};

class Tool {
 public:
  virtual ~Tool() = default;
  virtual const ToolSpec& spec() const = 0;
  // arguments were checked against spec().parameters before.
  virtual Async<ToolResult> call(Json arguments, ToolContext context) = 0;
};

struct DispatchOptions {
  size_t result_bytes_max = 64 * 1024;
};

// Name -> tool. Filled before the run, then read-only and thread-safe.
class Registry {
 public:
  Result<void> add(std::shared_ptr<Tool> tool);     // shared: registry and MCP session own it
  Tool* find(std::string_view name) const;
  // Exact names or globs of '*' and '?' ("fs/read_*" matches "fs__read_file"); an entry that
  // matches nothing is an error with a suggestion. Order of the registry, without duplicates.
  Result<std::vector<Tool*>> select(std::span<const std::string> patterns) const;
  std::vector<Tool*> all() const;

  // Finds, validates the arguments, calls, caps the result. Unknown tool and bad arguments come
  // back as ToolResult{is_error} with a text that helps the model. Deadline of the context applies.
  // Pass a named ToolContext: GCC 12 destroys aggregate temporaries of a co_await expression twice.
  Async<ToolResult> dispatch(std::string name, Json arguments, ToolContext context,
                             DispatchOptions options = {}) const;

 private:
  std::vector<std::shared_ptr<Tool>> tools_;
};

// Checks a value against a JSON Schema. The error names the JSON path, expected and found.
Result<void> validate_json(const Json& schema, const Json& value);

// Built-in tools by name ("calculator", "now", "read_file"); read_file_root confines read_file.
struct BuiltinOptions {
  std::string read_file_root;
  const Clock* clock = nullptr;    // nullptr = the machine's clock; else outlives the tool
};
Result<std::shared_ptr<Tool>> make_builtin(std::string_view name, const BuiltinOptions& options);
std::span<const std::string> builtin_names();

}  // namespace swarm::tools
