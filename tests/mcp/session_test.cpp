// The client against a real process that misbehaves (fixture_server.cpp).
#include <doctest/doctest.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>

#include <boost/asio/io_context.hpp>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "engine/base/async/run.h"
#include "mcp/client/peer.h"
#include "mcp/mcp.h"
#include "mcp/transport/stdio.h"
#include "tests/mcp/fixture_rig.h"
#include "tests/support/support.h"

namespace swarm::mcp {
namespace {

using namespace fixture;

Async<> expect(Session& session, std::string name, Json arguments, std::string text) {
  const tools::ToolResult result = co_await call(session, std::move(name), std::move(arguments));
  CHECK(result.text == text);
  CHECK_FALSE(result.is_error);
}

Async<> echoes(Session& session) {
  Json arguments{{"text", "gr\xC3\xBC\xC3\x9F \xE2\x82\xAC\n\"x\""}};
  const std::string want = dump_json(arguments);
  co_await expect(session, "fix__echo", arguments, want);
}

TEST_CASE("mcp: a server that behaves: handshake, tools, calls, clean end") {
  Rig rig("normal");
  const std::string error = rig.run([](Session& session) -> Async<> {
    CHECK(session.info().name == "fixture");
    CHECK(session.info().version == "1.2");
    CHECK(session.info().protocol_version == "2025-11-25");
    CHECK(session.info().instructions == "be kind");
    CHECK(session.tools().size() == 17);  // "broken" is quarantined
    const tools::ToolSpec& spec = tool(session, "fix__echo").spec();
    CHECK(spec.origin == "mcp:fix");
    CHECK(spec.server == "fix");
    CHECK(spec.remote_name == "echo");
    CHECK(spec.description == "tool echo");
    CHECK(spec.effect == tools::Effect::read);
    CHECK(tool(session, "fix__add").spec().effect == tools::Effect::idempotent);
    CHECK(tool(session, "fix__fail").spec().effect == tools::Effect::once);
    CHECK(dump_json(spec.parameters) == R"({"type":"object"})");
    co_await echoes(session);
    Json numbers{{"a", 2}, {"b", 3}};
    co_await expect(session, "fix__add", numbers, R"({"unit": "none", "sum": 5})");
    co_await expect(session, "fix__media", Json::object(),
                    "[image, image/png, 4 bytes, not shown]\nseen");
    co_await expect(session, "fix__late", Json::object(), "id as text");
    const auto failed = co_await call(session, "fix__fail", Json::object());
    CHECK(failed.is_error);
    CHECK(failed.text == "no such item");
    const auto refused = co_await call(session, "fix__rpc_error", Json::object());
    CHECK(refused.is_error);
    CHECK(refused.text == "mcp server \"fix\": bad item (code -32602)");
    const auto lost = co_await call(session, "fix__null_id", Json::object());
    CHECK(lost.text == "mcp server \"fix\": lost the id (code -32603)");
  });
  CHECK(error.empty());
  CHECK(is_gone(rig.pid_of("server")));
  CHECK(rig.log_text.str().find("exit code 0") != std::string::npos);
}

TEST_CASE("mcp: oddities of the stream do not matter") {
  for (const char* mode : {"banners", "crlf", "split_utf8", "stderr_flood", "batch"}) {
    CAPTURE(std::string(mode));
    CHECK(Rig(mode).run(echoes).empty());
  }
}

TEST_CASE("mcp: an older protocol version is accepted, an unknown one is refused") {
  CHECK(Rig("old_version").run([](Session& session) -> Async<> {
    CHECK(session.info().protocol_version == "2024-11-05");
    co_return;
  }).empty());
  CHECK(Rig("wrong_version").run().find("found \"1999-01-01\"") != std::string::npos);
}

TEST_CASE("mcp: pages are collected, the empty cursor is one; loops and floods are cut") {
  CHECK(Rig("paginated").run([](Session& session) -> Async<> {
    std::string names;
    for (const auto& one : session.tools()) names += one->spec().name + " ";
    CHECK(names == "fix__page_none fix__page_empty fix__page_last ");
    co_return;
  }).empty());
  CHECK(Rig("repeated_cursor").run() ==
        "mcp server \"fix\": tools/list repeats its cursor \"again\"");
  Rig endless("endless_pages");
  endless.config.pages_max = 5;
  CHECK(endless.run() == "mcp server \"fix\": tools/list has more than 5 pages");
}

TEST_CASE("mcp: tools/list is not asked of a server without tools") {
  Rig rig("no_tools");
  CHECK(rig.run([](Session& session) -> Async<> {
    CHECK(session.tools().empty());
    co_return;
  }).empty());
  CHECK(rig.wire().find("tools/list") == std::string::npos);
}

TEST_CASE("mcp: requests of the server are answered at any time") {
  CHECK(Rig("asks").run([](Session& session) -> Async<> {
    const auto result = co_await call(session, "fix__answers", Json::object());
    CHECK(result.text ==
          R"([{"jsonrpc":"2.0","id":"r1","error":{"code":-32601,"message":)"
          R"("method not found: roots/list"}},{"jsonrpc":"2.0","id":1,"result":{}}])");
  }).empty());
}

TEST_CASE("mcp: replies may come in any order") {
  CHECK(Rig("normal").run([](Session& session) -> Async<> {
    std::string got[3];
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      for (int i = 0; i < 3; ++i)
        nursery.start([&session, &got, i]() -> Async<> {
          Json arguments{{"n", i}};
          const auto result = co_await call(session, "fix__reorder", arguments);
          got[i] = result.text;
        });
      co_return;
    });
    for (int i = 0; i < 3; ++i) CHECK(got[i] == std::to_string(i));
  }).empty());
}

TEST_CASE("mcp: a call that hangs is given up and cancelled on the wire, the next one works") {
  Rig rig("normal");
  rig.config.call_timeout = std::chrono::milliseconds(300);
  CHECK(rig.run([](Session& session) -> Async<> {
    const auto result = co_await call(session, "fix__hang", Json::object());
    CHECK(result.is_error);
    CHECK(result.text == "mcp server \"fix\": no answer to tools/call in time");
    co_await echoes(session);
  }).empty());
  CHECK(rig.wire().find(R"("method":"notifications/cancelled","params":{"requestId":4,)"
                        R"("reason":"timeout"})") != std::string::npos);
}

TEST_CASE("mcp: cancelling the caller cancels on the wire") {
  Rig rig("normal");
  CHECK(rig.run([&rig](Session& session) -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start([&]() -> Async<> {
        co_await call(session, "fix__hang", Json::object());
        FAIL("not cancelled");
      });
      while (rig.wire().find("fix__hang") == std::string::npos &&
             rig.wire().find("\"hang\"") == std::string::npos)
        co_await yield_once();
      nursery.cancel();
    });
    co_await echoes(session);
  }).empty());
  CHECK(rig.wire().find(R"("requestId":4,"reason":"cancelled")") != std::string::npos);
}

TEST_CASE("mcp: a server that dies in a call ends all calls with its exit code") {
  Rig rig("normal");
  rig.config.restarts_max = 0;
  CHECK(rig.run([](Session& session) -> Async<> {
    std::string hanging;
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start([&]() -> Async<> {
        const auto result = co_await call(session, "fix__hang", Json::object());
        hanging = result.text;
      });
      nursery.start([&]() -> Async<> {
        const auto result = co_await call(session, "fix__die", Json::object());
        CHECK(result.is_error);
        CHECK(result.text == "mcp server \"fix\": it ended with exit code 7");
      });
      co_return;
    });
    CHECK(hanging == "mcp server \"fix\": it ended with exit code 7");
    const auto later = co_await call(session, "fix__echo", Json::object());
    CHECK(later.text == "mcp server \"fix\": it ended with exit code 7");
  }).empty());
}

TEST_CASE("mcp: a server that died is started again for the next call, a few times in a row") {
  Rig rig("normal");
  rig.config.restarts_max = 2;
  rig.config.restart_backoff = std::chrono::milliseconds(1);
  CHECK(rig.run([](Session& session) -> Async<> {
    for (int i = 0; i < 4; ++i) {  // an answered call in between: not in a row
      const auto died = co_await call(session, "fix__die", Json::object());
      CHECK(died.text == "mcp server \"fix\": it ended with exit code 7");
      co_await echoes(session);
    }
    std::string last;
    for (int i = 0; i < 4; ++i) {
      const auto died = co_await call(session, "fix__die", Json::object());
      last = died.text;
    }
    CHECK(last == "mcp server \"fix\": it ended with exit code 7");
    const auto refused = co_await call(session, "fix__echo", Json::object());
    CHECK(refused.is_error);
  }).empty());
  size_t starts = 0;
  const std::string wire = rig.wire();
  for (size_t at = 0; (at = wire.find("server ", at)) != std::string::npos; ++at) ++starts;
  CHECK(starts == 1 + 4 + 2);
}

TEST_CASE("mcp: a server that comes back with other tools says so, without a notice") {
  Rig rig("normal");
  rig.config.restart_backoff = std::chrono::milliseconds(1);
  const std::string version = (rig.dir.path() / "version").string();
  test::write_file(version, "1.2");
  rig.config.env["FIXTURE_VERSION"] = version;
  CHECK(rig.run([&](Session& session) -> Async<> {
    CHECK(session.tools().size() == 17);
    test::write_file(version, "2.0");
    co_await call(session, "fix__die", Json::object());
    CHECK(rig.log_text.str().find("mcp.tools.changed") == std::string::npos);
    co_await echoes(session);
    CHECK(session.tools().size() == 16);
  }).empty());
  const std::string log = rig.log_text.str();
  CHECK(log.find("mcp.tools.changed") != std::string::npos);
  CHECK(log.find("mcp.tools.changed", log.find("mcp.tools.changed") + 1) == std::string::npos);
}

TEST_CASE("mcp: a server that cannot bear the probe of the era is spoken to in the old way") {
  for (const char* mode : {"silent_discover", "exit_on_discover", "odd_discover"}) {
    CAPTURE(std::string(mode));
    Rig rig(mode);
    rig.config.probe_timeout = std::chrono::milliseconds(200);
    CHECK(rig.run(echoes).empty());
  }
  Rig modern("normal");
  modern.config.era = Era::modern;
  CHECK(modern.run() ==
        "mcp server \"fix\": it does not speak protocol version 2026-07-28");
  Rig legacy("exit_on_discover");
  legacy.config.era = Era::legacy;
  CHECK(legacy.run(echoes).empty());
  CHECK(legacy.wire().find("server/discover") == std::string::npos);
}

TEST_CASE("mcp: what goes wrong at the start is said with the server's last words") {
  CHECK(Rig("exit_on_initialize").run() ==
        "mcp server \"fix\": it ended with exit code 3; its stderr ends with:\n"
        "fatal: no licence found");
  CHECK(Rig("null_id").run() == "mcp server \"fix\": cannot parse that (code -32700)");
  Rig silent("silent");
  silent.config.start_timeout = std::chrono::milliseconds(300);
  CHECK(silent.run() == "mcp server \"fix\": not ready within 300 ms");
  CHECK(is_gone(silent.pid_of("server")));
  Rig missing("normal");
  missing.config.command = {"no-such-program"};
  missing.config.env["PATH"] = "/bin";
  CHECK(missing.run() ==
        "mcp server \"fix\": program \"no-such-program\" was not found; PATH is \"/bin\"; install "
        "it, give its full path, or set PATH in env");
  Rig folder("normal");
  folder.config.cwd = "/no/such";
  CHECK(folder.run() == "mcp server \"fix\": working folder \"/no/such\" does not exist");
}

TEST_CASE("mcp: a notice to a server that is gone is its failure, not a cancellation") {
  Rig rig("exit_on_initialize");
  boost::asio::io_context context(1);
  StdioOptions options;
  options.server = "fix";
  options.spawn = {.command = rig.config.command, .env = rig.config.env, .cwd = ""};
  auto transport =
      std::make_unique<StdioTransport>(std::move(options), context.get_executor(), rig.log);
  const auto peer = std::make_shared<Peer>("fix", std::move(transport), Peer::Hooks{},
                                           context.get_executor(), rig.log);
  std::string error;
  const auto root = [&]() -> Async<> {
    peer->open();
    try {
      Peer::Request request;
      request.method = "initialize";
      co_await peer->request(std::move(request));
    } catch (const ErrorException&) {
    }
    try {
      co_await peer->notify("notifications/initialized", Json());
    } catch (const ErrorException& e) {
      error = e.error().message;
      CHECK(e.error().kind == ErrorKind::environment);
    }
    co_await peer->close();
  };
  run_root(context, root());
  CHECK(error.find("mcp server \"fix\": it ended with exit code") == 0);
}

TEST_CASE("mcp: messages have a size limit") {
  Rig skipped("huge_line");
  skipped.config.message_bytes_max = 1 << 20;
  // The line belongs to nobody, but while one request waits it is taken for its answer.
  CHECK(skipped.run() == "mcp server \"fix\": a message is longer than 1048576 bytes");
  Rig large("huge_line");
  CHECK(large.run(echoes).empty());  // within the limit: a line that is not JSON
  Rig reply("huge_reply");
  reply.config.message_bytes_max = 1 << 20;
  CHECK(reply.run() == "mcp server \"fix\": a message is longer than 1048576 bytes");
}

TEST_CASE("mcp: the environment is a whitelist plus the configured") {
  ::setenv("SWARM_TEST_SECRET", "s3cret", 1);
  Rig rig("normal");
  rig.config.env["EXTRA"] = "yes";
  CHECK(rig.run([](Session& session) -> Async<> {
    const auto result = co_await call(session, "fix__environment", Json::object());
    CHECK(result.text.find("EXTRA=yes\n") != std::string::npos);
    CHECK(result.text.find("PATH=") != std::string::npos);
    CHECK(result.text.find("s3cret") == std::string::npos);
  }).empty());
  CHECK(rig.log_text.str().find("s3cret") == std::string::npos);
}

TEST_CASE("mcp: a server that ignores SIGTERM is killed") {
  Rig rig("ignore_term");
  rig.config.stop_grace = std::chrono::milliseconds(50);
  CHECK(rig.run(echoes).empty());
  CHECK(is_gone(rig.pid_of("server")));
  CHECK(rig.log_text.str().find("mcp.server.kill") != std::string::npos);
}

TEST_CASE("mcp: a grandchild that holds the pipes dies with the group") {
  Rig rig("grandchild");
  CHECK(rig.run(echoes).empty());
  CHECK(is_gone(rig.pid_of("server")));
  REQUIRE(rig.pid_of("grandchild") > 0);
  CHECK(is_gone(rig.pid_of("grandchild")));
}

TEST_CASE("mcp: a grandchild that holds the pipes does not hide the server's death") {
  Rig rig("grandchild");
  CHECK(rig.run([](Session& session) -> Async<> {
    const auto result = co_await call(session, "fix__die", Json::object());
    CHECK(result.text == "mcp server \"fix\": it ended with exit code 7");
  }).empty());
  CHECK(is_gone(rig.pid_of("grandchild")));
}

TEST_CASE("mcp: cancelling the start leaves no process behind") {
  Rig rig("silent");
  rig.config.probe_timeout = std::chrono::milliseconds(100);   // then "initialize" is sent
  boost::asio::io_context context(1);
  const auto session = make_session(rig.config, context.get_executor(), rig.log);
  const auto root = [&]() -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start([&]() -> Async<> {
        co_await session->start();
        FAIL("not cancelled");
      });
      const auto path = rig.dir.path() / "log";
      while (!std::filesystem::exists(path) || rig.wire().find("initialize") == std::string::npos)
        co_await yield_once();
      nursery.cancel();
    });
  };
  run_root(context, root());
  CHECK(is_gone(rig.pid_of("server")));
}

TEST_CASE("mcp: a session that nobody stopped still takes its processes with it") {
  Rig rig("grandchild");
  {
    boost::asio::io_context context(1);
    const auto session = make_session(rig.config, context.get_executor(), rig.log);
    bool ready = false;
    const auto root = [&]() -> Async<> {
      co_await session->start();
      ready = true;
    };
    boost::asio::co_spawn(context, root(), [](const std::exception_ptr& e) {
      if (e) std::rethrow_exception(e);
    });
    while (!ready) context.run_one();
  }
  CHECK(is_gone(rig.pid_of("server")));
  CHECK(is_gone(rig.pid_of("grandchild")));
}

TEST_CASE("mcp: a tool that outlives its session answers with an error") {
  Rig rig("normal");
  std::shared_ptr<tools::Tool> kept;
  CHECK(rig.run([&kept](Session& session) -> Async<> {
    kept = session.tools().front();
    co_return;
  }).empty());
  const tools::ToolContext context;
  const auto result = run_root(kept->call(Json::object(), context));
  CHECK(result.is_error);
  CHECK(result.text == "mcp server \"fix\": its session was stopped");
}

}  // namespace
}  // namespace swarm::mcp
