// Small promises of the client that no other test holds; the table is in mcp/README.md.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <string>

#include "engine/base/async/channel.h"
#include "mcp/auth/token_store.h"
#include "mcp/client/asks.h"
#include "mcp/message/jsonrpc.h"
#include "mcp/message/visible_text.h"
#include "mcp/server/http_listener.h"
#include "tests/mcp/loopback_world.h"
#include "tests/support/support.h"

namespace swarm::mcp {
namespace {

using namespace test_world;

// A legacy server over HTTP whose tools/call and resources/read lose their connection the first
// `losses` times; counts what reached it.
struct Lossy {
  int calls = 0, reads = 0, losses = 1;

  Async<> answer(ServerRequest& request, Responder& responder) {
    const auto messages = decode_line(request.body, 1 << 20);
    if (request.method != "POST" || messages.empty() ||
        messages.front().kind != Incoming::Kind::request) {
      co_await responder.respond(request.method == "POST" ? 202 : 405, {}, "");
      co_return;
    }
    const Incoming& message = messages.front();
    calls += message.method == "tools/call";
    reads += message.method == "resources/read";
    const bool lost = (message.method == "tools/call" && calls <= losses) ||
                      (message.method == "resources/read" && reads <= losses);
    if (lost) throw ErrorException(failed("the connection is lost"));
    Json result = Json::object();
    if (message.method == "initialize")
      result = parse_json(R"({"protocolVersion": "2025-11-25", "serverInfo": {"name": "l"},
          "capabilities": {"tools": {}, "resources": {}}})").value();
    if (message.method == "tools/list")
      result = parse_json(R"({"tools": [{"name": "t", "inputSchema": {"type": "object"}}]})")
                   .value();
    if (message.method == "resources/read")
      result = parse_json(R"({"contents": [{"uri": "a", "text": "x"}]})").value();
    const Headers headers{{"Content-Type", "application/json"}};
    std::string body = encode_result(message.id, result);
    co_await responder.respond(200, headers, std::move(body));
  }
};

}  // namespace

TEST_CASE("client: a call whose fate is unknown is never made twice") {
  boost::asio::io_context context(1);
  std::ostringstream log_text;
  Log log(log_text, LogLevel::debug);
  Lossy lossy;
  HttpListener listener({}, context.get_executor(), log);
  listener.listen();
  ServerConfig config;
  config.name = "lossy";
  config.era = Era::legacy;
  config.url = "http://127.0.0.1:" + std::to_string(listener.port()) + "/mcp";
  config.start_timeout = std::chrono::seconds(60);
  const auto client = make_client(config, context.get_executor(), log);
  std::string error;
  const HttpListener::Handler handler = [&](ServerRequest& request, Responder& responder) {
    return lossy.answer(request, responder);
  };
  const auto root = [&]() -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start(listener.run(handler));
      co_await client->start();
      try {
        const CallOptions options;
        co_await client->call_tool("t", Json::object(), options);
      } catch (const ErrorException& e) {
        error = e.error().message;
      }
      co_await client->stop();
      nursery.cancel();
    });
  };
  run_root(context, root());
  CHECK(lossy.calls == 1);
  CHECK(error.find("mcp server \"lossy\"") == 0);
}

TEST_CASE("client: what a server does not offer is never asked for") {
  World world;
  world.served.prompts.clear();
  world.served.complete = nullptr;
  std::vector<std::string> wire;
  world.hooks.trace = [&wire](bool outgoing, const std::string& text) {
    if (outgoing) wire.push_back(text);
  };
  CHECK(world.run([&](Client& client, Server&) -> Async<> {
    int refused = 0;
    try {
      co_await client.list(List::prompts);
    } catch (const ErrorException& e) {
      refused += e.error().kind == ErrorKind::unsupported;
    }
    try {
      co_await client.complete(Json::object(), "x", "v", Json());
    } catch (const ErrorException& e) {
      refused += e.error().kind == ErrorKind::unsupported;
    }
    try {
      co_await client.list(List::skills);
    } catch (const ErrorException& e) {
      refused += e.error().kind == ErrorKind::unsupported;
    }
    CHECK(refused == 3);
  }) == "");
  for (const std::string& text : wire) {
    CHECK(text.find("prompts/") == std::string::npos);
    CHECK(text.find("completion/") == std::string::npos);
    CHECK(text.find("skills/") == std::string::npos);
  }
}

TEST_CASE("client: a server may ask only so often, and only what was offered") {
  ClientHooks hooks;
  hooks.asked_max = 2;
  int answered = 0;
  hooks.sample = [&answered](std::string, Json) -> Async<Json> {
    ++answered;
    co_return Json::object();
  };
  Asks asks("s", hooks);
  std::string last;
  const auto root = [&]() -> Async<> {
    for (int i = 0; i < 3; ++i) try {
        co_await asks.answer("sampling/createMessage", Json::object());
      } catch (const ErrorException& e) {
        last = e.error().message;
        CHECK(e.error().kind == ErrorKind::budget);
      }
    int refused = 0;
    for (const char* method : {"roots/list", "elicitation/create", "shutdown"}) try {
        co_await asks.answer(method, Json::object());
      } catch (const ErrorException&) {
        ++refused;
      }
    CHECK(refused == 3);
  };
  run_root(root());
  CHECK(answered == 2);
  CHECK(last == "the server asked more than 2 times");
}

TEST_CASE("client: text that people cannot see is taken out of descriptions and reported") {
  CHECK(visible_text("plain \xC3\xA4\n\t\xE2\x82\xAC \xF0\x9F\x98\x80") ==
        "plain \xC3\xA4\n\t\xE2\x82\xAC \xF0\x9F\x98\x80");
  // Zero width space, right-to-left override, tag letter, escape, soft hyphen, byte order mark.
  CHECK(visible_text("a\xE2\x80\x8B" "b\xE2\x80\xAE" "c\xF3\xA0\x81\x81" "d\x1B" "e\xC2\xAD"
                     "f\xEF\xBB\xBFg") == "abcdefg");
  CHECK(visible_text("\xFF") == "\xEF\xBF\xBD");
  World world;
  world.served.tools[0].definition["description"] = "Echoes.\xE2\x80\xAE Secretly more.";
  world.served.tools[1].definition["inputSchema"]["description"] = "x\xE2\x80\x8By";
  std::vector<std::string> hidden;
  world.hooks.on_event = [&](std::string_view, std::string_view event, const Json& details) {
    if (event == "hidden_text") hidden.push_back(details.at("tool").get<std::string>());
  };
  CHECK(world.run([&](Client& client, Server&) -> Async<> {
    CHECK(client.tools()[0]->spec().description == "Echoes. Secretly more.");
    co_return;
  }) == "");
  CHECK(hidden == std::vector<std::string>{"echo", "slow"});
}

TEST_CASE("client: a tool that changes under its name is told by name") {
  World world;
  Json told;
  world.hooks.on_event = [&](std::string_view, std::string_view event, const Json& details) {
    if (event == "list_changed") told = details;
  };
  CHECK(world.run([&](Client&, Server& server) -> Async<> {
    co_await pause(milliseconds(100));  // until the client listens
    world.served.tools[0].definition["description"] = "something else";
    world.served.tools.pop_back();
    server.announcer().tools_changed();
    const Deadline deadline = Deadline::after(steady_clock(), std::chrono::seconds(10));
    while (told.is_null() && !deadline.passed(steady_clock().now())) co_await yield_once();
  }) == "");
  REQUIRE(told.is_object());
  CHECK(dump_json(told.at("changed")) == R"(["echo"])");
  CHECK(dump_json(told.at("removed")) == R"(["fail"])");
  CHECK(dump_json(told.at("added")) == "[]");
}

TEST_CASE("client: a tool that the configuration leaves out is not there") {
  for (const bool include : {true, false}) {
    World world;
    if (include) world.config.include_tools = {"s*", "echo"};
    world.config.exclude_tools = {"slow"};
    CHECK(world.run([&](Client& client, Server&) -> Async<> {
      CHECK(client.tools().size() == (include ? 1 : 3));
      co_return;
    }) == "");
  }
}

TEST_CASE("client: tokens are kept where only their owner can read them") {
  test::TempDir dir;
  const std::string file = (dir.path() / "tokens.json").string();
  TokenStore store(file);
  Json entry = Json::object();
  entry["access"] = "secret";
  REQUIRE(store.save("https://x", entry).has_value());
  struct stat info{};
  REQUIRE(::stat(file.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  CHECK(TokenStore(file).load("https://x") == entry);
  CHECK(TokenStore(file).load("https://y").is_null());
}

TEST_CASE("client: a redirect is not followed, so no header reaches another place") {
  boost::asio::io_context context(1);
  std::ostringstream log_text;
  Log log(log_text, LogLevel::debug);
  HttpListener here({}, context.get_executor(), log), there({}, context.get_executor(), log);
  here.listen();
  there.listen();
  int visits = 0;
  const HttpListener::Handler redirect = [&](ServerRequest&, Responder& responder) -> Async<> {
    const Headers headers{{"Location", "http://127.0.0.1:" + std::to_string(there.port()) + "/"}};
    co_await responder.respond(307, headers, "");
  };
  const HttpListener::Handler count = [&](ServerRequest&, Responder& responder) -> Async<> {
    ++visits;
    co_await responder.respond(200, {}, "");
  };
  ServerConfig config;
  config.name = "moved";
  config.url = "http://127.0.0.1:" + std::to_string(here.port()) + "/mcp";
  config.headers = {{"Authorization", "Bearer secret"}};
  const auto client = make_client(config, context.get_executor(), log);
  std::string error;
  const auto root = [&]() -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start(here.run(redirect));
      nursery.start(there.run(count));
      try {
        co_await client->start();
      } catch (const ErrorException& e) {
        error = e.error().message;
      }
      co_await client->stop();
      nursery.cancel();
    });
  };
  run_root(context, root());
  CHECK(visits == 0);
  CHECK(error.find("307") != std::string::npos);
  CHECK(error.find("secret") == std::string::npos);
  CHECK(log_text.str().find("secret") == std::string::npos);
}

}  // namespace swarm::mcp
