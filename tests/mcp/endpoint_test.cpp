// The HTTP face of our server, asked by hand: batches, cancelled requests, pages of other origins,
// too much at once, resources that come and go.
#include <doctest/doctest.h>

#include <set>
#include <string>

#include "mcp/transport/http_client.h"
#include "tests/mcp/loopback_world.h"

namespace swarm::mcp {
namespace {

using namespace test_world;

constexpr size_t kAnswerMax = size_t{1} << 20;

// Requests of an older client in its session.
class ByHand {
 public:
  ByHand(World& world, Server& server) : http_(world.context.get_executor(), {}) {
    url_ = parse_url(server.url()).value();
  }

  Async<> initialize(std::string version) {
    const Json params{{"protocolVersion", version}, {"capabilities", Json::object()},
                      {"clientInfo", {{"name", "hand"}, {"version", "1"}}}};
    const Json hello{{"jsonrpc", "2.0"}, {"id", 0}, {"method", "initialize"},
                     {"params", params}};
    std::string body = dump_json(hello);
    const HttpResponse answer = co_await post(std::move(body));
    headers = {{"Mcp-Session-Id", *find_header(answer.headers, "Mcp-Session-Id")},
               {"MCP-Protocol-Version", version}};
  }
  Async<HttpResponse> post(std::string body) { return send("POST", std::move(body)); }
  Async<HttpResponse> send(std::string method, std::string body) {
    co_return co_await http_.fetch(request(std::move(method), std::move(body)), kAnswerMax);
  }
  // The head of the answer is in; its body goes on.
  Async<std::unique_ptr<HttpClient::Exchange>> begin(std::string body) {
    co_return co_await http_.begin(request("POST", std::move(body)));
  }

  Headers headers;

 private:
  HttpRequest request(std::string method, std::string body) const {
    HttpRequest out;
    out.method = std::move(method);
    out.url = url_;
    out.headers = headers;
    out.headers.emplace_back("Content-Type", "application/json");
    out.headers.emplace_back("Accept", "application/json, text/event-stream");
    out.body = std::move(body);
    return out;
  }

  HttpClient http_;
  Url url_;
};

// With a token, so that progress opens the stream before the answer.
std::string call_text(int id, const char* tool, const std::string& arguments = "{}") {
  return R"({"jsonrpc":"2.0","id":)" + std::to_string(id) +
         R"(,"method":"tools/call","params":{"_meta":{"progressToken":1},"name":")" + tool +
         R"(","arguments":)" + arguments + "}}";
}

// The ids of the answers in an event stream.
std::multiset<int> answered(const std::string& events) {
  std::multiset<int> out;
  constexpr std::string_view kData = "data: ";
  for (size_t at = events.find(kData); at != std::string::npos; at = events.find(kData, at + 1)) {
    const size_t begin = at + kData.size();
    const auto message = parse_json(events.substr(begin, events.find('\n', begin) - begin));
    if (message && message->contains("result")) out.insert(message->at("id").get<int>());
  }
  return out;
}

}  // namespace

TEST_CASE("endpoint: every request of a batch is answered, one of them cancelled or not") {
  World world;
  CHECK(world.run([&](Client&, Server& server) -> Async<> {
    ByHand hand(world, server);
    co_await hand.initialize("2025-03-26");
    std::string three = "[" + call_text(1, "echo") + "," + call_text(2, "slow") + "," +
                        call_text(3, "fail") + "]";
    const HttpResponse all = co_await hand.post(std::move(three));
    CHECK(all.status == 200);
    CHECK(answered(all.body) == std::multiset<int>{1, 2, 3});
    std::string two = "[" + call_text(4, "slow", R"({"ms": 60000})") + "," +
                      call_text(5, "echo") + "]";
    const auto running = co_await hand.begin(std::move(two));
    const HttpResponse noted = co_await hand.post(
        R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":4}})");
    CHECK(noted.status == 202);
    const std::string rest = co_await running->read_all(kAnswerMax);
    CHECK(answered(rest) == std::multiset<int>{5});
  }) == "");
}

TEST_CASE("endpoint: a cancelled request ends its stream and leaves nothing behind") {
  World world;
  CHECK(world.run([&](Client&, Server& server) -> Async<> {
    ByHand hand(world, server);
    co_await hand.initialize("2025-06-18");
    const auto running = co_await hand.begin(call_text(7, "slow", R"({"ms": 60000})"));
    const HttpResponse noted = co_await hand.post(
        R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}})");
    CHECK(noted.status == 202);
    const std::string rest = co_await running->read_all(kAnswerMax);
    CHECK(answered(rest).empty());
    CHECK(world.running == 0);
  }) == "");
}

TEST_CASE("endpoint: requests whose clients have left count, and there is an end of them") {
  World world;
  world.options.requests_max = 3;            // one of them is the server's own
  CHECK(world.run([&](Client&, Server& server) -> Async<> {
    ByHand hand(world, server);
    co_await hand.initialize("2025-06-18");
    for (int id = 1; id <= 2; ++id)          // begun, and left
      static_cast<void>(co_await hand.begin(call_text(id, "slow", R"({"ms": 300})")));
    const HttpResponse refused = co_await hand.post(call_text(3, "echo"));
    CHECK(refused.status == 503);
    CHECK(refused.body.find("too many requests at once") != std::string::npos);
    while (world.running > 0) co_await pause(milliseconds(10));
    co_await pause(milliseconds(20));
    const HttpResponse again = co_await hand.post(call_text(4, "echo"));
    CHECK(again.status == 200);
  }) == "");
}

TEST_CASE("endpoint: pages of allowed origins may read the answers, others may not ask") {
  World world;
  world.options.origins = {"https://app.test"};
  world.options.bearer_token = "s3cret";
  world.config.headers = {{"Authorization", "Bearer s3cret"}};
  CHECK(world.run([&](Client&, Server& server) -> Async<> {
    ByHand hand(world, server);
    hand.headers = {{"Origin", "https://app.test"},
                    {"Access-Control-Request-Method", "POST"},
                    {"Access-Control-Request-Headers", "authorization, mcp-method"}};
    const HttpResponse may = co_await hand.send("OPTIONS", "");
    CHECK(may.status == 204);
    CHECK(find_header(may.headers, "Content-Length") == nullptr);
    CHECK(*find_header(may.headers, "Access-Control-Allow-Origin") == "https://app.test");
    CHECK(*find_header(may.headers, "Access-Control-Allow-Headers") ==
          "authorization, mcp-method");
    const HttpResponse asked = co_await hand.post(call_text(1, "echo"));
    CHECK(asked.status == 401);
    CHECK(*find_header(asked.headers, "Access-Control-Allow-Origin") == "https://app.test");
    CHECK(*find_header(asked.headers, "Access-Control-Expose-Headers") ==
          "Mcp-Session-Id, WWW-Authenticate");
    hand.headers[0].second = "https://evil.test";
    const HttpResponse may_not = co_await hand.send("OPTIONS", "");
    CHECK(may_not.status == 403);
    CHECK(find_header(may_not.headers, "Access-Control-Allow-Origin") == nullptr);
  }) == "");
  for (const char* nonsense : {"app.test", "https://app.test/", "https://app.test/x", "*", ""}) {
    World other;
    other.options.origins = {nonsense};
    CAPTURE(std::string(nonsense));
    CHECK_THROWS_AS(make_server(other.served, other.options, other.context.get_executor(),
                                other.log)->listen(),
                    ErrorException);
  }
}

TEST_CASE("endpoint: resources of a template are listed, and one that is not there says so") {
  World world;
  world.served.templates.push_back(
      {.definition = Json{{"uriTemplate", "loop://runs/{id}"}, {"name", "run"}},
       .read = [](std::string uri) -> Async<Json> {
         if (uri != "loop://runs/1") throw ErrorException(invalid_input("there is no " + uri));
         co_return Json::array({Json{{"uri", uri}, {"text", "first"}}});
       },
       .instances = [] {
         return std::vector<Json>{Json{{"uri", "loop://runs/1"}, {"name", "1"}}};
       }});
  CHECK(world.run([&](Client& client, Server&) -> Async<> {
    const auto listed = co_await client.list(List::resources);
    CHECK(listed.size() == 2);
    CHECK(listed.back().at("uri") == "loop://runs/1");
    const Json read = co_await client.read_resource("loop://runs/1");
    CHECK(read.at("contents").at(0).at("text") == "first");
    std::string error;
    try {
      static_cast<void>(co_await client.read_resource("loop://runs/2"));
    } catch (const ErrorException& e) {
      error = e.error().message;
    }
    CHECK(error.find("there is no loop://runs/2 (code -32602)") != std::string::npos);
  }) == "");
}

}  // namespace swarm::mcp
