// What is counted about a server, and the trace its calls carry.
#include <doctest/doctest.h>

#include "mcp/client/metrics.h"
#include "mcp/client/trace_context.h"
#include "mcp/server/http_listener.h"
#include "tests/mcp/fixture_rig.h"
#include "tests/mcp/loopback_world.h"

namespace swarm::mcp {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

int64_t number(const Json& metrics, const char* key) { return metrics.at(key).get<int64_t>(); }

}  // namespace

TEST_CASE("latency histogram: buckets by their upper bound, quantiles never beyond the longest") {
  LatencyHistogram histogram;
  CHECK(dump_json(histogram.to_json()) == R"({"count":0})");
  CHECK(histogram.quantile_ms(0.5) == 0);
  for (const auto& one : {microseconds(1000), microseconds(1001), microseconds(7000)})
    histogram.add(one);
  histogram.add(seconds(301));
  const Json shown = histogram.to_json();
  CHECK(dump_json(shown.at("buckets")) == "[[1,1],[2,1],[10,1],[null,1]]");
  CHECK(shown.at("count") == 4);
  CHECK(shown.at("p50") == 2);
  CHECK(shown.at("p95") == 301000);
  CHECK(shown.at("max") == 301000);
  LatencyHistogram one;
  one.add(milliseconds(3));
  CHECK(one.quantile_ms(0.95) == doctest::Approx(3));   // its bucket ends at 5
}

TEST_CASE("metrics: every call is counted once, under what came of it") {
  fixture::Rig rig("normal");
  rig.config.restart_backoff = milliseconds(1);
  rig.config.tool_limits = {{.tool = "hang", .call_timeout = milliseconds(200),
                             .idle_timeout = {}, .call_timeout_max = {}}};
  Json before, after;
  CHECK(rig.run([&](Session& session) -> Async<> {
    before = session.metrics();
    for (const char* name : {"echo", "echo", "fail", "rpc_error", "hang", "die", "echo"})
      co_await fixture::call(session, std::string("fix__") + name, Json::object());
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start([&]() -> Async<> {
        const Json steps{{"count", 100}, {"ms", 50}};
        co_await fixture::call(session, "fix__steps", steps);
      });
      const auto started = [&] { return rig.wire().find("\"steps\"") != std::string::npos; };
      while (!started()) co_await yield_once();
      nursery.cancel();
    });
    after = session.metrics();
  }).empty());
  CHECK(number(before, "starts") == 1);
  CHECK(before.at("call_ms").at("count") == 0);
  CHECK(before.at("start_ms").get<double>() > 0);
  CHECK(number(before, "bytes_sent") > 100);
  CHECK(number(before, "bytes_received") > 500);
  CHECK(number(before, "definition_tokens_estimate") > 50);
  CHECK(after.at("call_ms").at("count") == 8);
  CHECK(after.at("call_ms").at("max").get<double>() >= 200);
  CHECK(number(after, "timeouts") == 1);
  CHECK(number(after, "cancelled") == 1);
  CHECK(number(after, "failures") == 2);                // rpc_error, die
  CHECK(number(after, "tool_errors") == 1);
  CHECK(number(after, "starts") == 2);
  CHECK(number(after, "reconnects") == 1);
  CHECK(number(after, "bytes_sent") > number(before, "bytes_sent") * 2);  // of both processes
  CHECK(number(after, "result_tokens_estimate") == (3 * 2 + 12) / 4);     // {} and "no such item"
}

TEST_CASE("metrics: bytes are those of the messages, over stdio and over HTTP") {
  fixture::Rig rig("normal");
  Json arguments = Json::object();
  arguments["text"] = std::string(50000, 'x');
  int64_t sent = 0, received = 0;
  const auto difference = [&](const Json& before, const Json& after) {
    sent = number(after, "bytes_sent") - number(before, "bytes_sent");
    received = number(after, "bytes_received") - number(before, "bytes_received");
  };
  CHECK(rig.run([&](Session& session) -> Async<> {
    const Json before = session.metrics();
    co_await fixture::call(session, "fix__echo", arguments);
    difference(before, session.metrics());
  }).empty());
  CHECK(sent > 50000);
  CHECK(sent < 51000);
  CHECK(received > 50000);
  CHECK(received < 51000);
  for (const Era era : {Era::modern, Era::legacy}) {
    test_world::World world;
    world.config.era = era;
    CHECK(world.run([&](Client& client, Server&) -> Async<> {
      const Json before = client.metrics();
      co_await test_world::call(client, "echo", arguments);
      difference(before, client.metrics());
    }) == "");
    CHECK(sent > 50000);
    CHECK(sent < 51000);
    CHECK(received > 50000);
    CHECK(received < 51000);
  }
}

TEST_CASE("metrics: a session that is renewed is a reconnect, not a start") {
  test_world::World world;
  world.config.era = Era::legacy;
  world.options.session_idle_max = milliseconds(0);
  CHECK(world.run([&](Client& client, Server&) -> Async<> {
    const auto other = make_client(world.config, world.context.get_executor(), world.log);
    co_await other->start();
    co_await test_world::call(client, "echo");
    co_await other->stop();
    CHECK(number(client.metrics(), "reconnects") == 1);
    CHECK(number(client.metrics(), "starts") == 1);
  }) == "");
}

TEST_CASE("trace context: calls carry the run's trace and a span of their own") {
  // FNV-1a of "", and of the run of letters in its authors' test vectors.
  CHECK(span_of("") == "cbf29ce484222325");
  CHECK(span_of("foobar") == "85944171f73967e8");
  const std::string trace = "0af7651916cd43dd8448eb211c80319c";
  CHECK(traceparent(trace, "foobar") == "00-" + trace + "-85944171f73967e8-01");
  fixture::Rig rig("normal");
  rig.config.trace_id = trace;
  CHECK(rig.run([&](Session& session) -> Async<> {
    tools::ToolContext context;
    context.call_id = "foobar";
    co_await fixture::tool(session, "fix__echo").call(Json::object(), context);
    for (int i = 0; i < 2; ++i)
      co_await fixture::call(session, "fix__late", Json::object());
  }).empty());
  const std::string wire = rig.wire();
  CHECK(wire.find("\"traceparent\":\"00-" + trace + "-85944171f73967e8-01\"") !=
        std::string::npos);
  for (const char* id : {"late#1", "late#2"})
    CHECK(wire.find("\"traceparent\":\"" + traceparent(trace, id) + "\"") !=
          std::string::npos);
  fixture::Rig untraced("normal");
  CHECK(untraced.run([](Session& session) -> Async<> {
    co_await fixture::call(session, "fix__echo", Json::object());
  }).empty());
  CHECK(untraced.wire().find("traceparent") == std::string::npos);
}

}  // namespace swarm::mcp
