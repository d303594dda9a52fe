// Many calls at once over one connection: some are cancelled, and the peer dies in between. Every
// call ends exactly once, and nothing piles up.
#include <doctest/doctest.h>

#include <boost/asio/io_context.hpp>
#include <csignal>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "engine/base/async/run.h"
#include "engine/base/rng.h"
#include "mcp/mcp.h"
#include "mcp/serve.h"
#include "tests/support/support.h"

namespace swarm::mcp {
namespace {

using std::chrono::milliseconds;

constexpr int kCalls = 1000;

// Sanitizers keep freed memory for a while: what is resident says nothing there.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMeasuresMemory = false;
#else
constexpr bool kMeasuresMemory = true;
#endif

// Resident memory of this process.
size_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  size_t total = 0, resident = 0;
  in >> total >> resident;
  return resident * 4096;
}

struct Tally {
  std::map<int, int> ends;         // call -> how often it ended
  int answered = 0, failed = 0, cancelled = 0, wrong = 0;
};

// One call, ended by a timer of its own if `patience` is not negative.
Async<> one_call(Client& client, Tally& tally, int number, int patience_ms) {
  Json arguments{{"n", number}};
  CallOptions options;
  const auto work = [&]() -> Async<> {
    const Json result = co_await client.call_tool("echo", arguments, options);
    const std::string text = result.at("content").at(0).at("text").get<std::string>();
    if (text != dump_json(arguments)) ++tally.wrong;
    ++tally.answered;
  };
  bool cancelled = false, failed = false;
  co_await with_nursery([&](Nursery& nursery) -> Async<> {
    nursery.start([&]() -> Async<> {
      try {
        co_await work();
      } catch (const ErrorException& e) {
        if (e.error().kind == ErrorKind::cancelled) throw;
        failed = true;
      }
      if (patience_ms >= 0) nursery.cancel();
    });
    if (patience_ms >= 0)
      nursery.start([&]() -> Async<> {
        co_await wait_until(steady_clock(), steady_clock().now() + milliseconds(patience_ms));
        cancelled = true;
        nursery.cancel();
      });
    co_return;
  });
  if (cancelled) ++tally.cancelled;
  if (failed) ++tally.failed;
  ++tally.ends[number];
}

// A wave of calls; `midway` runs when it is under way.
Async<> wave(Client& client, Tally& tally, uint64_t seed, std::function<void()> midway) {
  co_await with_nursery([&](Nursery& nursery) -> Async<> {
    Rng rng(seed);
    for (int i = 0; i < kCalls; ++i) {
      const int patience = rng.below(4) == 0 ? static_cast<int>(rng.below(30)) : -1;
      nursery.start([&client, &tally, i, patience]() -> Async<> {
        co_await one_call(client, tally, i, patience);
      });
    }
    if (midway)
      nursery.start([midway]() -> Async<> {
        co_await wait_until(steady_clock(), steady_clock().now() + milliseconds(15));
        midway();
      });
    co_return;
  });
}

void check_all_ended(const Tally& tally) {
  CHECK(tally.ends.size() == kCalls);
  for (const auto& [number, times] : tally.ends)
    if (times != 1) FAIL("call ", number, " ended ", times, " times");
  CHECK(tally.wrong == 0);
}

// Runs waves until memory had its chance to grow; the later ones must not add to it.
Async<> waves(Client& client, std::function<void()> kill) {
  Tally calm;
  co_await wave(client, calm, 1, nullptr);
  check_all_ended(calm);
  CHECK(calm.failed == 0);
  CHECK(calm.answered > kCalls / 2);
  size_t before = 0;
  for (uint64_t round = 2; round < 8; ++round) {
    Tally more;
    co_await wave(client, more, round, nullptr);
    check_all_ended(more);
    if (round == 4) before = resident_bytes();
  }
  const size_t after = resident_bytes();
  if (kMeasuresMemory) CHECK(after < before + (size_t{4} << 20));
  Tally killed;
  co_await wave(client, killed, 9, kill);
  check_all_ended(killed);
}

ServerConfig stress_config() {
  ServerConfig config;
  config.name = "fix";
  config.start_timeout = std::chrono::seconds(60);
  config.calls_max = kCalls;       // all of them on the wire together
  config.restart_backoff = milliseconds(1);
  config.restarts_max = 100;
  return config;
}

}  // namespace

TEST_CASE("mcp: a thousand calls over one stdio connection each end once, flat in memory") {
  test::TempDir dir;
  std::ostringstream log_text;
  Log log(log_text, LogLevel::error);
  ServerConfig config = stress_config();
  config.command = {MCP_FIXTURE_SERVER, "normal"};
  config.env["FIXTURE_PIDS"] = (dir.path() / "pids").string();
  boost::asio::io_context context(1);
  const auto client = make_client(config, context.get_executor(), log);
  const auto kill = [&] {
    std::ifstream in(dir.path() / "pids");
    int last = -1, pid = 0;
    while (in >> pid) last = pid;
    REQUIRE(last > 0);
    ::kill(last, SIGKILL);
  };
  const auto root = [&]() -> Async<> {
    co_await client->start();
    co_await waves(*client, kill);
    Tally again;                   // and the next ones find a new server
    co_await wave(*client, again, 10, nullptr);
    check_all_ended(again);
    CHECK(again.failed == 0);
    co_await client->stop();
  };
  run_root(context, root());
}

TEST_CASE("mcp: a thousand calls over HTTP each end once, flat in memory") {
  for (const Era era : {Era::modern, Era::legacy}) {
    std::ostringstream log_text;
    Log log(log_text, LogLevel::error);
    Served served;
    served.name = "loop";
    served.version = "1";
    Json definition{{"name", "echo"}};
    definition["inputSchema"]["type"] = "object";
    served.tools.push_back({std::move(definition), [](Json arguments, ServedCall&) -> Async<Json> {
                              co_await yield_once();
                              Json out = Json::object();
                              out["content"] = Json::array(
                                  {Json{{"type", "text"}, {"text", dump_json(arguments)}}});
                              co_return out;
                            }});
    boost::asio::io_context context(1);
    ServeOptions options;
    options.connections_max = 2 * kCalls;
    auto server = make_server(served, options, context.get_executor(), log);
    server->listen();
    ServerConfig config = stress_config();
    config.url = server->url();
    config.era = era;
    config.calls_max = 200;        // connections at once; the other calls wait their turn
    const auto client = make_client(config, context.get_executor(), log);
    const auto root = [&]() -> Async<> {
      co_await with_nursery([&](Nursery& nursery) -> Async<> {
        Nursery* serving = nullptr;
        nursery.start([&]() -> Async<> {
          co_await with_nursery([&](Nursery& inner) -> Async<> {
            serving = &inner;
            inner.start(server->run_http());
            co_return;
          });
          serving = nullptr;
          server.reset();            // now nobody listens there any more
        });
        const auto work = [&]() -> Async<> {
          co_await client->start();
          co_await waves(*client, [&] { serving->cancel(); });
        };
        const auto stop = [&]() -> Async<> { co_await client->stop(); };
        co_await with_cleanup(work, stop);
        nursery.cancel();
      });
    };
    run_root(context, root());
  }
}

}  // namespace swarm::mcp
