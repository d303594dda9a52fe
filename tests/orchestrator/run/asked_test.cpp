// What MCP servers ask of a run: a model, a person, folders. A real server that asks on demand.
#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "orchestrator/run/asked.h"
#include "tests/orchestrator/run/real_servers.h"

using namespace swarm;
using namespace swarm::test;

namespace {

// A run of one task, which makes the server ask; the result of the task is the server's answer.
std::string asks(const std::string& grants, const std::string& method, const Json& params,
                 const std::string& more = "", int times = 1) {
  std::string yaml = "agents: {A: {}}\npolicy: {allow: [\"shop/*\"]}\nmcp:\n" +
                     server("shop", "curious", grants) + more + "graph:\n";
  const Json arguments{{"method", method}, {"params", params}};
  for (int i = 1; i <= times; ++i)
    yaml += "  t" + std::to_string(i) + ": {tool: shop/ask, args: " + dump_json(arguments) +
            (i > 1 ? ", after: [t" + std::to_string(i - 1) + "]" : "") + "}\n";
  return yaml;
}

Json answer_of(const run::RunResult& result) {
  CAPTURE(dump_json(to_json(result)));
  REQUIRE(result.ok);
  if (!result.answer.is_string()) return result.answer;
  return parse_json(result.answer.get<std::string>()).value();
}

Json text(const std::string& words) { return {{"type", "text"}, {"text", words}}; }

Json question(int max_tokens = 100) {
  return {{"messages", Json::array({{{"role", "user"}, {"content", text("how many?")}}})},
          {"systemPrompt", "be brief"},
          {"maxTokens", max_tokens}};
}

}  // namespace

TEST_CASE("asked: a model answers a server that may ask it, within the file's limits") {
  World world(asks(", sampling: {tokens_max: 64}", "sampling/createMessage", question(5000)));
  use_real_servers(world);
  world.model.say("forty-two", "mcp:shop");
  const Json answer = answer_of(world.run());
  CHECK(answer["role"] == "assistant");
  CHECK(answer["content"] == text("forty-two"));
  CHECK(answer["model"] == "fake");
  CHECK(answer["stopReason"] == "endTurn");
  REQUIRE(world.model.requests().size() == 1);
  const agents::ModelRequest& request = world.model.requests()[0];
  REQUIRE(request.messages.size() == 2);
  CHECK(request.messages[0].role == agents::Role::system);
  CHECK(request.messages[0].content == "be brief");
  CHECK(request.messages[1].content == "how many?");
  CHECK(request.max_tokens == 64);               // 5000 were asked for
  CHECK(request.tools.empty());
  CHECK(request.sampling.seed.has_value());
  REQUIRE(world.events("mcp.ask").size() == 1);
  const Json asked = world.events("mcp.ask")[0].data;
  CHECK(asked["server"] == "shop");
  CHECK(asked["what"] == "sampling");
  CHECK(asked["messages"][1]["content"] == "how many?");
  REQUIRE(world.events("mcp.answer").size() == 1);
  CHECK(world.events("mcp.answer")[0].data["text"] == "forty-two");
  CHECK(world.events("run.end")[0].data["usage"]["model_calls"] == 1);
}

TEST_CASE("asked: no model is at the service of a server that the file does not allow it") {
  World world(asks("", "sampling/createMessage", question()));
  use_real_servers(world);
  const Json answer = answer_of(world.run());
  CHECK(answer["code"] == -32601);
  CHECK(world.model.requests().empty());
  CHECK(world.events("mcp.ask").empty());
}

TEST_CASE("asked: a server that asks a model too often is told so, and so is the run's budget") {
  World world(asks(", sampling: {calls_max: 1}", "sampling/createMessage", question(), "", 2));
  use_real_servers(world);
  world.model.say("one", "mcp:shop");
  const Json answer = answer_of(world.run());
  CHECK(answer["code"] == -32603);
  CHECK(answer["message"].get<std::string>().find("more than 1 requests") != std::string::npos);
  CHECK(world.model.requests().size() == 1);

  World poor(asks(", sampling: {}", "sampling/createMessage", question(),
                  "limits: {model_calls: 1}\n", 2));
  use_real_servers(poor);
  poor.model.say("one", "mcp:shop");
  CHECK(answer_of(poor.run())["message"].get<std::string>().find("limits.model_calls") !=
        std::string::npos);
  CHECK(poor.events("mcp.answer").back().data["error"].get<std::string>().find("model_calls") !=
        std::string::npos);
}

TEST_CASE("asked: what no model here can do is refused as the server's mistake") {
  const auto refused = [](Json params) {
    World world(asks(", sampling: {}", "sampling/createMessage", params));
    use_real_servers(world);
    const Json answer = answer_of(world.run());
    CHECK(answer["code"] == -32602);
    return answer["message"].get<std::string>();
  };
  Json tools = question();
  tools["tools"] = Json::array({{{"name", "x"}}});
  CHECK(refused(tools).find("tools in sampling are not offered") != std::string::npos);
  Json image = question();
  image["messages"][0]["content"] = {{"type", "image"}, {"data", "QUJD"}};
  CHECK(refused(image).find("only text is understood") != std::string::npos);
  Json endless = question();
  endless.erase("maxTokens");
  CHECK(refused(endless).find("maxTokens") != std::string::npos);
  CHECK(refused(Json{{"maxTokens", 5}, {"messages", Json::array()}}).find("messages") !=
        std::string::npos);
}

TEST_CASE("asked: a person answers a form; the journal has its fields, not what was said") {
  const Json form{{"message", "who\xE2\x80\xAE are you?"},
                  {"requestedSchema",
                   {{"type", "object"},
                    {"properties",
                     {{"name", {{"type", "string"}}},
                      {"colour", {{"type", "string"}, {"default", "blue"}}}}}}}};
  World world(asks("", "elicitation/create", form));
  use_real_servers(world);
  std::string heard;
  world.settings.elicit = [&heard](std::string server, Json params) -> Async<Json> {
    heard = server + ": " + params["message"].get<std::string>();
    co_return Json{{"action", "accept"}, {"content", {{"name", "s3cret-name"}}}};
  };
  const Json answer = answer_of(world.run());
  CHECK(heard == "shop: who are you?");          // nothing in it turns the text around
  CHECK(answer["action"] == "accept");
  CHECK(answer["content"] == Json{{"name", "s3cret-name"}, {"colour", "blue"}});
  CHECK(world.events("mcp.ask")[0].data["mode"] == "form");
  const Json said = world.events("mcp.answer")[0].data;
  CHECK(said["fields"] == Json::array({"name"}));
  CHECK(dump_json(said).find("s3cret") == std::string::npos);
}

TEST_CASE("asked: where nobody is, forms are not offered, or declined if the file says so") {
  const Json form{{"message", "m"}, {"requestedSchema", Json::object()}};
  for (const bool person : {false, true})
    for (const std::string mode : {"auto", "decline", "off"}) {
      CAPTURE(mode);
      World world(asks(", elicitation: " + mode, "elicitation/create", form));
      use_real_servers(world);
      if (person)
        world.settings.elicit = [](std::string, Json) -> Async<Json> {
          co_return Json{{"action", "cancel"}};
        };
      const Json answer = answer_of(world.run());
      if (mode == "decline")
        CHECK(answer == Json{{"action", "decline"}});
      else if (mode == "auto" && person)
        CHECK(answer == Json{{"action", "cancel"}});
      else
        CHECK(answer["code"] == -32601);
    }
}

TEST_CASE("asked: a server is told its folders, and what it may ask for, not more") {
  World world(asks(", roots: [\"/a b/c\"]", "roots/list", Json::object()));
  use_real_servers(world);
  CHECK(answer_of(world.run()) ==
        Json{{"roots", Json::array({{{"uri", "file:///a%20b/c"}, {"name", "c"}}})}});

  World none("agents: {A: {}}\npolicy: {allow: [\"shop/*\"]}\nmcp:\n" +
             server("shop", "curious") + "graph: {a: {tool: shop/offered}}\n");
  use_real_servers(none);
  CHECK(answer_of(none.run()) == Json::object());

  World all("agents: {A: {}}\npolicy: {allow: [\"shop/*\"]}\nmcp:\n" +
            server("shop", "curious", ", roots: [/x], sampling: {}, elicitation: decline") +
            "graph: {a: {tool: shop/offered}}\n");
  use_real_servers(all);
  const Json offered = answer_of(all.run());
  CHECK(offered.contains("roots"));
  CHECK(offered["sampling"] == Json::object());  // no tools
  CHECK(offered["elicitation"] == Json{{"form", Json::object()}, {"url", Json::object()}});
}

TEST_CASE("asked: folders become addresses, replies end before a stop sequence") {
  const auto uri = [](const std::string& folder) { return run::root_of(folder).uri; };
  CHECK(uri("/data/x/") == "file:///data/x");
  CHECK(uri("/") == "file:///");
  CHECK(uri("/\xC3\xA4#?") == "file:///%C3%A4%23%3F");
  CHECK(uri("rel/../y") == "file://" + (std::filesystem::current_path() / "y").string());
  agents::ModelReply reply;
  reply.content = "one END two STOP";
  const Json stops{{"stopSequences", {"STOP", "END", "", 7}}};
  const Json cut = run::sampling_result(reply, stops, "m");
  CHECK(cut["content"]["text"] == "one ");
  CHECK(cut["stopReason"] == "stopSequence");
  reply.finish = agents::FinishReason::length;
  CHECK(run::sampling_result(reply, Json::object(), "m")["stopReason"] == "maxTokens");
}
