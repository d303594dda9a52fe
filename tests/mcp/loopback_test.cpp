// Our client against our server over HTTP on this machine, both generations, and against servers
// that behave badly on the wire. Everything runs on one thread; nothing waits longer than a test.
#include <doctest/doctest.h>

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "engine/base/async/channel.h"
#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "engine/base/async/run.h"
#include "mcp/mcp.h"
#include "mcp/message/jsonrpc.h"
#include "mcp/serve.h"
#include "mcp/server/http_listener.h"
#include "tests/mcp/loopback_world.h"

namespace swarm::mcp {
namespace {

using namespace test_world;

TEST_CASE("loopback: everything a server offers, in both generations") {
  for (const Era era : {Era::automatic, Era::legacy}) {
    World world;
    world.config.era = era;
    const bool modern = era == Era::automatic;
    CAPTURE(modern);
    world.hooks.elicit = [](std::string, Json) -> Async<Json> {
      co_return Json{{"action", "accept"}};
    };
    CHECK(world.run([&](Client& client, Server&) -> Async<> {
      CHECK(client.info().name == "loop");
      CHECK(client.info().protocol_version == (modern ? "2026-07-28" : "2025-11-25"));
      CHECK(client.tools().size() == 4);
      const Json arguments{{"a", 1}};
      const std::string echoed = co_await call(client, "echo", arguments);
      CHECK(echoed == R"({"a":1})");
      const std::string asked = co_await call(client, "ask");
      CHECK(asked == R"({"name":"Eve"})");  // the default of the form
      const CallOptions options;
      const Json failed_call = co_await client.call_tool("fail", Json::object(), options);
      CHECK(failed_call.at("isError") == true);
      CHECK(text_of(failed_call) == "no such item");
      const auto resources = co_await client.list(List::resources);
      CHECK(resources.size() == 1);
      const Json read = co_await client.read_resource("loop://a");
      CHECK(read.at("contents").at(0).at("text") == "A");
      const Json given{{"x", "1"}};
      const Json prompt = co_await client.get_prompt("p", given);
      CHECK(prompt.at("messages").size() == 1);
      const Json ref{{"type", "ref/prompt"}, {"name", "p"}};
      const Json completed = co_await client.complete(ref, "x", "v", Json());
      CHECK(completed.at("completion").at("values").at(1) == "v2");
    }) == "");
  }
}

TEST_CASE("loopback: progress arrives, list changes are followed") {
  for (const Era era : {Era::automatic, Era::legacy}) {
    World world;
    world.config.era = era;
    int changes = 0, begun = 0;
    world.hooks.on_event = [&](std::string_view, std::string_view event, const Json& details) {
      if (event == "list_changed") ++changes;
      if (event == "progress" && details.at("message") == "begun") ++begun;
    };
    CHECK(world.run([&](Client& client, Server& server) -> Async<> {
      co_await call(client, "slow");
      CHECK(begun == 1);
      co_await pause(milliseconds(100));  // until the client listens
      for (int i = 0; i < 5; ++i) server.announcer().tools_changed();
      const Deadline deadline = Deadline::after(steady_clock(), std::chrono::seconds(10));
      while (changes == 0 && !deadline.passed(steady_clock().now())) co_await yield_once();
      co_await pause(milliseconds(200));
    }) == "");
    CHECK(changes == 1);  // a storm is one change
  }
}

TEST_CASE("loopback: a call given up stops the work of the server") {
  for (const Era era : {Era::automatic, Era::legacy}) {
    World world;
    world.config.era = era;
    world.config.call_timeout = milliseconds(200);
    std::string error;
    CHECK(world.run([&](Client& client, Server&) -> Async<> {
      const Json arguments{{"ms", 60000}};
      try {
        co_await call(client, "slow", arguments);
      } catch (const ErrorException& e) {
        error = e.error().message;
      }
      const Deadline deadline = Deadline::after(steady_clock(), std::chrono::seconds(10));
      while (world.running > 0 && !deadline.passed(steady_clock().now())) co_await yield_once();
    }) == "");
    CHECK(error == "mcp server \"loop\": no answer to tools/call in time");
    CHECK(world.running == 0);
    CHECK(world.finished == 0);
  }
}

TEST_CASE("loopback: a session the server has forgotten is renewed without a word") {
  World world;
  world.config.era = Era::legacy;
  world.options.session_idle_max = milliseconds(0);
  CHECK(world.run([&](Client& client, Server&) -> Async<> {
    const Json arguments{{"n", 1}};
    // Another client's initialize makes the server drop what is idle.
    const auto other = make_client(world.config, world.context.get_executor(), world.log);
    co_await other->start();
    const std::string echoed = co_await call(client, "echo", arguments);
    CHECK(echoed == R"({"n":1})");
    co_await other->stop();
  }) == "");
  CHECK(world.log_text.str().find("mcp.session.renew") != std::string::npos);
}

TEST_CASE("loopback: 1,000 calls at once with random cancellations each end exactly once") {
  for (const Era era : {Era::automatic, Era::legacy}) {
    World world;
    world.config.era = era;
    world.config.calls_max = 32;
    int answered = 0, cancelled = 0, failures = 0;
    CHECK(world.run([&](Client& client, Server&) -> Async<> {
      co_await with_nursery([&](Nursery& all) -> Async<> {
        for (int i = 0; i < 1000; ++i)
          all.start([&, i]() -> Async<> {
            const Json arguments{{"ms", i % 7}};
            try {
              CallOptions options;
              if (i % 3 == 0)
                options.deadline = Deadline::after(steady_clock(), milliseconds(1 + i % 400));
              co_await client.call_tool("slow", arguments, options);
              ++answered;
            } catch (const ErrorException& e) {
              if (e.error().kind == ErrorKind::timeout)
                ++cancelled;
              else
                ++failures;
            }
          });
        co_return;
      });
    }) == "");
    CHECK(answered + cancelled == 1000);
    CHECK(answered >= 666);
    CHECK(failures == 0);
    CHECK(world.running == 0);
    CHECK(world.most <= 33);
  }
}

TEST_CASE("loopback: without the token nobody comes in, foreign hosts and origins neither") {
  World world;
  world.options.bearer_token = "s3cret";
  const auto nothing = [](Client&, Server&) -> Async<> { co_return; };
  CHECK(world.run(nothing).find("a bearer token is required") != std::string::npos);
  World good;
  good.options.bearer_token = "s3cret";
  good.config.headers = {{"Authorization", "Bearer s3cret"}};
  CHECK(good.run(nothing) == "");
  CHECK(good.log_text.str().find("s3cret") == std::string::npos);
  World origin;
  origin.config.headers = {{"Origin", "https://evil.test"}};
  CHECK(origin.run(nothing).find("this Host or Origin is not allowed") != std::string::npos);
  World open;
  open.options.host = "0.0.0.0";
  CHECK_THROWS_AS(make_server(open.served, open.options, open.context.get_executor(), open.log)
                      ->listen(),
                  ErrorException);
}

// ---- Servers that behave badly.

// Answers every request as `answer` says; returns what the client made of it.
std::string start_against(const std::function<Async<>(ServerRequest&, Responder&)>& answer) {
  World world;
  HttpListener listener({}, world.context.get_executor(), world.log);
  listener.listen();
  world.config.url = "http://127.0.0.1:" + std::to_string(listener.port()) + "/mcp";
  world.config.stop_grace = milliseconds(500);
  const auto client = make_client(world.config, world.context.get_executor(), world.log);
  std::string error;
  const auto root = [&]() -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start(listener.run(answer));
      const auto visit = [&]() -> Async<> {
        try {
          co_await client->start();
        } catch (const ErrorException& e) {
          error = e.error().message;
        }
      };
      const auto stop = [&]() -> Async<> { co_await client->stop(); };
      co_await with_cleanup(visit, stop);
      nursery.cancel();
    });
  };
  run_root(world.context, root());
  return error;
}

std::string fixed(int status, const std::string& type, const std::string& body) {
  return start_against([=](ServerRequest&, Responder& responder) -> Async<> {
    Headers headers;
    if (!type.empty()) headers.emplace_back("Content-Type", type);
    co_await responder.respond(status, std::move(headers), body);
  });
}

TEST_CASE("loopback: whatever an HTTP server answers ends the start at once with a reason") {
  CHECK(fixed(500, "text/html", "<html>oops</html>").find("HTTP 500") != std::string::npos);
  CHECK(fixed(503, "text/plain", "busy").find("busy") != std::string::npos);
  CHECK(fixed(200, "text/html", "<html>hello</html>").find("text/html") != std::string::npos);
  CHECK(fixed(200, "", "").find("without a content type") != std::string::npos);
  CHECK(fixed(200, "application/json", "{").find("not a JSON-RPC reply") != std::string::npos);
  CHECK(fixed(200, "application/json", "").find("not a JSON-RPC reply") != std::string::npos);
  CHECK(fixed(204, "", "").find("HTTP 204") != std::string::npos);
  CHECK(fixed(401, "", "").find("HTTP 401") != std::string::npos);
  CHECK(fixed(200, "text/event-stream", "data: {}\n\n").find("stream ended") !=
        std::string::npos);
}

TEST_CASE("loopback: a connection that is refused names the place") {
  World world;
  world.config.url = "http://127.0.0.1:1/mcp";
  const auto client = make_client(world.config, world.context.get_executor(), world.log);
  std::string error;
  const auto root = [&]() -> Async<> {
    try {
      co_await client->start();
    } catch (const ErrorException& e) {
      error = e.error().message;
    }
    co_await client->stop();
  };
  run_root(world.context, root());
  CHECK(error.find("http://127.0.0.1:1") != std::string::npos);
}

TEST_CASE("loopback: a server of 2024-11-05 is found behind the two newer ways") {
  std::string posted;
  Channel<std::string> events(16);
  const auto answer = [&](ServerRequest& request, Responder& responder) -> Async<> {
    if (request.target == "/mcp" && request.method == "POST") {
      co_await responder.respond(405, {}, "");
      co_return;
    }
    if (request.method == "GET") {
      Headers headers{{"Content-Type", "text/event-stream"}};
      co_await responder.begin(200, std::move(headers));
      co_await responder.write("event: endpoint\ndata: /messages?x=1\n\n");
      while (true) {
        const std::optional<std::string> event = co_await events.receive();
        if (!event) break;
        std::string text = "event: message\ndata: " + *event + "\n\n";
        co_await responder.write(std::move(text));
      }
      co_return;
    }
    CHECK(request.target == "/messages?x=1");
    for (const Incoming& message : decode_line(request.body, 1 << 20)) {
      Json result = Json::object();
      if (message.method == "initialize")
        result = parse_json(R"({"protocolVersion":"2024-11-05","capabilities":{"tools":{}},
                                "serverInfo":{"name":"old","version":"0"}})").value();
      if (message.method == "tools/list")
        result = parse_json(R"({"tools":[{"name":"t","inputSchema":{"type":"object"}}]})").value();
      posted += message.method + " ";
      if (message.kind == Incoming::Kind::request)
        events.try_send(encode_result(message.id, result));
    }
    co_await responder.respond(202, {}, "");
  };
  CHECK(start_against(answer) == "");
  CHECK(posted == "initialize notifications/initialized tools/list ");
}

}  // namespace
}  // namespace swarm::mcp
