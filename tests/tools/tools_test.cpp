#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "engine/base/async/run.h"
#include "tests/support/support.h"
#include "tools/scripted_tool.h"
#include "tools/tool.h"

namespace swarm::tools {
namespace {
namespace fs = std::filesystem;

std::shared_ptr<Tool> builtin(std::string_view name, BuiltinOptions options = {}) {
  return make_builtin(name, options).value();
}

BuiltinOptions below(const std::string& root) {
  BuiltinOptions options;
  options.program.root = root;
  return options;
}

BuiltinOptions clocked(const Clock* clock) {
  BuiltinOptions options;
  options.clock = clock;
  return options;
}

ToolResult call(Tool& tool, Json arguments) {
  Registry registry;
  // The registry shares ownership with the caller's variable; the alias keeps the test short.
  registry.add(std::shared_ptr<Tool>(std::shared_ptr<void>(), &tool)).value();
  return run_root(registry.dispatch(tool.spec().name, std::move(arguments), ToolContext{}));
}

TEST_CASE("calculator: exact where arithmetic is exact, clear where it is not") {
  const auto tool = builtin("calculator");
  struct Case {
    const char* expression;
    const char* want;
  };
  const Case cases[] = {
      {"7*14+3*3+12*2+5", "136"}, {"1+2*3", "7"}, {"(1+2)*3", "9"}, {"10/4", "2.5"},
      {"10/5", "2"}, {"1/3", "0.333333333333333"}, {"2/3*3", "2"}, {"0.1+0.2", "0.3"},
      {"-3", "-3"}, {"--3", "3"}, {"2--3", "5"}, {"-2^2", "-4"}, {"2^3^2", "512"},
      {"2**10", "1024"}, {"2^-2", "0.25"}, {" 1 +\t2 ", "3"}, {"0.05*100", "5"},
      {".5+1.", "1.5"}, {"-0.25", "-0.25"}, {"0*-1", "0"}, {"100-100.001", "-0.001"},
      {"170141183460469231731687303715884105727", "170141183460469231731687303715884105727"},
      {"2^126", "85070591730234615865843651857942052864"}, {"2^200", "1.60693804425899e+60"},
      {"12345678901*98765432109", "1219326311336229232209"},
      {"1e5", "cannot compute: expected an operator or the end, found \"e\" at character 2"},
      {"1/0", "cannot compute: division by zero at character 2"},
      {"1/(2-2)", "cannot compute: division by zero at character 2"},
      {"0^-1", "cannot compute: division by zero: 0 to a negative power"},
      {"", "cannot compute: expected a number or \"(\", found the end"},
      {"2+", "cannot compute: expected a number or \"(\", found the end"},
      {"(1", "cannot compute: expected \")\", found the end"},
      {"1)", "cannot compute: expected an operator or the end, found \")\" at character 2"},
      {"50%", "cannot compute: expected an operator or the end, found \"%\" at character 3"},
      {"2 \xC3\x97 3", "cannot compute: expected an operator or the end, found \"\xC3\x97\" at "
                       "character 3"},
      {"2^0.5", "cannot compute: exponent: expected an integer of at most 10000"},
      {"9^9999", "cannot compute: the result is too large"},
  };
  for (const Case& one : cases) {
    CAPTURE(std::string(one.expression));
    const std::string want = one.want;
    const ToolResult got = call(*tool, Json{{"expression", one.expression}});
    CHECK(got.text == want);
    CHECK(got.is_error == (want.rfind("cannot", 0) == 0));
  }
}

TEST_CASE("calculator: length and depth have limits") {
  const auto tool = builtin("calculator");
  const auto deep = [&](size_t n) {
    return call(*tool, {{"expression", std::string(n, '(') + "1" + std::string(n, ')')}});
  };
  CHECK(deep(90).text == "1");
  CHECK(deep(200).text == "cannot compute: expression nests too deeply");
  CHECK(call(*tool, {{"expression", std::string(300, '-') + "1"}}).is_error);
  CHECK(call(*tool, {{"expression", std::string(2000, '1')}}).text ==
        "cannot compute: expected at most 1000 characters, found 2000");
}

TEST_CASE("now: ISO 8601 in UTC from the given clock") {
  ManualClock clock;
  clock.advance(std::chrono::hours(24 * 365) + std::chrono::milliseconds(1999));
  const auto tool = builtin("now", clocked(&clock));
  CHECK(call(*tool, Json::object()).text == "1971-01-01T00:00:01Z");
  CHECK(call(*tool, {{"timezone", "UTC"}}).text == "1971-01-01T00:00:01Z");
  CHECK(call(*tool, {{"timezone", "CET"}}).is_error);
}

TEST_CASE("builtin: an unknown name gets a suggestion, read_file needs a root") {
  CHECK(make_builtin("calculater", {}).error().message.find("did you mean \"calculator\"") !=
        std::string::npos);
  CHECK(make_builtin("read_file", {}).error().kind == ErrorKind::invalid_input);
  CHECK(make_builtin("read_file", below("/no/such")).error().kind ==
        ErrorKind::environment);
}

TEST_CASE("read_file: reads text below its root, by lines") {
  const test::TempDir dir;
  fs::create_directories(dir.path() / "sub");
  test::write_file(dir.path() / "sub/a.txt", "one\ntwo\nthree\nfour");
  test::write_file(dir.path() / "empty", "");
  const auto tool = builtin("read_file", below(dir.path().string()));
  CHECK(call(*tool, {{"path", "sub/a.txt"}}).text == "one\ntwo\nthree\nfour");
  CHECK(call(*tool, {{"path", "./sub//a.txt"}}).text == "one\ntwo\nthree\nfour");
  CHECK(call(*tool, {{"path", "empty"}}).text.empty());
  const ToolResult part = call(*tool, {{"path", "sub/a.txt"}, {"offset", 2}, {"limit", 1}});
  CHECK(part.text == "two\n[2 more lines; continue with offset 3]");
  CHECK(part.truncated);
  CHECK(call(*tool, {{"path", "sub/a.txt"}, {"offset", 4}}).text == "four");
  CHECK(call(*tool, {{"path", "sub/a.txt"}, {"offset", 5}}).text ==
        "offset: the file ends before line 5");
}

TEST_CASE("read_file: nothing leads out of the root") {
  const test::TempDir outside, dir;
  test::write_file(outside.path() / "secret", "s3cret");
  fs::create_directories(dir.path() / "sub");
  fs::create_symlink(outside.path() / "secret", dir.path() / "link");
  fs::create_symlink(outside.path(), dir.path() / "folder");
  fs::create_symlink(dir.path() / "sub", dir.path() / "inner");
  const auto tool = builtin("read_file", below(dir.path().string()));
  const std::string absolute = (outside.path() / "secret").string();
  const std::string climb = "../" + outside.path().filename().string() + "/secret";
  for (const std::string& path :
       {absolute, climb, "sub/../" + climb, std::string("link"), std::string("folder/secret"),
        std::string("inner"), std::string(""), std::string("."), std::string("sub"),
        std::string("a\0b", 3), std::string("no/such")}) {
    CAPTURE(path);
    const ToolResult result = call(*tool, {{"path", path}});
    CHECK(result.is_error);
    CHECK(result.text.find("s3cret") == std::string::npos);
  }
  CHECK(call(*tool, {{"path", "link"}}).text == "\"link\": symbolic links are not followed");
  CHECK(call(*tool, {{"path", "folder/secret"}}).text ==
        "\"folder/secret\": symbolic links are not followed");
}

TEST_CASE("read_file: binary and oversized files are refused") {
  const test::TempDir dir;
  test::write_file(dir.path() / "nul", std::string("a\0b", 3));
  test::write_file(dir.path() / "latin1", "caf\xe9");
  test::write_file(dir.path() / "big", "");
  fs::resize_file(dir.path() / "big", (size_t{16} << 20) + 1);
  const auto tool = builtin("read_file", below(dir.path().string()));
  CHECK(call(*tool, {{"path", "nul"}}).text == "\"nul\" is not a text file");
  CHECK(call(*tool, {{"path", "latin1"}}).text == "\"latin1\" is not a text file");
  CHECK(call(*tool, {{"path", "big"}}).is_error);
}

Registry registry_of(std::initializer_list<const char*> names) {
  Registry registry;
  for (const char* name : names) registry.add(ScriptedTool::make(name)).value();
  return registry;
}

TEST_CASE("registry: names are checked and unique") {
  Registry registry = registry_of({"a"});
  CHECK(registry.add(ScriptedTool::make("a")).error().message ==
        "tool \"a\" exists twice: from scripted and from scripted");
  CHECK_FALSE(registry.add(ScriptedTool::make("a b")).has_value());
  CHECK_FALSE(registry.add(ScriptedTool::make("")).has_value());
  CHECK_FALSE(registry.add(ScriptedTool::make(std::string(65, 'x'))).has_value());
  CHECK(registry.add(ScriptedTool::make(std::string(64, 'x'))).has_value());
}

TEST_CASE("registry: select takes names and globs in registry order without duplicates") {
  const Registry registry =
      registry_of({"calculator", "fs__read_file", "fs__read_dir", "fs__write", "shop__price"});
  const auto names = [&](std::vector<std::string> patterns) {
    std::string out;
    const auto tools = registry.select(patterns);
    if (!tools) return tools.error().message;
    for (const Tool* tool : *tools) out += tool->spec().name + " ";
    return out;
  };
  CHECK(names({"fs/read_*"}) == "fs__read_file fs__read_dir ");
  CHECK(names({"shop/price", "calculator", "calculator"}) == "calculator shop__price ");
  CHECK(names({"fs__*", "*write"}) == "fs__read_file fs__read_dir fs__write ");
  CHECK(names({"*"}) == "calculator fs__read_file fs__read_dir fs__write shop__price ");
  CHECK(names({}).empty());
  CHECK(names({"fs/raed_file"}) ==
        "unknown tool \"fs/raed_file\"; did you mean \"fs/read_file\"?");
  CHECK(names({"git/*"}).find("known tools: calculator, fs/read_file") != std::string::npos);
}

TEST_CASE("registry: tools that may still come are no mistake, and their absence has a reason") {
  Registry registry;
  registry.add(ScriptedTool::make("calculator")).value();
  const auto select = [&](const std::string& pattern) {
    return registry.select(std::span(&pattern, 1));
  };
  CHECK_FALSE(select("shop/price").has_value());
  registry.expect("shop", "is still starting");
  for (const char* pattern : {"shop/price", "shop/*", "shop__price", "sh*", "*/price"}) {
    CAPTURE(std::string(pattern));
    REQUIRE(select(pattern).has_value());
    CHECK(select(pattern)->empty());
  }
  for (const char* pattern : {"shoe/price", "shop", "web/*", "shopping/x"}) {
    CAPTURE(std::string(pattern));
    CHECK_FALSE(select(pattern).has_value());
  }
  ToolContext context;
  const ToolResult early = run_root(registry.dispatch("shop__price", Json::object(), context));
  CHECK(early.is_error);
  CHECK(early.text ==
        "there is no tool \"shop__price\" now: server \"shop\" is still starting");
  registry.begin_batch();
  registry.add(ScriptedTool::make("shop__price")).value();
  CHECK(select("shop/price")->size() == 1);
  CHECK(registry.last_batch() == 1);
  CHECK(registry.batch_of(*registry.find("calculator")) == 0);
  CHECK(registry.batch_of(*registry.find("shop__price")) == 1);
}

TEST_CASE("registry: a tool that left is not found, its call says why, another may take its name") {
  Registry registry;
  ToolSpec spec;
  spec.name = "shop__price";
  spec.parameters = Json{{"type", "object"}};
  spec.server = "shop";
  spec.remote_name = "price";
  const auto old = std::make_shared<ScriptedTool>(spec);
  registry.add(ScriptedTool::make("first")).value();
  registry.add(old).value();
  registry.add(ScriptedTool::make("last")).value();
  const size_t before = registry.withdrawn();
  registry.withdraw("shop__price", "server \"shop\" offers it no longer");
  registry.withdraw("shop__price", "said again");
  registry.withdraw("no_such_tool", "x");
  CHECK(registry.withdrawn() == before + 1);
  CHECK(registry.find("shop__price") == nullptr);
  REQUIRE(registry.all().size() == 2);
  CHECK(registry.all()[1]->spec().name == "last");
  for (const char* pattern : {"shop/price", "shop__price", "shop/*"}) {
    CAPTURE(std::string(pattern));
    const std::string written = pattern;
    const auto found = registry.select(std::span(&written, 1));
    REQUIRE(found.has_value());                  // no mistake of who wrote it
    CHECK(found->empty());
    CHECK(registry.absence_of(written) == "there is no tool \"" + written +
                                              "\" now: server \"shop\" offers it no longer");
  }
  ToolContext context;
  const auto call = [&] {
    return run_root(registry.dispatch("shop__price", Json::object(), context));
  };
  CHECK(call().is_error);
  CHECK(call().text ==
        "there is no tool \"shop__price\" now: server \"shop\" offers it no longer");
  CHECK(old->calls().empty());
  const auto again = std::make_shared<ScriptedTool>(spec);
  again->then("5");
  registry.begin_batch();
  registry.add(again).value();
  CHECK(call().text == "5");
  CHECK(registry.all().back() == again.get());   // behind the others
  CHECK(registry.absence_of("shop/price").empty());
}

TEST_CASE("dispatch: a tool that leaves while somebody is asked about it is not run") {
  struct Slow final : Guard {
    Registry* registry = nullptr;
    Async<std::string> admit(const ToolSpec& spec, const Json&, const ToolContext&) override {
      registry->withdraw(spec.name, "it has changed");
      co_return "";
    }
  } guard;
  Registry registry;
  guard.registry = &registry;
  const auto tool = ScriptedTool::make("pay");
  registry.add(tool).value();
  registry.set_guard(&guard);
  ToolContext context;
  const ToolResult result = run_root(registry.dispatch("pay", Json::object(), context));
  CHECK(result.is_error);
  CHECK(result.text == "pay: not run: it has changed");
  CHECK(tool->calls().empty());
}

TEST_CASE("dispatch: unknown tools and wrong arguments help the model, the tool is not called") {
  Registry registry;
  registry.add(builtin("calculator")).value();
  const auto text = [&](const char* name, Json arguments) {
    const ToolResult result = run_root(registry.dispatch(name, std::move(arguments), {}));
    CHECK(result.is_error);
    return result.text;
  };
  CHECK(text("calculater", Json::object()) ==
        "unknown tool \"calculater\"; did you mean \"calculator\"?");
  CHECK(text("search", Json::object()) == "unknown tool \"search\"; known tools: calculator");
  CHECK(text("calculator", {{"expression", 7}}) ==
        "calculator: wrong arguments: $.expression: expected string, found integer 7");
  CHECK(text("calculator", Json()) ==
        "calculator: wrong arguments: $: expected member \"expression\", found no members");
}

TEST_CASE("dispatch: a long result is cut at characters, keeps begin and end, and says so") {
  const auto tool = ScriptedTool::make("long");
  tool->then(std::string(5, 'x') + "\xC3\xA9" + std::string(91, 'y') + "\xC3\xA9" + "z");
  Registry registry;
  registry.add(tool).value();
  const ToolResult result =
      run_root(registry.dispatch("long", Json::object(), {}, {.result_bytes_max = 9}));
  CHECK(result.truncated);
  CHECK(result.text == "xxxxx\n[cut: 92 of 101 bytes are not shown here; ask for less at a "
                       "time]\ny\xC3\xA9z");
}

TEST_CASE("dispatch: a tool that hangs is stopped at the deadline, one that throws is an error") {
  const auto tool = ScriptedTool::make("slow");
  bool ended = false;
  const auto hang = [&ended]() -> Async<> {
    struct End {
      bool& flag;
      ~End() { flag = true; }
    } end{ended};
    co_await wait_until(steady_clock(), TimePoint::max() - std::chrono::hours(1));
  };
  tool->then_after(hang).then_throw(environment_error("the disk is gone"));
  Registry registry;
  registry.add(tool).value();
  ToolContext context;
  context.deadline = Deadline::after(steady_clock(), std::chrono::milliseconds(2));
  const ToolResult late = run_root(registry.dispatch("slow", Json::object(), context));
  CHECK(late.is_error);
  CHECK(late.text == "slow: the tool did not answer before its deadline and was stopped");
  CHECK(ended);
  const ToolResult broken = run_root(registry.dispatch("slow", Json::object(), {}));
  CHECK(broken.is_error);
  CHECK(broken.text == "slow: the disk is gone");
}

TEST_CASE("dispatch: cancellation passes through as an exception") {
  const auto tool = ScriptedTool::make("slow");
  bool waiting = false, returned = false;
  tool->then_after([&waiting]() -> Async<> {
    waiting = true;
    co_await wait_until(steady_clock(), TimePoint::max() - std::chrono::hours(1));
  });
  Registry registry;
  registry.add(tool).value();
  run_root([](Registry& all, bool& began, bool& back) -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start([&]() -> Async<> {
        const ToolContext context;
        co_await all.dispatch("slow", Json::object(), context);
        back = true;
      });
      while (!began) co_await yield_once();
      nursery.cancel();
    });
  }(registry, waiting, returned));
  CHECK_FALSE(returned);
}

TEST_CASE("scripted tool: remembers calls and reports what does not fit its script") {
  const auto tool = ScriptedTool::make("t");
  ScriptedTool::Step first;
  first.result.text = "one";
  first.expected = Json{{"a", 1}};
  tool->then(first).then("two").then("three");
  CHECK(call(*tool, {{"a", 1}}).text == "one");
  CHECK(call(*tool, {{"b", 1}}).text == "two");
  CHECK(tool->calls().size() == 2);
  CHECK(tool->calls()[1].arguments == Json{{"b", 1}});
  CHECK(tool->problems() == std::vector<std::string>{"1 steps were not used"});
  CHECK(call(*tool, Json::object()).is_error);
  CHECK(tool->problems().size() == 1);
  tool->then(first);
  CHECK(call(*tool, {{"a", 2}}).text == R"(the script expected {"a":1}, found {"a":2})");
  CHECK(tool->problems().size() == 1);
}

}  // namespace
}  // namespace swarm::tools
