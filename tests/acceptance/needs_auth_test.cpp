// A server that demands authorization, through a whole `swarm run` of the real program: the server
// is in this process, nobody signs in.
#include <doctest/doctest.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "engine/base/async/run.h"
#include "orchestrator/run/journal.h"
#include "tests/mcp/oauth_site.h"
#include "tests/support/process.h"
#include "tests/support/support.h"

using namespace swarm;

namespace {

struct Locked {
  boost::asio::io_context context{1};
  std::ostringstream log_text;
  Log log{log_text, LogLevel::debug};
  mcp::test_world::OAuthSite site{context.get_executor(), log};
  test::TempDir dir;
  std::string file = (dir.path() / "swarm.yaml").string();
  std::vector<run::Event> events;

  // more: keys of the server.
  void write(const std::string& more) {
    test::write_file(dir.path() / "script.json", R"({"replies": [{"content": "went on"}]})");
    test::write_file(file, "schema: swarm/v1\n"
                           "models: {m: {provider: scripted, script: script.json}}\n"
                           "agents: {A: {tools: [web/t]}}\ngraph: {a: {agent: A, in: x}}\n"
                           "journal: {dir: " + (dir.path() / "runs").string() +
                               "}\nmcp: {web: {url: \"" + site.url() + "\"" + more + "}}\n");
  }

  test::Finished swarm(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), SWARM_PROGRAM);
    test::Finished finished;
    std::atomic<bool> over = false;
    std::thread process([&] {
      test::ProcessOptions options;
      options.limit = std::chrono::seconds(60);
      finished = test::run_process(arguments, options);
      over = true;
    });
    const auto root = [&]() -> Async<> {
      co_await with_nursery([&](Nursery& nursery) -> Async<> {
        nursery.start(site.run());
        while (!over)
          co_await wait_until(steady_clock(), steady_clock().now() + std::chrono::milliseconds(10));
        nursery.cancel();
      });
    };
    context.restart();
    run_root(context, root());
    process.join();
    CHECK_FALSE(finished.timed_out);
    return finished;
  }

  test::Finished run(const std::string& id) {
    test::Finished finished = swarm({"run", file, "--run-id", id});
    auto content = run::read_journal((dir.path() / "runs" / id / "journal.jsonl").string());
    REQUIRE(content.has_value());
    events = std::move(content->events);
    return finished;
  }

  std::vector<Json> of(const std::string& type) const {
    std::vector<Json> out;
    for (const run::Event& event : events)
      if (event.type == type) out.push_back(event.data);
    return out;
  }
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

const std::string kAdvice = "say mcp.web.auth: {} to sign in with a browser";

}  // namespace

TEST_CASE("needs_auth: a required server ends the run with exit code 3 and what to do") {
  Locked locked;
  locked.write(", required: true");
  const test::Finished ended = locked.run("r");
  CAPTURE(ended.err);
  CHECK(ended.code == 3);
  CHECK(ended.out.empty());
  CHECK(has(ended.err, "mcp server \"web\": HTTP 401"));
  CHECK(has(ended.err, kAdvice));
  CHECK(locked.of("model.call").empty());
  REQUIRE(locked.of("mcp.state").size() == 2);
  CHECK(locked.of("mcp.state")[1]["state"] == "needs_auth");
  CHECK(has(locked.of("run.end")[0]["error"].get<std::string>(), kAdvice));
  CHECK(locked.site.unauthorized == 1);          // a state, not a loop
}

TEST_CASE("needs_auth: a server that is not required is a state, and the run goes on") {
  Locked locked;
  locked.write("");
  const test::Finished ended = locked.run("r");
  CAPTURE(ended.err);
  CHECK(ended.code == 0);
  CHECK(ended.out == "went on\n");
  CHECK(has(ended.err, "server web is needs_auth: mcp server \"web\": HTTP 401"));
  CHECK(has(ended.err, "without the tools of server web: "));
  CHECK(has(ended.err, kAdvice));
  REQUIRE(locked.of("mcp.state").size() == 2);
  const Json state = locked.of("mcp.state")[1];
  CHECK(state["state"] == "needs_auth");
  CHECK(has(state["reason"].get<std::string>(), kAdvice));
  CHECK(locked.of("model.call")[0]["tools"] == 0);
  CHECK(has(locked.of("run.end")[0]["servers_missing"]["web"].get<std::string>(), "HTTP 401"));
  CHECK(locked.site.unauthorized == 1);
  const test::Finished doctor = locked.swarm({"mcp", "doctor", "--file", locked.file});
  CHECK(doctor.code == 3);
  CHECK(has(doctor.out, "web: needs_auth\n"));
  CHECK(has(doctor.out, "  advice: " + kAdvice + "\n"));
}

TEST_CASE("needs_auth: where a person could sign in and nobody does, that is the state, too") {
  for (const bool required : {true, false}) {
    CAPTURE(required);
    Locked locked;
    locked.write(std::string(", auth: {}, start_timeout: 1s") +
                 (required ? ", required: true" : ""));
    const test::Finished ended = locked.run("r");
    CAPTURE(ended.err);
    CHECK(ended.code == (required ? 3 : 0));
    CHECK(has(ended.err, "mcp.auth.visit"));
    CHECK(has(ended.err, locked.site.base() + "/authorize?"));
    REQUIRE(locked.of("mcp.state").size() == 2);
    const Json state = locked.of("mcp.state")[1];
    CHECK(state["state"] == "needs_auth");
    const auto reason = state["reason"].get<std::string>();
    CHECK(has(reason, "not ready within 1000 ms: nobody has allowed it yet"));
    CHECK(has(reason, "with mcp.web.auth.store, later runs need nobody"));
    CHECK(has(ended.err, "with mcp.web.auth.store, later runs need nobody"));
    CHECK(locked.site.authorizations == 0);
  }
}

TEST_CASE("needs_auth: who is refused gets the reason, and it is not asked again") {
  Locked locked;
  locked.write(", required: true, auth: {grant: client_credentials, client_id: a, "
               "client_secret: b}");
  const test::Finished ended = locked.run("r");
  CAPTURE(ended.err);
  CHECK(ended.code == 3);
  CHECK(locked.of("mcp.state").back()["state"] == "needs_auth");
  CHECK(has(ended.err, "look at mcp.web.auth"));
  CHECK(locked.site.unauthorized == 1);
}
