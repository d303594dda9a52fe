// What both HTTP transports do with a request that is refused, and with messages in their queue.
#include <doctest/doctest.h>

#include <boost/asio/io_context.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "engine/base/async/nursery.h"
#include "engine/base/async/run.h"
#include "mcp/message/rpc_error.h"
#include "mcp/server/http_listener.h"
#include "mcp/transport/authorized.h"

namespace swarm::mcp {
namespace {

// Hands out "Bearer 1", "Bearer 2", ... and finds another way `ways` times.
struct Counting final : Authorizer {
  int given = 0, accepted_count = 0, ways = 0;
  std::vector<std::string> refusals;             // body of the answer, and what had been sent

  Async<Headers> headers(std::string method) override {
    Headers out{{"Authorization", "Bearer " + std::to_string(++given)}, {"X-Method", method}};
    co_return out;
  }
  Async<bool> challenged(HttpResponse answer, Headers sent) override {
    const std::string* used = find_header(sent, "Authorization");
    refusals.push_back(answer.body + " for " + (used != nullptr ? *used : "nothing"));
    co_return ways-- > 0;
  }
  void accepted() override { ++accepted_count; }
};

// A server that answers `refusal` until "Bearer N" is `wanted`.
struct Site {
  boost::asio::io_context context{1};
  std::ostringstream log_text;
  Log log{log_text, LogLevel::debug};
  HttpListener listener{{}, context.get_executor(), log};
  int refusal = 401;
  std::string wanted = "Bearer 1", body = "who are you?\nsecond line";
  std::vector<std::string> seen;                 // method, authorization, body

  using Body = std::function<Async<>(HttpClient&)>;
  void run(const Body& work) {
    listener.listen();
    const HttpListener::Handler handler = [this](ServerRequest& request,
                                                 Responder& responder) -> Async<> {
      const std::string* sent = find_header(request.headers, "Authorization");
      const std::string token = sent != nullptr ? *sent : "";
      seen.push_back(request.method + " " + token + " " + request.body);
      const bool fine = token == wanted;
      const Headers headers{{"Content-Type", "text/plain"}};
      const std::string answer = fine ? "welcome" : body;
      co_await responder.respond(fine ? 200 : refusal, headers, answer);
    };
    const auto root = [&]() -> Async<> {
      co_await with_nursery([&](Nursery& nursery) -> Async<> {
        nursery.start(listener.run(handler));
        HttpClient client(context.get_executor(), {});
        co_await work(client);
        nursery.cancel();
      });
    };
    run_root(context, root());
  }

  int made = 0;
  std::function<HttpRequest()> request() {
    return [this] {
      HttpRequest out;
      out.url = parse_url("http://127.0.0.1:" + std::to_string(listener.port()) + "/").value();
      out.body = "n" + std::to_string(++made);
      return out;
    };
  }
};

struct Outcome {
  int status = 0;
  std::string text;                              // body, or what was thrown
  bool thrown = false;
};

Async<Outcome> attempt(Site& site, HttpClient& client, Authorizer* authorizer) {
  Outcome out;
  try {
    const auto answer = co_await authorized_exchange(client, authorizer, "POST", site.request());
    out.status = answer->head().status;
    out.text = co_await answer->read_all(1000);
  } catch (const RpcException& e) {
    out.thrown = true;
    out.status = e.details().http_status;
    out.text = e.error().message;
  }
  co_return out;
}

}  // namespace

TEST_CASE("authorized exchange: a refused request is made again while there is another way") {
  Site site;
  site.wanted = "Bearer 3";
  Counting authorizer;
  authorizer.ways = 9;
  site.run([&](HttpClient& client) -> Async<> {
    const Outcome got = co_await attempt(site, client, &authorizer);
    CHECK(got.status == 200);
    CHECK(got.text == "welcome");
  });
  CHECK(site.seen == std::vector<std::string>{"POST Bearer 1 n1", "POST Bearer 2 n2",
                                              "POST Bearer 3 n3"});
  CHECK(authorizer.refusals ==
        std::vector<std::string>{site.body + " for Bearer 1", site.body + " for Bearer 2"});
  CHECK(authorizer.accepted_count == 1);
}

TEST_CASE("authorized exchange: when the authorizer gives up, the status is thrown") {
  for (const int status : {401, 403}) {
    Site site;
    site.refusal = status;
    site.wanted = "never";
    Counting authorizer;
    authorizer.ways = 1;
    site.run([&](HttpClient& client) -> Async<> {
      const Outcome got = co_await attempt(site, client, &authorizer);
      CHECK(got.thrown);
      CHECK(got.status == status);
      CHECK(got.text.find("HTTP " + std::to_string(status)) == 0);
      CHECK(got.text.find(": who are you?") != std::string::npos);
      CHECK(got.text.find("second line") == std::string::npos);
    });
    CHECK(site.seen.size() == 2);
    CHECK(authorizer.accepted_count == 0);
  }
}

TEST_CASE("authorized exchange: an authorizer that always finds a way is not believed forever") {
  Site site;
  site.wanted = "never";
  Counting authorizer;
  authorizer.ways = 1000;
  site.run([&](HttpClient& client) -> Async<> {
    const Outcome got = co_await attempt(site, client, &authorizer);
    CHECK_FALSE(got.thrown);
    CHECK(got.status == 401);
  });
  CHECK(site.seen.size() == kChallengesMax + 1);
}

TEST_CASE("authorized exchange: other answers, and those without an authorizer, come as they are") {
  Site broken;
  broken.refusal = 500;
  broken.wanted = "never";
  Counting authorizer;
  broken.run([&](HttpClient& client) -> Async<> {
    const Outcome got = co_await attempt(broken, client, &authorizer);
    CHECK_FALSE(got.thrown);
    CHECK(got.status == 500);
  });
  CHECK(authorizer.refusals.empty());
  CHECK(authorizer.accepted_count == 1);
  Site open;
  open.run([&](HttpClient& client) -> Async<> {
    const Outcome got = co_await attempt(open, client, nullptr);
    CHECK_FALSE(got.thrown);
    CHECK(got.status == 401);
    CHECK(got.text == open.body);
  });
  CHECK(open.seen == std::vector<std::string>{"POST  n1"});
}

TEST_CASE("status text: one readable line") {
  HttpResponse answer;
  answer.status = 503;
  CHECK(status_text(answer) == "HTTP 503");
  answer.reason = "Busy";
  answer.body = "try\r\nlater";
  CHECK(status_text(answer) == "HTTP 503 Busy: try");
  answer.body = "<html>no</html>";
  CHECK(status_text(answer) == "HTTP 503 Busy");
  answer.body = "\xFF";
  CHECK(status_text(answer) == "HTTP 503 Busy: \xEF\xBF\xBD");
}

TEST_CASE("send queue: one that fails is logged and the next is sent, until it is closed") {
  boost::asio::io_context context(1);
  std::ostringstream log_text;
  Log log(log_text, LogLevel::debug);
  Channel<Outgoing> queue(8);
  for (const char* text : {"a", "bad", "c"}) {
    Outgoing message;
    message.text = text;
    CHECK(queue.try_send(std::move(message)));
  }
  queue.close();
  std::string sent;
  const auto send = [&sent](Outgoing message) -> Async<> {
    if (message.text == "bad") throw ErrorException(environment_error("no way"));
    sent += message.text;
    co_return;
  };
  const std::string server = "s";
  run_root(context, send_queued(queue, send, server, log));
  CHECK(sent == "ac");
  CHECK(log_text.str().find("mcp.post.failed") != std::string::npos);
  CHECK(log_text.str().find("no way") != std::string::npos);
}

}  // namespace swarm::mcp
