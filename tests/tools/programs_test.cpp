#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "engine/base/async/run.h"
#include "tests/support/support.h"
#include "tools/tool.h"

namespace swarm::tools {
namespace {
namespace fs = std::filesystem;

ToolResult call(const std::shared_ptr<Tool>& tool, Json arguments) {
  Registry registry;
  registry.add(tool).value();
  ToolContext context;
  return run_root(registry.dispatch(tool->spec().name, std::move(arguments), context));
}

BuiltinOptions in(const fs::path& root) {
  BuiltinOptions options;
  options.program.root = root.string();
  return options;
}

TEST_CASE("shell: output, errors and exit code come back; files are kept") {
  const test::TempDir dir;
  const auto shell = make_builtin("shell", in(dir.path())).value();
  CHECK(shell->spec().effect == Effect::once);
  const ToolResult good = call(shell, {{"command", "echo one | tr o 0; echo x > made"}});
  CHECK(good.text == "0ne\n");
  CHECK_FALSE(good.is_error);
  CHECK(test::read_file(dir.path() / "made") == "x\n");
  const ToolResult bad = call(shell, {{"command", "echo out; echo wrong >&2; exit 7"}});
  CHECK(bad.text == "out\n[stderr]\nwrong\n[exit code 7]");
  CHECK(bad.is_error);
  CHECK(call(shell, {{"command", "true"}}).text == "[no output]");
}

TEST_CASE("code_interpreter: python and shell, anew each time, long programs too") {
  const auto tool = make_builtin("code_interpreter", {}).value();
  const auto run = [&](const char* language, const std::string& code) {
    return call(tool, {{"language", language}, {"code", code}});
  };
  CHECK(run("python", "x = sum(range(101))\nprint(x)").text == "5050\n");
  const ToolResult anew = run("python", "print(x)");
  CHECK(anew.is_error);
  CHECK(anew.text.find("NameError") != std::string::npos);
  CHECK(run("shell", "for i in 1 2 3; do echo $i; done").text == "1\n2\n3\n");
  CHECK(run("python", "# " + std::string(300000, 'x') + "\nprint('end')").text == "end\n");
  CHECK(run("ruby", "puts 1").text.find("wrong arguments") != std::string::npos);
}

TEST_CASE("script: arguments arrive as JSON, stdout is the result, failure ends with stderr") {
  ScriptOptions options;
  options.name = "area";
  options.description = "Area of a rectangle";
  options.parameters = parse_json(R"({"type": "object", "properties": {"a": {"type": "number"},
      "b": {"type": "number"}}, "required": ["a", "b"], "additionalProperties": false})").value();
  options.effect = Effect::read;
  options.command = {"python3", "-c",
                     "import json, sys\nx = json.load(sys.stdin)\nif x['a'] < 0:\n"
                     "  sys.exit('a is negative')\nprint(x['a'] * x['b'])"};
  const auto tool = make_script(options).value();
  CHECK(tool->spec().origin == "script");
  CHECK(call(tool, {{"a", 3}, {"b", 4}}).text == "12");
  const ToolResult bad = call(tool, {{"a", -3}, {"b", 4}});
  CHECK(bad.is_error);
  CHECK(bad.text == "[stderr]\na is negative\n[exit code 1]");
  CHECK(call(tool, {{"a", "three"}, {"b", 4}}).text.find("wrong arguments") != std::string::npos);
  options.command = {"no-such-program"};
  CHECK(call(make_script(options).value(), {{"a", 1}, {"b", 1}}).is_error);
  options.command.clear();
  CHECK_FALSE(make_script(options).has_value());
  options.command = {"true"};
  options.parameters = Json{{"type", "string"}};
  CHECK_FALSE(make_script(options).has_value());
}

TEST_CASE("programs: the time limit of the tool and the size limit of the result hold") {
  BuiltinOptions options;
  options.program.timeout = std::chrono::milliseconds(500);
  const auto shell = make_builtin("shell", options).value();
  const ToolResult slow = call(shell, {{"command", "echo begun; sleep 60"}});
  CHECK(slow.is_error);
  CHECK(slow.text == "begun\n[stopped: it ran longer than 500 ms]");
}

}  // namespace
}  // namespace swarm::tools
