#include <doctest/doctest.h>

#include <optional>
#include <string>

#include "agents/agent.h"
#include "agents/deferred.h"
#include "agents/scripted_model.h"
#include "engine/base/async/run.h"
#include "tools/scripted_tool.h"

namespace swarm::agents {
namespace {

using tools::ScriptedTool;

struct ManyTools {
  tools::Registry registry;
  std::shared_ptr<ScriptedTool> price;
  ScriptedModel model;
  AgentConfig config;

  ManyTools() {
    for (const char* name : {"files__read", "files__write", "shop__price", "shop__stock"}) {
      tools::ToolSpec spec;
      spec.name = name;
      spec.description = std::string(name) == "shop__price" ? "Unit prices of items" : "Other work";
      spec.parameters = Json{{"type", "object"}, {"properties", {{"item", {{"type", "string"}}}}}};
      const auto tool = std::make_shared<ScriptedTool>(spec);
      if (spec.name == "shop__price") price = tool;
      registry.add(tool).value();
    }
    config.name = "A";
    config.tools = {"*"};
  }
  PassResult run() {
    PassInput input;
    Message question;
    question.content = "go";
    input.messages = {question};
    return run_root(run_pass(model, registry, config, input, nullptr));
  }
};

TEST_CASE("deferred tools: below the limit every tool is shown, above it two that stand for all") {
  ManyTools many;
  std::vector<tools::ToolSpec> specs;
  for (const tools::Tool* tool : many.registry.all()) specs.push_back(tool->spec());
  const auto cost = static_cast<int32_t>(definition_cost(specs).tokens);
  CHECK(cost > 40);
  many.config.tool_tokens_max = cost;
  many.model.say("done", "A");
  many.run();
  CHECK(many.model.requests()[0].tools.size() == 4);
  many.config.tool_tokens_max = cost - 1;
  many.model.say("done", "A");
  many.run();
  REQUIRE(many.model.requests()[1].tools.size() == 2);
  CHECK(many.model.requests()[1].tools[0].name == "search_tools");
  CHECK(many.model.requests()[1].tools[1].name == "call_tool");
}

// Counts as it is told; everything else is the script's.
class CountingModel final : public Model {
 public:
  CountingModel(ScriptedModel& script, std::optional<size_t> tokens)
      : script_(script), tokens_(tokens) {}
  Async<ModelReply> generate(ModelRequest request) override {
    return script_.generate(std::move(request));
  }
  std::string_view name() const override { return "counting"; }
  std::optional<size_t> count_tokens(std::string_view) const override { return tokens_; }

 private:
  ScriptedModel& script_;
  const std::optional<size_t> tokens_;
};

TEST_CASE("deferred tools: the model's own count of tokens decides, an estimate without one") {
  const auto shown = [](std::optional<size_t> tokens, int32_t tokens_max) {
    ManyTools many;
    many.config.tool_tokens_max = tokens_max;
    many.model.say("done", "A");
    CountingModel model(many.model, tokens);
    PassInput input;
    input.messages.emplace_back();
    run_root(run_pass(model, many.registry, many.config, input, nullptr));
    return many.model.requests()[0].tools.size();
  };
  CHECK(shown(std::nullopt, 10) == 2);
  CHECK(shown(10, 10) == 4);
  CHECK(shown(11, 10) == 2);
  CHECK(shown(100000, 500) == 2);                // where four bytes each would have fitted
  CHECK(shown(std::nullopt, 500) == 4);
}

TEST_CASE("deferred tools: found by their words, called by their name, checked as ever") {
  ManyTools many;
  many.config.tool_tokens_max = 1;
  many.price->then("7");
  many.model.call({{"", "search_tools", Json{{"query", "price of an item"}}}}, "A");
  many.model.call({{"", "call_tool", Json{{"name", "shop__price"},
                                          {"arguments", {{"item", 5}}}}}}, "A");
  many.model.call({{"", "call_tool", Json{{"name", "shop__price"},
                                          {"arguments", {{"item", "nut"}}}}}}, "A");
  many.model.call({{"", "call_tool", Json{{"name", "shop__prize"},
                                          {"arguments", Json::object()}}}}, "A");
  many.model.call({{"", "call_tool", Json::object()}}, "A");
  many.model.say("done", "A");
  const PassResult result = many.run();
  CHECK(result.tool_calls == 5);
  CHECK(result.tool_errors == 3);
  const std::vector<Message>& messages = many.model.requests().back().messages;
  const auto answer = [&](size_t n) { return messages[2 + 2 * n].content; };
  CHECK(answer(0).rfind("{\"name\":\"shop__price\"", 0) == 0);
  CHECK(answer(0).find("files__read") == std::string::npos);
  CHECK(answer(1).find("wrong arguments: $.item") != std::string::npos);
  CHECK(answer(2) == "7");
  CHECK(answer(3).find("unknown tool \"shop__prize\"") != std::string::npos);
  CHECK(answer(4).find("call_tool: expected") != std::string::npos);
  CHECK(many.price->calls()[0].arguments == Json{{"item", "nut"}});
}

TEST_CASE("deferred tools: what joins late stands behind, when it is too much behind a search") {
  ManyTools many;
  std::vector<tools::ToolSpec> specs;
  for (const tools::Tool* tool : many.registry.all()) specs.push_back(tool->spec());
  many.config.tool_tokens_max = static_cast<int32_t>(definition_cost(specs).tokens) + 60;
  const auto join = [&many](const char* name, const std::string& description) {
    tools::ToolSpec spec;
    spec.name = name;
    spec.description = description;
    spec.parameters = Json{{"type", "object"}};
    const auto tool = std::make_shared<ScriptedTool>(spec);
    tool->then("found");
    many.registry.begin_batch();
    many.registry.add(tool).value();
  };
  ModelReply call;
  call.tool_calls = {{"", "shop__price", Json::object()}};
  call.finish = FinishReason::tool_calls;
  many.price->then("1").then("2");
  many.model.then({.label = "A", .reply = call, .before = [&]() -> Async<> {
                     join("aaa__small", "x");
                     co_return;
                   }});
  many.model.then({.label = "A", .reply = call, .before = [&]() -> Async<> {
                     join("aab__large", std::string(2000, 'y') + " zebra");
                     co_return;
                   }});
  many.model.call({{"", "search_tools", Json{{"query", "zebra"}}}}, "A");
  many.model.call({{"", "call_tool", Json{{"name", "aab__large"}, {"arguments", Json::object()}}},
                   {"", "aaa__small", Json::object()}}, "A");
  many.model.say("done", "A");
  many.run();
  const auto names = [&many](size_t request) {
    std::string out;
    for (const tools::ToolSpec& spec : many.model.requests().at(request).tools)
      out += spec.name + " ";
    return out;
  };
  const std::string first = "files__read files__write shop__price shop__stock ";
  CHECK(names(0) == first);
  CHECK(names(1) == first + "aaa__small ");
  CHECK(names(2) == first + "aaa__small search_tools call_tool ");
  CHECK(names(4) == names(2));
  const std::vector<Message>& messages = many.model.requests().back().messages;
  CHECK(messages.back().content == "found");
  CHECK(messages[messages.size() - 2].content == "found");
  many.model.say("again", "A");
  many.run();
  CHECK(names(5) == names(4));                   // the next pass reads the same
}

TEST_CASE("pass: a tool that left is gone from the next turn; those that stay keep their order") {
  ManyTools many;
  ModelReply call;
  call.tool_calls = {{"", "shop__price", Json::object()}};
  call.finish = FinishReason::tool_calls;
  many.model.then({.label = "A", .reply = call, .before = [&]() -> Async<> {
                     many.registry.withdraw("shop__price", "server \"shop\" offers it no longer");
                     co_return;
                   }});
  many.model.then({.label = "A", .reply = call, .before = [&]() -> Async<> {
                     many.registry.begin_batch();
                     const auto back = ScriptedTool::make("shop__price");
                     back->then("7").then("8");
                     many.registry.add(back).value();
                     many.registry.withdraw("files__read", "x");
                     co_return;
                   }});
  many.model.call({{"", "shop__price", Json::object()}}, "A").say("done", "A");
  many.run();
  const auto& requests = many.model.requests();
  const auto names = [&](size_t request) {
    std::string out;
    for (const tools::ToolSpec& spec : requests.at(request).tools) out += spec.name + " ";
    return out;
  };
  REQUIRE(requests.size() == 4);
  CHECK(names(0) == "files__read files__write shop__price shop__stock ");
  CHECK(names(1) == "files__read files__write shop__stock ");
  CHECK(names(2) == "files__write shop__stock shop__price ");  // it came back, behind the others
  CHECK(requests[1].messages.back().content ==
        "there is no tool \"shop__price\" now: server \"shop\" offers it no longer");
  CHECK(requests[2].messages.back().content == "7");           // known, though not shown again yet
  CHECK(requests[3].messages.back().content == "8");
  CHECK(many.price->calls().empty());
}

TEST_CASE("deferred tools: one that left is not found any more, the definitions stay") {
  ManyTools many;
  many.config.tool_tokens_max = 1;
  ModelReply search;
  search.tool_calls = {{"", "search_tools", Json{{"query", "price"}}}};
  search.finish = FinishReason::tool_calls;
  many.model.then({.label = "A", .reply = search});
  many.model.then({.label = "A", .reply = search, .before = [&]() -> Async<> {
                     many.registry.withdraw("shop__price", "server \"shop\" offers it no longer");
                     co_return;
                   }});
  many.model.call({{"", "search_tools", Json{{"query", "price"}}},
                   {"", "call_tool", Json{{"name", "shop__price"},
                                          {"arguments", Json::object()}}}}, "A");
  many.model.say("done", "A");
  many.run();
  const auto& requests = many.model.requests();
  REQUIRE(requests.size() == 4);
  const std::vector<Message>& messages = requests[3].messages;
  CHECK(messages.back().content ==
        "there is no tool \"shop__price\" now: server \"shop\" offers it no longer");
  CHECK(messages[messages.size() - 2].content.find("\"shop__price\"") == std::string::npos);
  CHECK(requests[1].messages.back().content.find("\"shop__price\"") != std::string::npos);
  CHECK(requests[2].messages.back().content.find("\"shop__price\"") != std::string::npos);
  REQUIRE(requests[3].tools.size() == 2);
  CHECK(requests[3].tools[0].description == requests[0].tools[0].description);
}

TEST_CASE("deferred tools: a search that finds nothing names them all") {
  const ManyTools many;
  std::vector<tools::ToolSpec> specs;
  for (const tools::Tool* tool : many.registry.all()) specs.push_back(tool->spec());
  const DeferredTools deferred(specs);
  CHECK(deferred.search({{"query", "zzz"}}).value() ==
        "nothing fits; the names are: files__read files__write shop__price shop__stock");
  CHECK_FALSE(deferred.search({{"question", "x"}}).has_value());
}

}  // namespace
}  // namespace swarm::agents
