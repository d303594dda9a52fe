// OAuth as a swarm file sets it up: the browser flow over the loopback redirect, and one refresh
// however many need it, in this process and in others.
#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <sstream>
#include <thread>

#include "engine/base/async/nursery.h"
#include "engine/base/async/run.h"
#include "mcp/mcp.h"
#include "mcp/transport/http_client.h"
#include "orchestrator/config/load.h"
#include "tests/mcp/oauth_site.h"
#include "tests/support/process.h"
#include "tests/support/support.h"

namespace swarm::mcp {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test_world::OAuthSite;

const std::string kSwarm = R"(
schema: swarm/v1
models: {fake: {provider: scripted, script: none.json}}
agents: {A: {}}
graph: {one: {agent: A, in: "x"}}
)";

struct World {
  boost::asio::io_context context{1};
  std::ostringstream log_text;
  Log log{log_text, LogLevel::debug};
  OAuthSite site{context.get_executor(), log};
  test::TempDir dir;
  std::string store = (dir.path() / "tokens.json").string();

  // The server as the file says, `auth` within its auth section.
  ServerConfig configured(const std::string& auth) const {
    const config::Loaded loaded = config::load_text(
        kSwarm + "mcp: {web: {url: \"" + site.url() + "\", auth: {" + auth + "}}}\n", "swarm.yaml",
        dir.path().string(), {});
    REQUIRE_MESSAGE(loaded.config.has_value(), loaded.report());
    REQUIRE(loaded.config->servers.size() == 1);
    return loaded.config->servers[0];
  }

  // The URL that a person was asked to visit; waits for it.
  Async<std::string> asked_to_visit() {
    const Deadline deadline = Deadline::after(steady_clock(), seconds(30));
    std::string out;
    while (out.empty() && !deadline.passed(steady_clock().now())) {
      const std::string text = log_text.str();
      const size_t event = text.find("mcp.auth.visit");
      const size_t begin = event == std::string::npos ? event : text.find("http://", event);
      if (begin != std::string::npos)
        out = text.substr(begin, text.find_first_of("\"\n ", begin) - begin);
      co_await wait_until(steady_clock(), steady_clock().now() + milliseconds(5));
    }
    co_return out;
  }

  Async<HttpResponse> browse(HttpClient& client, std::string url) {
    HttpRequest request;
    request.url = parse_url(url).value();
    co_return co_await client.fetch(std::move(request), 10000);
  }

  using Body = std::function<Async<>(Client&)>;
  // Error of the start, "" = none. visitor: what happens in the browser.
  std::string run(const ServerConfig& config, const Body& body,
                  const std::function<Async<>(HttpClient&)>& visitor = nullptr) {
    const auto client = make_client(config, context.get_executor(), log);
    std::string error;
    const auto root = [&]() -> Async<> {
      co_await with_nursery([&](Nursery& nursery) -> Async<> {
        HttpClient browser(context.get_executor(), {});
        nursery.start(site.run());
        if (visitor) nursery.start([&]() -> Async<> { co_await visitor(browser); });
        const auto visit = [&]() -> Async<> {
          try {
            co_await client->start();
            co_await body(*client);
          } catch (const ErrorException& e) {
            error = e.error().message;
          }
        };
        const auto stop = [&]() -> Async<> { co_await client->stop(); };
        co_await with_cleanup(visit, stop);
        nursery.cancel();
      });
    };
    context.restart();
    run_root(context, root());
    return error;
  }

  // A person who follows the URL and is sent back to us.
  std::function<Async<>(HttpClient&)> person() {
    return [this](HttpClient& browser) -> Async<> {
      const std::string url = co_await asked_to_visit();
      const HttpResponse page = co_await browse(browser, url);
      CHECK(page.status == 200);
      CHECK(page.body.find("Thank you") == 0);
    };
  }

  // What an earlier run has left: a token that is no longer good, and how to get another.
  void leave_stale_token(bool expired) {
    const std::string access = site.grant_token();
    site.revoke_access();
    const Json token{{"access", access},     {"refresh", site.grant_refresh()},
                     {"type", "Bearer"},     {"scope", ""},
                     {"issuer", site.base()}, {"resource", site.url()},
                     {"expires", expired ? 1 : 4000000000}};
    Json entry = Json::object();
    entry["token"] = token;
    entry["clients"][site.base()] =
        Json{{"id", "client-1"}, {"secret", ""}, {"auth_method", "none"}};
    Json all = Json::object();
    all[site.url()] = entry;
    test::write_file(store, dump_json(all));
  }
};

Async<> expect_welcome(Client& client) {
  const CallOptions options;
  const Json result = co_await client.call_tool("t", Json::object(), options);
  CHECK(result.at("content").at(0).at("text") == "welcome");
}

}  // namespace

TEST_CASE("oauth: a swarm file is enough: the URL is shown, the browser comes back, calls work") {
  World world;
  const ServerConfig config = world.configured("store: tokens.json");
  REQUIRE(config.auth != nullptr);
  CHECK(world.run(config, expect_welcome, world.person()) == "");
  CHECK(world.site.registrations == 1);
  CHECK(world.site.authorizations == 1);
  CHECK(world.site.exchanges == 1);
  CHECK(world.site.refused == 0);
  REQUIRE(world.site.redirect_uris.size() == 1);
  const auto redirect = parse_url(world.site.redirect_uris[0]).value();
  CHECK(redirect.host == "127.0.0.1");
  CHECK(redirect.port >= 49152);
  CHECK(redirect.path.size() > 12);         // nobody guesses it
  const std::string log = world.log_text.str();
  for (const char* secret : {"A1", "R1", "code-1"})
    CHECK(log.find(std::string("\"") + secret) == std::string::npos);
  // The next run needs nobody.
  const ServerConfig again = world.configured("store: tokens.json");
  CHECK(world.run(again, expect_welcome) == "");
  CHECK(world.site.authorizations == 1);
  CHECK(world.site.refreshes == 0);
}

TEST_CASE("oauth: a fixed redirect URI is kept to, other visits of it do not count") {
  World world;
  // A port that was free a moment ago.
  auto probe = std::make_unique<HttpListener>(ListenerOptions{}, world.context.get_executor(),
                                              world.log);
  probe->listen();
  const std::string uri = "http://127.0.0.1:" + std::to_string(probe->port()) + "/back";
  probe.reset();
  const ServerConfig config = world.configured("redirect_uri: \"" + uri + "\"");
  CHECK(world.run(config, expect_welcome, [&](HttpClient& browser) -> Async<> {
    const std::string url = co_await world.asked_to_visit();
    const auto back = parse_url(uri).value();
    const HttpResponse stray = co_await world.browse(browser, back.origin() + "/favicon.ico");
    CHECK(stray.status == 404);
    const HttpResponse page = co_await world.browse(browser, url);
    CHECK(page.status == 200);
  }) == "");
  CHECK(world.site.redirect_uris == std::vector<std::string>{uri});
}

TEST_CASE("oauth: an answer that is not ours, or a refusal, ends the start with a reason") {
  World forged;
  forged.site.wrong_state = true;
  const auto nothing = [](Client&) -> Async<> { co_return; };
  CHECK(forged.run(forged.configured(""), nothing, forged.person())
            .find("authorization: the answer is not to our question") != std::string::npos);
  CHECK(forged.site.exchanges == 0);
  World denied;
  denied.site.deny = "access_denied";
  CHECK(denied.run(denied.configured(""), nothing, denied.person())
            .find("authorization: access_denied") != std::string::npos);
  CHECK(denied.site.exchanges == 0);
}

TEST_CASE("oauth: without it a server that demands it is a state with a reason, not a loop") {
  World world;
  ServerConfig config;
  config.name = "web";
  config.url = world.site.url();
  State state = State::idle;
  const auto client = make_client(config, world.context.get_executor(), world.log);
  std::string error;
  const auto root = [&]() -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start(world.site.run());
      try {
        co_await client->start();
      } catch (const ErrorException& e) {
        error = e.error().message;
      }
      state = client->state();
      co_await client->stop();
      nursery.cancel();
    });
  };
  run_root(world.context, root());
  CHECK(state == State::needs_auth);
  CHECK(error.find("401") != std::string::npos);
  CHECK(world.site.unauthorized == 1);
}

TEST_CASE("oauth: many refused calls in one process are one refresh") {
  World world;
  world.leave_stale_token(/*expired=*/true);
  world.site.token_delay = milliseconds(100);
  const ServerConfig config = world.configured("store: tokens.json");
  int welcome = 0;
  CHECK(world.run(config, [&](Client& client) -> Async<> {
    CHECK(world.site.refreshes == 1);       // before its end was reached by the clock
    world.site.revoke_access();             // and now nobody saw it coming
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      for (int i = 0; i < 12; ++i)
        nursery.start([&]() -> Async<> {
          co_await expect_welcome(client);
          ++welcome;
        });
      co_return;
    });
  }) == "");
  CHECK(welcome == 12);
  CHECK(world.site.refreshes == 2);
  CHECK(world.site.refused == 0);
  CHECK(world.site.authorizations == 0);
}

TEST_CASE("oauth: several processes that share a store refresh once") {
  World world;
  world.leave_stale_token(/*expired=*/true);
  world.site.token_delay = milliseconds(400);     // time for the others to come
  const std::string file = (world.dir.path() / "swarm.yaml").string();
  test::write_file(file, kSwarm + "mcp: {web: {url: \"" + world.site.url() +
                             "\", auth: {store: \"" + world.store + "\"}}}\n");
  std::vector<test::Finished> ended(4);
  std::atomic<int> left = static_cast<int>(ended.size());
  std::vector<std::thread> processes;
  for (test::Finished& one : ended)
    processes.emplace_back([&one, &left, &file] {
      one = test::run_process({SWARM_PROGRAM, "mcp", "list", "--json", "--file", file});
      --left;
    });
  const auto root = [&]() -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start(world.site.run());
      while (left > 0)
        co_await wait_until(steady_clock(), steady_clock().now() + milliseconds(10));
      nursery.cancel();
    });
  };
  run_root(world.context, root());
  for (std::thread& process : processes) process.join();
  for (const test::Finished& one : ended) {
    CAPTURE(one.err);
    CHECK(one.code == 0);
    CHECK(one.out.find("\"web__t\"") != std::string::npos);
  }
  CHECK(world.site.refreshes == 1);
  CHECK(world.site.refused == 0);
  CHECK(world.site.authorizations == 0);
  CHECK(test::read_file(world.store).find("\"R2\"") != std::string::npos);
}

}  // namespace swarm::mcp
