// Servers that start with their first call, and stop when nobody needs them.
#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <map>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "mcp/client/list_cache.h"
#include "mcp/client/shown_tools.h"
#include "tests/mcp/fixture_rig.h"

namespace swarm::mcp {
namespace {

using namespace fixture;
using std::chrono::milliseconds;
using std::chrono::seconds;

// How many server processes there have been.
int starts(const Rig& rig) {
  if (!std::filesystem::exists(rig.dir.path() / "log")) return 0;
  int count = 0;
  std::istringstream in(rig.wire());
  for (std::string line; std::getline(in, line);) count += line.starts_with("server ");
  return count;
}

struct LazyRig : Rig {
  explicit LazyRig(const std::string& mode = "normal") : Rig(mode) {
    config.lazy = true;
    config.list_cache = (dir.path() / "lists").string();
    config.env["FIXTURE_VERSION"] = (dir.path() / "version").string();
  }
  std::string lists() const {
    std::string all;
    for (const auto& file : std::filesystem::directory_iterator(config.list_cache))
      all += test::read_file(file.path());
    return all;
  }
};

Async<std::string> text_of_call(Session& session, std::string name) {
  const auto result = co_await fixture::call(session, std::move(name), Json::object());
  co_return result.text;
}

Async<bool> becomes(std::function<bool()> condition) {
  const Deadline deadline = Deadline::after(steady_clock(), seconds(20));
  while (!condition() && !deadline.passed(steady_clock().now()))
    co_await wait_until(steady_clock(), steady_clock().now() + milliseconds(5));
  co_return condition();
}

std::string names_of(Session& session) {
  std::string out;
  for (const auto& one : session.tools()) out += one->spec().name + " ";
  return out;
}

}  // namespace

TEST_CASE("lazy: a server whose tools are known starts with its first call, not before") {
  LazyRig rig;
  std::string tools;
  CHECK(rig.run([&](Session& session) -> Async<> {  // nothing is known: it must run
    tools = names_of(session);
    CHECK(starts(rig) == 1);
    co_return;
  }).empty());
  CHECK(starts_later(rig.config));
  CHECK(rig.run([&](Session& session) -> Async<> {
    CHECK(names_of(session) == tools);
    CHECK(tool(session, "fix__echo").spec().description == "tool echo");
    CHECK(tool(session, "fix__echo").spec().effect == tools::Effect::read);
    CHECK(session.info().version == "1.2");
    CHECK(session.info().instructions == "be kind");
    CHECK(starts(rig) == 1);
    const std::string text = co_await text_of_call(session, "fix__echo");
    CHECK(text == "{}");
    CHECK(starts(rig) == 2);
    const std::string more = co_await text_of_call(session, "fix__echo");
    CHECK(more == "{}");
    CHECK(starts(rig) == 2);
  }).empty());
  CHECK(rig.run().empty());                         // never called, never started
  CHECK(starts(rig) == 2);
}

TEST_CASE("lazy: what is remembered belongs to one configuration") {
  LazyRig rig;
  CHECK(rig.run().empty());
  CHECK(starts(rig) == 1);
  const std::string hash = config_hash(rig.config);
  rig.config.env["MODE"] = "other";
  CHECK(config_hash(rig.config) != hash);
  CHECK_FALSE(starts_later(rig.config));
  CHECK(rig.run().empty());
  CHECK(starts(rig) == 2);
  CHECK(rig.run().empty());
  CHECK(starts(rig) == 2);
  rig.config.env.erase("MODE");                     // the first one is still known
  CHECK(rig.run().empty());
  CHECK(starts(rig) == 2);
  rig.config.call_timeout = seconds(7);             // says nothing about the server
  CHECK(starts_later(rig.config));
  rig.config.lazy = false;
  CHECK(rig.run().empty());
  CHECK(starts(rig) == 3);
}

TEST_CASE("lazy: a list that cannot be read is as good as none") {
  for (const char* text : {"", "{", "[]", R"({"format":1})", R"({"format":"1","tools":[]})"}) {
    CAPTURE(std::string(text));
    LazyRig rig;
    CHECK(rig.run().empty());
    for (const auto& file : std::filesystem::directory_iterator(rig.config.list_cache))
      test::write_file(file.path(), text);
    CHECK(rig.run().empty());
    CHECK(starts(rig) == 2);
    CHECK(starts_later(rig.config));                // it was written anew
  }
}

TEST_CASE("lazy: a tool of another version of the server is not called unseen") {
  LazyRig rig;
  CHECK(rig.run().empty());
  test::write_file(rig.dir.path() / "version", "2.0");
  CHECK(rig.run([&](Session& session) -> Async<> {
    CHECK(session.info().version == "1.2");
    const auto known = session.tools();  // what a registry keeps
    tools::Tool& add = tool(session, "fix__add");
    const tools::ToolContext context;
    const std::string changed = co_await text_of_call(session, "fix__echo");
    CHECK(changed == "mcp server \"fix\": its tool \"echo\" has changed since its list was "
                     "remembered; the next run knows the new list");
    const auto gone = co_await add.call(Json::object(), context);
    CHECK(gone.is_error);
    CHECK(gone.text.find("is not offered any more") != std::string::npos);
    const std::string same = co_await text_of_call(session, "fix__late");
    CHECK(same == "id as text");
  }).empty());
  CHECK(rig.log_text.str().find("mcp.server.version") != std::string::npos);
  CHECK(rig.wire().find(R"("name":"echo")") == std::string::npos);  // never sent
  CHECK(rig.lists().find("\"2.0\"") != std::string::npos);
  CHECK(rig.run([&](Session& session) -> Async<> {
    CHECK(session.info().version == "2.0");
    CHECK(tool(session, "fix__echo").spec().description == "tool echo, improved");
    const std::string text = co_await text_of_call(session, "fix__echo");
    CHECK(text == "{}");
  }).empty());
}

TEST_CASE("lazy: definitions are compared when a list arrives, however many calls come") {
  const auto definition = [](const char* text) { return parse_json(text).value(); };
  ShownTools shown;
  CHECK(shown.empty());
  shown.show("same", definition(R"({"description":"d","inputSchema":{"a":1,"b":2}})"));
  shown.show("other", definition(R"({"description":"d"})"));
  shown.show("gone", definition(R"({"description":"d"})"));
  CHECK(shown.complaint("other").empty());          // no list has arrived yet
  std::map<std::string, Json> offered{
      {"same", definition(R"({"inputSchema":{"b":2,"a":1},"description":"d","_meta":{"x":1}})")},
      {"other", definition(R"({"description":"d","annotations":{"readOnlyHint":true}})")},
      {"new", definition(R"({"description":"never shown"})")}};
  int asked = 0;
  const auto look = [&](const std::string& name) -> const Json* {
    ++asked;
    const auto found = offered.find(name);
    return found != offered.end() ? &found->second : nullptr;
  };
  shown.compare(look);
  CHECK(asked == 3);
  for (int call = 0; call < 1000; ++call) {
    CHECK(shown.complaint("same").empty());
    CHECK(shown.complaint("new").empty());
    CHECK(shown.complaint("other") == "has changed");
    CHECK(shown.complaint("gone") == "is not offered any more");
  }
  CHECK(asked == 3);
  offered["gone"] = offered["other"] = definition(R"({"description":"d"})");
  shown.compare(look);                              // the server has thought better of it
  CHECK(shown.complaint("other").empty());
  CHECK(shown.complaint("gone").empty());
}

TEST_CASE("lazy: calls that come together start one server") {
  LazyRig rig;
  CHECK(rig.run().empty());
  CHECK(rig.run([&](Session& session) -> Async<> {
    int answered = 0;
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      for (int i = 0; i < 8; ++i)
        nursery.start([&]() -> Async<> {
          const std::string text = co_await text_of_call(session, "fix__echo");
          answered += text == "{}";
        });
      co_return;
    });
    CHECK(answered == 8);
  }).empty());
  CHECK(starts(rig) == 2);
}

TEST_CASE("lazy: a start that fails is the answer of the call; the next call tries again") {
  LazyRig rig;
  rig.config.restart_backoff = milliseconds(1);
  const auto program = rig.dir.path() / "server";
  std::filesystem::create_symlink(MCP_FIXTURE_SERVER, program);
  rig.config.command[0] = program.string();
  CHECK(rig.run().empty());
  std::filesystem::remove(program);
  CHECK(rig.run([&](Session& session) -> Async<> {
    const std::string failed = co_await text_of_call(session, "fix__echo");
    CHECK(failed.find("mcp server \"fix\": program \"" + program.string()) == 0);
    std::filesystem::create_symlink(MCP_FIXTURE_SERVER, program);
    const std::string text = co_await text_of_call(session, "fix__echo");
    CHECK(text == "{}");
  }).empty());
}

TEST_CASE("idle stop: an unused server is stopped, and started again by the next call") {
  for (const bool lazy : {false, true}) {
    CAPTURE(lazy);
    LazyRig rig;
    rig.config.lazy = lazy;
    rig.config.idle_stop = milliseconds(150);
    CHECK(rig.run([&](Session& session) -> Async<> {
      for (int round = 0; round < 3; ++round) {
        const std::string text = co_await text_of_call(session, "fix__echo");
        CHECK(text == "{}");
        const int before = starts(rig);
        const auto rests = [&] {
          const std::string log = rig.log_text.str();
          int count = 0;
          for (size_t at = 0; (at = log.find("mcp.server.exit", at)) != std::string::npos; ++at)
            ++count;
          return count == before;
        };
        const bool stopped = co_await becomes(rests);
        CHECK(stopped);
        CHECK(starts(rig) == before);
      }
    }).empty());
    CHECK(starts(rig) >= 3);
    CHECK(rig.log_text.str().find("mcp.server.restart") == std::string::npos);  // on purpose
  }
}

TEST_CASE("idle stop: a call in flight keeps its server") {
  LazyRig rig;
  rig.config.idle_stop = milliseconds(300);
  CHECK(rig.run([&](Session& session) -> Async<> {
    const Json arguments{{"count", 8}, {"ms", 100}};
    const auto result = co_await fixture::call(session, "fix__steps", arguments);
    CHECK(result.text == "stepped");
  }).empty());
  CHECK(starts(rig) == 1);
}

TEST_CASE("idle stop: calls and stops at the same moment are all answered") {
  LazyRig rig;
  rig.config.idle_stop = milliseconds(10);
  CHECK(rig.run([&](Session& session) -> Async<> {
    for (int i = 0; i < 15; ++i) {
      const std::string text = co_await text_of_call(session, "fix__echo");
      CHECK(text == "{}");
      co_await wait_until(steady_clock(), steady_clock().now() + milliseconds(8 + i % 6));
    }
  }).empty());
  CHECK(starts(rig) >= 2);
}

}  // namespace swarm::mcp
