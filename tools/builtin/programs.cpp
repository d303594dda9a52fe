// Tools that run programs: shell, code_interpreter, and the scripts of a swarm file.
#include <algorithm>

#include "tools/builtin/builtin.h"
#include "tools/sandbox/sandbox.h"

namespace swarm::tools {
namespace {

using sandbox::ChildResult;
using sandbox::Sandbox;

sandbox::SandboxOptions sandbox_options(const ProgramOptions& options) {
  sandbox::SandboxOptions out;
  out.confined = options.confined;
  out.root = options.root;
  out.writable = options.writable;
  out.network = options.network;
  out.env = options.env;
  out.file_bytes_max = options.file_bytes_max;
  out.disk_bytes_max = options.disk_bytes_max;
  out.child.wall = options.timeout;
  out.child.memory_bytes_max = options.memory_bytes_max;
  out.child.output_bytes_max = options.output_bytes_max;
  out.child.processes_max = options.processes_max;
  return out;
}

// What a model must know of where its program runs.
std::string surroundings(const ProgramOptions& options) {
  std::string out = options.root.empty() ? " It runs in an empty folder; nothing is kept."
                                         : " It runs in the working folder";
  if (!options.root.empty())
    out += options.writable ? "; files written there are kept." : ", which it can only read.";
  out += options.network ? "" : " There is no network.";
  return out + " It is stopped after " + std::to_string(options.timeout.count() / 1000) + " s.";
}

class Program : public Tool {
 public:
  Program(ToolSpec spec, const ProgramOptions& options)
      : spec_(std::move(spec)), sandbox_(sandbox_options(options)) {}
  const ToolSpec& spec() const override { return spec_; }
  Async<Result<void>> check() override { co_return co_await sandbox_.check(); }

 protected:
  Async<ToolResult> run(std::vector<std::string> command, std::string input) {
    const ChildResult child = co_await sandbox_.run(std::move(command), std::move(input));
    ToolResult result;
    result.text = sandbox::to_text(child, sandbox_.options().child);
    result.is_error = failed_badly(child);
    co_return result;
  }
  static bool failed_badly(const ChildResult& child) {
    return child.stopped != sandbox::Stopped::no || child.end.by_signal || child.end.value != 0;
  }
  Sandbox& box() { return sandbox_; }

 private:
  ToolSpec spec_;
  Sandbox sandbox_;
};

ToolSpec builtin_spec(const char* name, std::string description, Json properties) {
  ToolSpec spec;
  spec.name = name;
  spec.description = std::move(description);
  Json names = Json::array();
  for (const auto& [key, value] : properties.items()) names.push_back(key);
  spec.parameters = Json{{"type", "object"},
                         {"properties", std::move(properties)},
                         {"required", std::move(names)},
                         {"additionalProperties", false}};
  spec.effect = Effect::once;
  spec.origin = "builtin";
  return spec;
}

class Shell final : public Program {
 public:
  explicit Shell(const ProgramOptions& options)
      : Program(builtin_spec("shell",
                             "Runs a command line with /bin/sh and returns what it prints." +
                                 surroundings(options),
                             Json{{"command", {{"type", "string"}}}}),
                options) {}
  Async<ToolResult> call(Json arguments, ToolContext) override {
    std::vector<std::string> command{"/bin/sh", "-c", arguments.at("command").get<std::string>()};
    co_return co_await run(std::move(command), "");
  }
};

class CodeInterpreter final : public Program {
 public:
  explicit CodeInterpreter(const ProgramOptions& options)
      : Program(builtin_spec("code_interpreter",
                             "Runs a program and returns what it prints: print the results. Every "
                             "call starts anew, without variables of earlier calls." +
                                 surroundings(options),
                             Json{{"language",
                                   {{"type", "string"},
                                    {"enum", Json::array({"python", "shell"})}}},
                                  {"code", {{"type", "string"}}}}),
                options) {}
  // The code comes on standard input: an argument would be bounded by the system.
  Async<ToolResult> call(Json arguments, ToolContext) override {
    std::vector<std::string> command{"/bin/sh", "-s"};
    if (arguments.at("language") == "python") command = {"python3", "-I", "-B", "-u", "-"};
    std::string code = arguments.at("code").get<std::string>();
    co_return co_await run(std::move(command), std::move(code));
  }
};

class Script final : public Program {
 public:
  Script(ToolSpec spec, std::vector<std::string> command, const ProgramOptions& options)
      : Program(std::move(spec), options), command_(std::move(command)) {}
  Async<ToolResult> call(Json arguments, ToolContext) override {
    std::vector<std::string> command = command_;
    std::string input = dump_json(arguments) + "\n";
    const ChildResult child = co_await box().run(std::move(command), std::move(input));
    ToolResult result;
    if (failed_badly(child)) {
      result.text = sandbox::to_text(child, box().options().child);
      result.is_error = true;
      co_return result;
    }
    result.text = child.out.text();
    while (!result.text.empty() && result.text.back() == '\n') result.text.pop_back();
    co_return result;
  }

 private:
  std::vector<std::string> command_;
};

}  // namespace

std::shared_ptr<Tool> builtin::make_shell(const ProgramOptions& options) {
  return std::make_shared<Shell>(options);
}

std::shared_ptr<Tool> builtin::make_code_interpreter(const ProgramOptions& options) {
  return std::make_shared<CodeInterpreter>(options);
}

Result<std::shared_ptr<Tool>> make_script(ScriptOptions options) {
  if (options.command.empty())
    return invalid_input("tool \"" + options.name + "\": expected a program, found none");
  ToolSpec spec;
  spec.name = std::move(options.name);
  spec.description = std::move(options.description);
  spec.parameters = std::move(options.parameters);
  if (!spec.parameters.is_object() || spec.parameters.value("type", Json("object")) != "object")
    return invalid_input("tool \"" + spec.name + "\": parameters: expected a JSON Schema of an "
                         "object");
  spec.effect = options.effect;
  spec.origin = "script";
  return std::make_shared<Script>(std::move(spec), std::move(options.command), options.program);
}

}  // namespace swarm::tools
