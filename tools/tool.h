// tools/tool.h — What an agent can call. A Tool is a name, a schema and an awaitable call.
// Tools are owned by a Registry (or an MCP session) that outlives every call. call() runs on the
// caller's strand and may suspend; several calls of one tool may be in flight unless the tool says
// otherwise. A tool's own failure is a ToolResult with is_error (the model reads it and may correct
// itself); an exception means cancellation or a bug, never a bad argument.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/async/channel.h"
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
  std::string origin;              // "builtin", "script", ..., or origin_of_server(server)
  std::string server = {};         // mcp: whose it is, as configured; "" elsewhere
  std::string remote_name = {};    // mcp: what the server itself calls it; "" elsewhere

  bool is_remote() const { return !server.empty() && !remote_name.empty(); }
};

// "mcp:shop": where the tools of a server come from, for people and journals. Never taken apart.
std::string origin_of_server(const std::string& server);

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
  // Whether it can work on this machine at all (a sandbox, a program); asked before a run.
  virtual Async<Result<void>> check();
};

// Looks at every call before it is made: a policy, and whoever is asked. Outlives the registry.
class Guard {
 public:
  virtual ~Guard() = default;
  // "" lets the call through; else what the model reads instead of a result. Never hangs.
  virtual Async<std::string> admit(const ToolSpec& spec, const Json& arguments,
                                   const ToolContext& context) = 0;
};

// Results that were too long for a model, kept whole as files of one folder. One strand.
class Artifacts {
 public:
  explicit Artifacts(std::string folder, uint64_t bytes_max = uint64_t{1} << 30)
      : folder_(std::move(folder)), room_(bytes_max) {}
  // A handle such as "result-3". Fails when all of them would be more than bytes_max.
  Result<std::string> keep(std::string_view text);
  Result<std::string> read(const std::string& handle) const;

 private:
  std::string folder_;             // made when the first result is kept
  uint64_t room_;
  int count_ = 0;
};

struct DispatchOptions {
  size_t result_bytes_max = 64 * 1024;
  bool pages = false;              // the caller has read_artifact: it is told the handle
};

// Name -> tool. Filled before the run; later tools join in batches, behind those that are there,
// and single ones may leave: the order of the others stays. One strand; calls may be in flight.
class Registry {
 public:
  Result<void> add(std::shared_ptr<Tool> tool);     // shared: registry and MCP session own it
  Tool* find(std::string_view name) const;
  // The tool leaves: it is not found any more, who calls it reads why. One of its name may join.
  void withdraw(std::string_view name, std::string why);
  size_t withdrawn() const { return withdrawn_; }  // how many so far
  // Tools added from now on belong to a batch of their own. The first batch is 0.
  void begin_batch() { ++last_batch_; }
  size_t last_batch() const { return last_batch_; }
  size_t batch_of(const Tool& tool) const;
  // Tools of this server are not there, because of `why`, and may join later: whoever asks for them
  // has made no mistake. Said again, it replaces what was said before.
  void expect(const std::string& server, std::string why) { expected_[server] = std::move(why); }
  // What there is to say about such a tool, or one that left, by name or SERVER/TOOL; else "".
  std::string absence_of(const std::string& name) const;
  // Public names or SERVER/TOOL, globs of '*' and '?' ("fs/read_*" matches "fs__read_file"); an
  // entry that matches nothing, not even tools to come, is an error with a suggestion. Order of the
  // registry, without duplicates.
  Result<std::vector<Tool*>> select(std::span<const std::string> patterns) const;
  std::vector<Tool*> all() const;

  // At most so many calls of the tool at once; more wait in order.
  void limit(std::string_view name, size_t calls_max);
  void set_guard(Guard* guard) { guard_ = guard; }
  // shared: registry and read_artifact.
  void set_artifacts(std::shared_ptr<Artifacts> artifacts) { artifacts_ = std::move(artifacts); }

  // Finds, validates the arguments, asks the guard, calls, caps the result (what is cut is kept as
  // an artifact). Unknown tool, bad arguments and refusals come back as ToolResult{is_error} with a
  // text that helps the model. Deadline of the context applies.
  // Pass a named ToolContext: GCC 12 destroys aggregate temporaries of a co_await expression twice.
  Async<ToolResult> dispatch(std::string name, Json arguments, ToolContext context,
                             DispatchOptions options = {}) const;

 private:
  struct Entry {
    std::shared_ptr<Tool> tool;
    size_t batch = 0;
    std::string gone = {};         // why it was withdrawn
    std::unique_ptr<Channel<bool>> turns = nullptr;  // null: no limit
  };
  bool may_join(std::string_view pattern) const;
  Async<ToolResult> call_in_turn(const Entry& entry, Json arguments, ToolContext context) const;
  void cap(ToolResult& result, const DispatchOptions& options, const std::string& tool) const;
  const Entry* find_entry(std::string_view name) const;
  std::vector<std::string> names() const;

  std::deque<Entry> tools_;        // calls in flight keep pointing at their entry
  size_t last_batch_ = 0, withdrawn_ = 0;
  std::map<std::string, std::string> expected_;  // server -> why its tools are not there
  Guard* guard_ = nullptr;
  std::shared_ptr<Artifacts> artifacts_;
};

// Checks a value against a JSON Schema. The error names the JSON path, expected and found.
Result<void> validate_json(const Json& schema, const Json& value);

// Whether validate_json() can work with a schema at all: forms of keywords, patterns, references
// inside the schema, an object at the root.
Result<void> check_schema(const Json& schema);

// Rights and limits of a tool that runs programs; see tools/sandbox/sandbox.h.
struct ProgramOptions {
  bool confined = true;            // false: with our rights, only the limits hold
  std::string root;                // the folder it works in; "" = none but a private /tmp
  bool writable = true;
  bool network = false;
  std::map<std::string, std::string> env;
  std::chrono::milliseconds timeout{30000};
  uint64_t memory_bytes_max = uint64_t{1} << 30;
  uint64_t file_bytes_max = uint64_t{64} << 20;
  size_t output_bytes_max = 256 * 1024;  // of each stream; the middle of more is left out
  uint64_t disk_bytes_max = uint64_t{1} << 30;  // by which root may grow, all calls together;
                                                // of file tools, too
  size_t processes_max = 64;
};

struct BuiltinOptions {
  ProgramOptions program;          // program.root also confines the file tools
  bool private_addresses = false;  // http_fetch may reach loopback and private networks
  std::shared_ptr<Artifacts> artifacts;  // read_artifact; shared with the registry
  std::shared_ptr<uint64_t> grown;  // bytes; shared by the tools that write files below one root
  const Clock* clock = nullptr;    // nullptr = the machine's clock; else outlives the tool
};
Result<std::shared_ptr<Tool>> make_builtin(std::string_view name, const BuiltinOptions& options);
std::span<const std::string> builtin_names();
// The built-in tools that work in a folder, and those of them that cannot do without.
bool builtin_takes_root(std::string_view name);
bool builtin_needs_root(std::string_view name);

// A tool that is a program: arguments as JSON on stdin, its stdout is the result; another exit code
// than 0 makes it an error that ends with what stderr said last.
struct ScriptOptions {
  std::string name, description;
  Json parameters;                 // JSON Schema with an object root
  Effect effect = Effect::once;
  std::vector<std::string> command;
  ProgramOptions program;
};
Result<std::shared_ptr<Tool>> make_script(ScriptOptions options);

}  // namespace swarm::tools
