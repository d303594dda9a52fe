// What a server says unasked and what it is asked to say: lists that are kept and change, resources
// that are followed, logs, and the tasks of 2025-11-25.
#include <doctest/doctest.h>

#include <map>

#include "mcp/server/http_listener.h"
#include "tests/mcp/fixture_rig.h"
#include "tests/mcp/loopback_world.h"

namespace swarm::mcp {
namespace {

using namespace test_world;

// How often the client has sent each method.
std::shared_ptr<std::map<std::string, int>> count_requests(World& world) {
  const auto out = std::make_shared<std::map<std::string, int>>();  // shared with the hook
  world.hooks.trace = [out](bool outgoing, const std::string& text) {
    const auto message = parse_json(text);
    if (outgoing && message && message->contains("method"))
      ++(*out)[message->at("method").get<std::string>()];
  };
  return out;
}

Async<> until(std::function<bool()> is_true) {
  const Deadline deadline = Deadline::after(steady_clock(), std::chrono::seconds(10));
  while (!is_true() && !deadline.passed(steady_clock().now())) co_await pause(milliseconds(5));
}

size_t times(const std::string& text, const std::string& part) {
  size_t out = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++out;
  return out;
}

}  // namespace

TEST_CASE("lists: kept as long as the server says, or until it tells of a change") {
  for (const bool kept : {true, false}) {
    CAPTURE(kept);
    World world;
    world.served.ttl = milliseconds(kept ? 3600'000 : 0);
    const auto sent = count_requests(world);
    int changes = 0;
    world.hooks.on_event = [&](std::string_view, std::string_view event, const Json& details) {
      if (event == "list_changed" && details.at("list") == "prompts") ++changes;
    };
    CHECK(world.run([&](Client& client, Server& server) -> Async<> {
      for (int i = 0; i < 3; ++i) {
        const auto prompts = co_await client.list(List::prompts);
        CHECK(prompts.size() == 1);
        const auto tools = co_await client.list(List::tools);
        CHECK(tools.size() == 4);
      }
      CHECK((*sent)["prompts/list"] == (kept ? 1 : 3));
      CHECK((*sent)["tools/list"] == (kept ? 2 : 4));  // one of them by the start
      co_await pause(milliseconds(100));               // until the client listens
      server.announcer().prompts_changed();
      co_await until([&] { return changes == 1; });
      co_await client.list(List::prompts);
      CHECK((*sent)["prompts/list"] == (kept ? 2 : 4));
    }) == "");
  }
}

TEST_CASE("subscriptions: changes of the resources that are followed are told, and no others") {
  for (const Era era : {Era::automatic, Era::legacy}) {
    CAPTURE(int(era));
    World world;
    world.config.era = era;
    world.served.ttl = milliseconds(3600'000);
    std::string content = "old";
    world.served.resources[0].read = [&](std::string uri) -> Async<Json> {
      co_return Json::array({Json{{"uri", uri}, {"text", content}}});
    };
    std::vector<std::string> told;
    world.hooks.on_event = [&](std::string_view, std::string_view event, const Json& details) {
      if (event == "resource_updated") told.push_back(details.at("uri").get<std::string>());
    };
    CHECK(world.run([&](Client& client, Server& server) -> Async<> {
      const auto read = [&]() -> Async<std::string> {
        const Json result = co_await client.read_resource("loop://a");
        co_return result.at("contents").at(0).at("text").get<std::string>();
      };
      co_await client.subscribe("loop://a");
      co_await client.subscribe("loop://a");           // once is enough
      co_await pause(milliseconds(150));
      const std::string before = co_await read();
      CHECK(before == "old");
      content = "new";
      server.announcer().resource_updated("loop://b");
      server.announcer().resource_updated("loop://a");
      co_await until([&] { return !told.empty(); });
      CHECK(told == std::vector<std::string>{"loop://a"});
      const std::string after = co_await read();
      CHECK(after == "new");                           // not what was kept
      co_await client.unsubscribe("loop://a");
      co_await pause(milliseconds(150));
      server.announcer().resource_updated("loop://a");
      co_await pause(milliseconds(150));
      CHECK(told.size() == 1);
    }) == "");
  }
}

TEST_CASE("subscriptions: a new session is told again what is followed") {
  World world;
  world.config.era = Era::legacy;
  world.options.session_idle_max = milliseconds(0);
  const auto sent = count_requests(world);
  CHECK(world.run([&](Client& client, Server&) -> Async<> {
    co_await client.subscribe("loop://a");
    // Another client's initialize makes the server drop what is idle.
    const auto other = make_client(world.config, world.context.get_executor(), world.log);
    co_await other->start();
    co_await call(client, "echo");
    CHECK((*sent)["initialize"] == 2);
    CHECK((*sent)["resources/subscribe"] == 2);
    co_await other->stop();
  }) == "");
}

TEST_CASE("subscriptions: a server that offers none is not asked") {
  World world;
  world.served.resources.clear();
  std::string error;
  CHECK(world.run([&](Client& client, Server&) -> Async<> {
    try {
      co_await client.subscribe("loop://a");
    } catch (const ErrorException& e) {
      CHECK(e.error().kind == ErrorKind::unsupported);
      error = e.error().message;
    }
  }) == "");
  CHECK(error == "mcp server \"loop\" offers no resources");
}

TEST_CASE("logs: a server says what it was asked to say, in both generations") {
  struct Case {
    Era era;
    const char* level;
    int heard;
  };
  for (const Case& one :
       {Case{Era::automatic, "", 0}, Case{Era::automatic, "info", 2},
        Case{Era::automatic, "error", 1}, Case{Era::legacy, "info", 2},
        Case{Era::legacy, "error", 1}}) {
    CAPTURE(std::string(one.level));
    World world;
    world.config.era = one.era;
    world.config.log_level = one.level;
    world.add("talks", [](Json, ServedCall& call) -> Async<Json> {
      call.log("info", "by the way");
      call.log("error", "it burns");
      co_return text_result("done");
    });
    int heard = 0;
    world.hooks.on_event = [&](std::string_view, std::string_view event, const Json&) {
      if (event == "log") ++heard;
    };
    CHECK(world.run([&](Client& client, Server&) -> Async<> {
      co_await call(client, "talks");
    }) == "");
    CHECK(heard == one.heard);
  }
}

TEST_CASE("changes: a server that dies before its new list is read is listened to again") {
  fixture::Rig rig("normal");
  rig.config.era = Era::legacy;
  rig.config.restart_backoff = milliseconds(1);
  CHECK(rig.run([&](Session& session) -> Async<> {
    const Json nothing = Json::object();
    co_await fixture::call(session, "fix__announce", nothing);
    co_await fixture::call(session, "fix__die", nothing);   // before the list is read
    co_await fixture::call(session, "fix__echo", nothing);
    CHECK(times(rig.log_text.str(), "mcp.tools.changed") == 0);
    co_await fixture::call(session, "fix__announce", nothing);
    co_await until([&] { return times(rig.log_text.str(), "mcp.tools.changed") > 0; });
    CHECK(times(rig.log_text.str(), "mcp.tools.changed") == 1);
  }) == "");
}

TEST_CASE("tasks: a tool of 2025-11-25 that wants to be a task is one, and is cancelled") {
  fixture::Rig rig("legacy_tasks");
  rig.config.era = Era::legacy;
  CHECK(rig.run([&](Session& session) -> Async<> {
    const Json nothing = Json::object();
    const tools::ToolResult result = co_await fixture::call(session, "fix__as_task", nothing);
    CHECK(result.text == "done as a task");
    CHECK_FALSE(result.is_error);
    CHECK(times(rig.wire(), "\"tasks/get\"") == 3);
    CHECK(times(rig.wire(), "\"tasks/cancel\"") == 0);
    tools::ToolContext hurry;
    hurry.deadline = Deadline::after(steady_clock(), milliseconds(150));
    const tools::ToolResult late =
        co_await fixture::tool(session, "fix__as_task").call(nothing, hurry);
    CHECK(late.is_error);
    CHECK(late.text.find("did not end in time") != std::string::npos);
    CHECK(times(rig.wire(), "\"tasks/cancel\"") == 1);
  }) == "");
}

TEST_CASE("needs_auth: a server that refuses us in the middle is in that state until it does not") {
  World world;
  world.config.era = Era::legacy;
  bool refusing = false;
  HttpListener listener({}, world.context.get_executor(), world.log);
  listener.listen();
  world.config.url = "http://127.0.0.1:" + std::to_string(listener.port()) + "/";
  const auto answer = [&](ServerRequest& request, Responder& responder) -> Async<> {
    const auto message = parse_json(request.body);
    const std::string method = message ? message->value("method", "") : "";
    const bool told = refusing && method == "tools/call";
    Json result = Json::object();
    if (method == "initialize")
      result = parse_json(R"({"protocolVersion":"2025-11-25","capabilities":{"tools":{}},
                              "serverInfo":{"name":"s","version":"1"}})").value();
    if (method == "tools/list")
      result = parse_json(R"({"tools":[{"name":"t","inputSchema":{"type":"object"}}]})").value();
    if (method == "tools/call") result = text_result("called");
    Headers headers{{"Content-Type", "application/json"}};
    const bool request_of_ours = message && message->contains("id");
    std::string body = told || !request_of_ours
                           ? ""
                           : dump_json({{"jsonrpc", "2.0"}, {"id", message->at("id")},
                                        {"result", result}});
    const int status = told ? 401 : request.method != "POST" ? 405 : request_of_ours ? 200 : 202;
    co_await responder.respond(status, std::move(headers), std::move(body));
  };
  std::string states;
  world.hooks.on_event = [&](std::string_view, std::string_view event, const Json& details) {
    if (event == "state") states += details.at("state").get<std::string>() + " ";
  };
  const auto client = make_client(world.config, world.context.get_executor(), world.log,
                                  world.hooks);
  const auto root = [&]() -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start(listener.run(answer));
      co_await client->start();
      const std::string before = co_await call(*client, "t");
      CHECK(before == "called");
      refusing = true;
      std::string error;
      try {
        co_await call(*client, "t");
      } catch (const ErrorException& e) {
        error = e.error().message;
      }
      CHECK(error.find("401") != std::string::npos);
      CHECK(client->state() == State::needs_auth);
      CHECK(client->state_reason().find("401") != std::string::npos);
      refusing = false;
      const std::string after = co_await call(*client, "t");
      CHECK(after == "called");
      CHECK(client->state() == State::ready);
      co_await client->stop();
      nursery.cancel();
    });
  };
  run_root(world.context, root());
  CHECK(states == "starting ready needs_auth ready stopped ");
}

}  // namespace swarm::mcp
