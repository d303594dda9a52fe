// tests/mcp/loopback_world.h — A server of ours in this process and a client of ours that speaks to
// it over HTTP. Everything runs on one thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "engine/base/async/run.h"
#include "mcp/mcp.h"
#include "mcp/serve.h"

namespace swarm::mcp::test_world {

using std::chrono::milliseconds;

inline Json text_result(const std::string& text) {
  Json out = Json::object();
  out["content"] = Json::array({Json{{"type", "text"}, {"text", text}}});
  return out;
}

inline std::string text_of(const Json& result) {
  return result.at("content").at(0).at("text").get<std::string>();
}

inline Async<> pause(milliseconds duration) {
  co_await wait_until(steady_clock(), steady_clock().now() + duration);
}

// A server of ours in the same process and a client of ours that speaks to it.
struct World {
  boost::asio::io_context context{1};
  std::ostringstream log_text;
  Log log{log_text, LogLevel::debug};
  Served served;
  ServeOptions options;
  ServerConfig config;
  ClientHooks hooks;
  int running = 0, most = 0, finished = 0;

  World() {
    served.name = "loop";
    served.version = "1";
    config.name = "loop";
    config.start_timeout = std::chrono::seconds(60);
    add("echo", [](Json arguments, ServedCall&) -> Async<Json> {
      co_return text_result(dump_json(arguments));
    });
    add("slow", [this](Json arguments, ServedCall& call) -> Async<Json> {
      struct Count {
        int& running;
        ~Count() { --running; }
      } count{++running};
      most = std::max(most, running);
      call.progress(1, 2, "begun");
      co_await pause(milliseconds(arguments.value("ms", 20)));
      ++finished;
      co_return text_result("slept");
    });
    add("ask", [](Json, ServedCall& call) -> Async<Json> {
      std::map<std::string, Question> questions;
      Json params = Json::object();
      params["message"] = "Who?";
      params["requestedSchema"] =
          parse_json(R"({"type":"object","properties":{"name":{"type":"string","default":"Eve"}}})")
              .value();
      questions["who"] = Question("elicitation/create", params);
      const auto answers = co_await call.ask(std::move(questions));
      co_return text_result(dump_json(answers.at("who").value("content", Json())));
    });
    add("fail", [](Json, ServedCall&) -> Async<Json> {
      throw ErrorException(failed("no such item"));
      co_return Json();
    });
    served.resources.push_back({Json{{"uri", "loop://a"}, {"name", "a"}},
                                [](std::string uri) -> Async<Json> {
                                  co_return Json::array({Json{{"uri", uri}, {"text", "A"}}});
                                }});
    served.prompts.push_back(
        {parse_json(R"({"name":"p","arguments":[{"name":"x","required":true}]})").value(),
         [](Json arguments, ServedCall&) -> Async<Json> {
           Json message{{"role", "user"},
                        {"content", {{"type", "text"}, {"text", dump_json(arguments)}}}};
           Json out = Json::object();
           out["messages"] = Json::array({message});
           co_return out;
         }});
    served.complete = [](const Json&, const std::string&, const std::string& value) {
      return std::vector<std::string>{value + "1", value + "2"};
    };
  }

  void add(const std::string& name, std::function<Async<Json>(Json, ServedCall&)> call) {
    Json definition{{"name", name}, {"description", name}};
    definition["inputSchema"]["type"] = "object";
    served.tools.push_back({std::move(definition), std::move(call)});
  }

  using Body = std::function<Async<>(Client&, Server&)>;

  // "" or the error of start() or body.
  std::string run(const Body& body) {
    const auto server = make_server(served, options, context.get_executor(), log);
    server->listen();
    if (config.url.empty()) config.url = server->url();
    const auto client = make_client(config, context.get_executor(), log, hooks);
    std::string error;
    const auto root = [&]() -> Async<> {
      co_await with_nursery([&](Nursery& nursery) -> Async<> {
        nursery.start(server->run_http());
        const auto visit = [&]() -> Async<> {
          try {
            co_await client->start();
            co_await body(*client, *server);
          } catch (const ErrorException& e) {
            error = e.error().message;
          }
        };
        const auto stop = [&]() -> Async<> { co_await client->stop(); };
        co_await with_cleanup(visit, stop);
        nursery.cancel();
      });
    };
    run_root(context, root());
    return error;
  }
};

inline Async<std::string> call(Client& client, std::string name, Json arguments = Json::object()) {
  const CallOptions options;
  const Json result = co_await client.call_tool(std::move(name), std::move(arguments), options);
  co_return text_of(result);
}

}  // namespace swarm::mcp::test_world
