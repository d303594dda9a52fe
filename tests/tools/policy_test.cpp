#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "engine/base/async/run.h"
#include "tests/support/support.h"
#include "tools/glob.h"
#include "tools/policy.h"
#include "tools/scripted_tool.h"

namespace swarm::tools {
namespace {

ToolSpec tool(const char* name, Effect effect = Effect::once) {
  ToolSpec spec;
  spec.name = name;
  spec.effect = effect;
  return spec;
}

std::string said(const Decision& decision) {
  return std::string(decision.verdict == Verdict::allow  ? "allow"
                     : decision.verdict == Verdict::deny ? "deny"
                                                         : "ask") +
         " | " + decision.rule;
}

TEST_CASE("policy: deny comes before allow, allow before ask, and the rule is named") {
  PolicyRules rules;
  rules.deny = {"shell:command=*rm -r*", "fs/delete*"};
  rules.allow = {"shell:command=git *", "fs/*", "http:headers.x=1"};
  rules.ask = {"shell", "fs/*", "danger?"};
  const Policy policy = Policy::make(rules).value();
  struct Case {
    const char* name;
    Effect effect;
    Json arguments;
    const char* want;
  };
  const Case cases[] = {
      {"shell", Effect::once, {{"command", "git status"}}, "allow | allow shell:command=git *"},
      {"shell", Effect::once, {{"command", "git gc; rm -rf /"}},
       "deny | deny shell:command=*rm -r*"},
      {"shell", Effect::once, {{"command", "make"}}, "ask | ask shell"},
      {"shell", Effect::once, Json::object(), "ask | ask shell"},
      {"fs__delete_all", Effect::read, Json::object(), "deny | deny fs/delete*"},
      {"fs__write", Effect::once, Json::object(), "allow | allow fs/*"},
      {"http", Effect::once, {{"headers", {{"x", 1}}}}, "allow | allow http:headers.x=1"},
      {"http", Effect::once, {{"headers", "x"}},
       "ask | default: it has effects and no rule names it"},
      {"danger1", Effect::read, Json::object(), "ask | ask danger?"},
      {"calculator", Effect::read, Json::object(), "allow | default: it only reads"},
      {"other", Effect::idempotent, Json::object(),
       "ask | default: it has effects and no rule names it"},
  };
  for (const Case& one : cases) {
    CAPTURE(std::string(one.name) + " " + dump_json(one.arguments));
    CHECK(said(policy.decide(tool(one.name, one.effect), one.arguments)) == one.want);
  }
}

TEST_CASE("policy: of several values one denies or asks, all must allow") {
  PolicyRules rules;
  rules.deny = {"write:*=/etc/*"};
  rules.allow = {"write:paths=/tmp/*"};
  const Policy policy = Policy::make(rules).value();
  const auto decide = [&](Json paths) {
    return policy.decide(tool("write"), Json{{"paths", std::move(paths)}}).verdict;
  };
  CHECK(decide(Json::array({"/tmp/a", "/tmp/b"})) == Verdict::allow);
  CHECK(decide(Json::array({"/tmp/a", "/home/b"})) == Verdict::ask);
  CHECK(decide(Json::array({"/tmp/a", "/etc/b"})) == Verdict::deny);
  CHECK(decide(Json::array()) == Verdict::ask);
  CHECK(policy.decide(tool("write"), {{"deep", {{"er", "/etc/x"}}}}).verdict == Verdict::deny);
}

TEST_CASE("policy: SERVER/TOOL means the server and the name that it uses itself") {
  const auto remote = [](const char* server, const char* name, const char* shown) {
    ToolSpec spec = tool(shown);
    spec.server = server;
    spec.remote_name = name;
    return spec;
  };
  const ToolSpec mine = remote("a", "b__c", "a__b__c_1234abcd");
  const ToolSpec other = remote("a__b", "c", "a__b__c");
  const ToolSpec dotted = remote("shop", "x.y", "shop__x_y");
  CHECK(names_tool("a/b__c", mine));
  CHECK_FALSE(names_tool("a/b__c", other));
  CHECK(names_tool("a__b/c", other));
  CHECK_FALSE(names_tool("a__b/c", mine));
  CHECK(names_tool("a__b__c", other));           // the public name itself
  CHECK_FALSE(names_tool("a__b__c", mine));
  CHECK(names_tool("a__b__c_1234abcd", mine));
  CHECK(names_tool("a/b*", mine));
  CHECK(names_tool("*/b__c", mine));
  CHECK(names_tool("shop/x.y", dotted));
  CHECK(names_tool("shop/x_y", dotted));         // as models and lists call it
  CHECK(names_tool("shop/*", dotted));
  CHECK_FALSE(names_tool("sho/*", dotted));
  CHECK(names_tool("fs/read_*", tool("fs__read_file")));
  // Only the server says whose a tool is; what its origin looks like is for people.
  ToolSpec script = tool("pay");
  script.origin = "mcp:shop";
  script.remote_name = "pay";
  CHECK_FALSE(names_tool("shop/pay", script));
}

TEST_CASE("policy: approvals come after every rule, and do not make a policy") {
  PolicyRules rules;
  rules.approved = {"mail/*"};
  rules.declared = false;
  const Policy none = Policy::make(rules).value();
  CHECK_FALSE(none.declared());
  CHECK(said(none.decide(tool("mail__send"), Json::object())) ==
        "allow | approved with its server: mail/*");
  CHECK(said(none.decide(tool("shell"), Json::object())) ==
        "deny | default: it has effects and there is no policy");
  rules.ask = {"mail/send"};
  rules.declared = true;
  const Policy some = Policy::make(rules).value();
  CHECK(said(some.decide(tool("mail__send"), Json::object())) == "ask | ask mail/send");
  CHECK(said(some.decide(tool("mail__list"), Json::object())) ==
        "allow | approved with its server: mail/*");
}

TEST_CASE("policy: without one only reading is allowed") {
  const Policy none;
  CHECK(none.decide(tool("a", Effect::read), {}).verdict == Verdict::allow);
  CHECK(none.decide(tool("a", Effect::idempotent), {}).verdict == Verdict::deny);
  CHECK(said(none.decide(tool("a"), {})) ==
        "deny | default: it has effects and there is no policy");
}

TEST_CASE("policy: a rule that is none is an error, not a hole") {
  for (const char* text : {"", ":a=b", "shell:command", "shell:=x", "shell:a..b=c", "deny shell"}) {
    CAPTURE(std::string(text));
    PolicyRules rules;
    rules.deny = {text};
    CHECK(Policy::make(rules).error().kind == ErrorKind::invalid_input);
  }
}

class Gate final : public Guard {
 public:
  Async<std::string> admit(const ToolSpec& spec, const Json& arguments,
                           const ToolContext& context) override {
    seen.push_back(spec.name + dump_json(arguments) + context.agent);
    if (hang) co_await wait_until(steady_clock(), TimePoint::max() - std::chrono::hours(1));
    co_return refusal;
  }
  std::vector<std::string> seen;
  std::string refusal;
  bool hang = false;
};

TEST_CASE("dispatch: the guard sees checked arguments, and what it refuses is not called") {
  Gate gate;
  Registry registry;
  const auto scripted = ScriptedTool::make("tool");
  scripted->then("done");
  registry.add(scripted).value();
  registry.set_guard(&gate);
  ToolContext context;
  context.agent = "A";
  gate.refusal = "no";
  const ToolResult refused = run_root(registry.dispatch("tool", Json(), context));
  CHECK(refused.is_error);
  CHECK(refused.text == "tool: no");
  CHECK(scripted->calls().empty());
  gate.refusal.clear();
  CHECK(run_root(registry.dispatch("tool", Json(), context)).text == "done");
  CHECK(run_root(registry.dispatch("tool", Json(7), context)).is_error);
  CHECK(gate.seen == std::vector<std::string>{"tool{}A", "tool{}A"});
  gate.hang = true;
  context.deadline = Deadline::after(steady_clock(), std::chrono::milliseconds(30));
  CHECK(run_root(registry.dispatch("tool", Json(), context)).text ==
        "tool: not run: nobody allowed it before the deadline");
}

TEST_CASE("dispatch: a limit of calls holds, and turns come in order") {
  Registry registry;
  const auto scripted = ScriptedTool::make("tool");
  for (int i = 0; i < 6; ++i) {
    const auto wait = []() -> Async<> {
      co_await wait_until(steady_clock(), steady_clock().now() + std::chrono::milliseconds(5));
    };
    scripted->then_after(wait, std::to_string(i));
  }
  registry.add(scripted).value();
  registry.limit("tool", 2);
  std::vector<std::string> order;
  const auto body = [&]() -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      for (int i = 0; i < 6; ++i)
        nursery.start([&, i]() -> Async<> {
          ToolContext context;
          context.call_id = std::to_string(i);
          const ToolResult result = co_await registry.dispatch("tool", Json(), context);
          order.push_back(result.text);
        });
      co_return;
    });
  };
  run_root(body());
  CHECK(order.size() == 6);
  CHECK(scripted->running_max() == 2);
  for (size_t i = 0; i < scripted->calls().size(); ++i)
    CHECK(scripted->calls()[i].context.call_id == std::to_string(i));
}

TEST_CASE("dispatch: waiting for a turn ends at the deadline, and the turn is not lost") {
  Registry registry;
  const auto scripted = ScriptedTool::make("tool");
  const auto wait = []() -> Async<> {
    co_await wait_until(steady_clock(), steady_clock().now() + std::chrono::milliseconds(80));
  };
  scripted->then_after(wait, "first");
  scripted->then("second");
  registry.add(scripted).value();
  registry.limit("tool", 1);
  std::string late;
  const auto body = [&]() -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start([&]() -> Async<> {
        ToolContext context;
        const ToolResult result = co_await registry.dispatch("tool", Json(), context);
        CHECK(result.text == "first");
      });
      nursery.start([&]() -> Async<> {
        ToolContext context;
        context.deadline = Deadline::after(steady_clock(), std::chrono::milliseconds(20));
        const ToolResult result = co_await registry.dispatch("tool", Json(), context);
        late = result.text;
      });
      co_return;
    });
  };
  run_root(body());
  CHECK(late == "tool: its turn did not come before the deadline");
  CHECK(run_root(registry.dispatch("tool", Json(), ToolContext{})).text == "second");
}

TEST_CASE("artifacts: what is cut is kept whole and read by pages") {
  const test::TempDir dir;
  const auto artifacts = std::make_shared<Artifacts>((dir.path() / "kept").string());
  Registry registry;
  const auto scripted = ScriptedTool::make("tool");
  std::string whole;
  for (int i = 0; i < 3000; ++i) whole += "line " + std::to_string(i) + " \xC3\xA9\n";
  scripted->then(whole);
  registry.add(scripted).value();
  BuiltinOptions options;
  options.artifacts = artifacts;
  registry.add(make_builtin("read_artifact", options).value()).value();
  registry.set_artifacts(artifacts);
  ToolContext context;
  const DispatchOptions small{.result_bytes_max = 3000, .pages = true};
  const ToolResult cut = run_root(registry.dispatch("tool", Json(), context, small));
  const size_t head = cut.text.find("\n[cut: ");
  CHECK(head >= 1999);
  CHECK(cut.text.find("read_artifact with handle \"result-1\" and offset " +
                      std::to_string(head)) != std::string::npos);
  CHECK(cut.text.substr(0, head) == whole.substr(0, head));
  CHECK(cut.text.substr(cut.text.size() - 900) == whole.substr(whole.size() - 900));
  std::string joined;
  for (size_t offset = 0; offset < whole.size();) {
    const ToolResult page = run_root(registry.dispatch(
        "read_artifact", {{"handle", "result-1"}, {"offset", offset}}, context));
    REQUIRE_FALSE(page.is_error);
    const size_t end = page.truncated ? page.text.rfind("\n[") : page.text.size();
    joined += page.text.substr(0, end);
    offset += end;
  }
  CHECK(joined == whole);
  for (const char* handle : {"result-2", "../kept/result-1", "result-", "result-1/../result-1"}) {
    CAPTURE(std::string(handle));
    CHECK(run_root(registry.dispatch("read_artifact", {{"handle", handle}}, context)).is_error);
  }
}

TEST_CASE("artifacts: all of them together have a limit, beyond it results are only cut") {
  const test::TempDir dir;
  Registry registry;
  registry.set_artifacts(std::make_shared<Artifacts>((dir.path() / "kept").string(), 2500));
  const auto scripted = ScriptedTool::make("tool");
  registry.add(scripted).value();
  ToolContext context;
  const DispatchOptions small{.result_bytes_max = 100, .pages = true};
  std::string last;
  for (int i = 0; i < 20; ++i) {
    scripted->then(std::string(1000, 'x'));
    last = run_root(registry.dispatch("tool", Json(), context, small)).text;
  }
  CHECK(last.find("ask for less at a time") != std::string::npos);
  const auto kept = std::filesystem::directory_iterator(dir.path() / "kept");
  CHECK(std::distance(kept, std::filesystem::directory_iterator()) == 2);
}

}  // namespace
}  // namespace swarm::tools
