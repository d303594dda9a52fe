// A session that is written down and happens again from the file, without its server.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "mcp/client/recording.h"
#include "tests/mcp/fixture_rig.h"
#include "tests/mcp/loopback_world.h"

namespace swarm::mcp {
namespace {

using std::chrono::milliseconds;

constexpr const char* kGolden = "mcp/session.jsonl";

// A session with everything that can come of a call; what was heard of it, line by line.
Async<> talk(Session& session, std::vector<std::string>& heard) {
  Json arguments = Json::object();
  for (const char* name : {"echo", "echo", "add", "fail", "rpc_error", "media", "hang", "die",
                           "echo", "late", "steps"}) {
    if (name == std::string("add")) arguments = Json{{"a", 20}, {"b", 22}};
    if (name == std::string("steps")) arguments = Json{{"count", 3}, {"ms", 1}};
    const auto result = co_await fixture::call(session, std::string("fix__") + name, arguments);
    heard.push_back(std::string(name) + (result.is_error ? " failed: " : ": ") + result.text);
  }
}

void add_limits(ServerConfig& config) {
  config.restart_backoff = milliseconds(1);
  config.tool_limits = {{.tool = "hang", .call_timeout = milliseconds(300), .idle_timeout = {},
                         .call_timeout_max = {}}};
}

size_t lines_with(const std::string& text, const std::string& word) {
  size_t count = 0;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) count += line.find(word) != std::string::npos;
  return count;
}

// The fixture is not there at all.
ServerConfig absent(ServerConfig config, const std::string& file) {
  config.command = {"/no/such/program"};
  config.record.clear();
  config.replay = file;
  return config;
}

}  // namespace

TEST_CASE("recording: secrets are taken out once, whatever they are") {
  ServerConfig server;
  server.env = {{"B", "pass"}, {"C", "password"}, {"D", "no"}};
  server.headers = {{"X-Key", "k-123"}};
  CHECK(without_secrets("password, pass, k-123, no", server) ==
        "[redacted], [redacted], [redacted], no");     // not half of the longer one
  server.env = {{"A", "redacted"}};                    // part of what stands for it
  CHECK(without_secrets("redacted redacted", server) == "[redacted] [redacted]");
}

TEST_CASE("recording: what happened with a server happens again without it") {
  fixture::Rig rig("normal");
  add_limits(rig.config);
  const std::string file = (rig.dir.path() / "a/session.jsonl").string();
  rig.config.record = file;
  std::vector<std::string> live, replayed;
  CHECK(rig.run([&](Session& session) { return talk(session, live); }).empty());
  CHECK(std::count(live.begin(), live.end(), "add: {\"unit\": \"none\", \"sum\": 42}") == 1);
  CHECK(test::snapshot_difference(kGolden, test::read_file(file)) == "");
  fixture::Rig again("normal");
  again.config = absent(rig.config, file);
  const TimePoint begun = steady_clock().now();
  CHECK(again.run([&](Session& session) -> Async<> {
    CHECK(session.info().name == "fixture");
    CHECK(session.info().instructions == "be kind");
    CHECK(session.tools().size() == 17);
    co_await talk(session, replayed);
  }).empty());
  CHECK(replayed == live);
  CHECK(steady_clock().now() - begun < milliseconds(60000));  // hang is not waited for
  CHECK_FALSE(std::filesystem::exists(again.dir.path() / "log"));
  CHECK(again.log_text.str().find("mcp.replay.unused") == std::string::npos);
}

TEST_CASE("replay: the golden session, with its progress, its crash and its restart") {
  ServerConfig config;
  config.name = "fix";
  config = absent(config, test::golden(kGolden).string());
  add_limits(config);
  config.tool_limits.clear();               // timeouts come from the file, too
  std::vector<std::string> heard, steps, states;
  ClientHooks hooks;
  hooks.on_event = [&](std::string_view, std::string_view event, const Json& details) {
    if (event == "progress" && details.at("tool") == "steps")
      steps.push_back(dump_json(details.at("progress")));
    if (event == "state") states.push_back(details.at("state").get<std::string>());
  };
  boost::asio::io_context context(1);
  std::ostringstream log_text;
  Log log(log_text, LogLevel::debug);
  const auto client = make_client(config, context.get_executor(), log, hooks);
  const auto root = [&]() -> Async<> {
    co_await client->start();
    co_await talk(*client, heard);
    co_await client->stop();
  };
  run_root(context, root());
  const std::vector<std::string> want{
      "echo: {}",
      "echo: {}",
      "add: {\"unit\": \"none\", \"sum\": 42}",
      "fail failed: no such item",
      "rpc_error failed: mcp server \"fix\": bad item (code -32602)",
      "media: [image, image/png, 4 bytes, not shown]\nseen",
      "hang failed: mcp server \"fix\": no answer to tools/call in time",
      "die failed: mcp server \"fix\": it ended with exit code 7",
      "echo: {\"a\":20,\"b\":22}",
      "late: id as text",
      "steps: stepped"};
  CHECK(heard == want);
  CHECK(steps == std::vector<std::string>{"1.0", "2.0", "3.0"});
  CHECK(states == std::vector<std::string>{"starting", "ready", "starting", "ready", "stopped"});
}

TEST_CASE("replay: what was not recorded fails and says so") {
  ServerConfig config;
  config.name = "fix";
  config = absent(config, test::golden(kGolden).string());
  fixture::Rig rig("normal");
  rig.config = config;
  CHECK(rig.run([&](Session& session) -> Async<> {
    const Json other{{"text", "never said"}};
    const auto unknown = co_await fixture::call(session, "fix__echo", other);
    CHECK(unknown.is_error);
    CHECK(unknown.text == "mcp server \"fix\": the recording \"" + config.replay +
                              "\" has no answer, or no further one, to tools/call "
                              R"({"name":"echo","arguments":{"text":"never said"}})");
    for (int i = 0; i < 3; ++i) {           // recorded twice
      const auto result = co_await fixture::call(session, "fix__echo", Json::object());
      CHECK(result.is_error == (i == 2));
    }
  }).empty());
  CHECK(rig.log_text.str().find("mcp.replay.unused") != std::string::npos);
}

TEST_CASE("replay: a file that is no recording is refused with its line") {
  test::TempDir dir;
  const std::string file = (dir.path() / "r.jsonl").string();
  const auto refused = [&](const std::string& text) {
    test::write_file(file, text);
    ServerConfig config;
    config.name = "fix";
    fixture::Rig rig("normal");
    rig.config = absent(config, file);
    return rig.run();
  };
  const std::string head = "{\"swarm_mcp_recording\":1,\"server\":\"fix\"}\n";
  CHECK(refused("{}\n").find(":1: expected a recording of version 1") != std::string::npos);
  CHECK(refused(head + "[]\n").find(":2: expected an object") != std::string::npos);
  CHECK(refused(head + "{\"outcome\":7,\"result\":{}}\n")
            .find(":2: expected the number of an earlier request") != std::string::npos);
  CHECK(refused(head + "{\"odd\":1}\n").find("expected a line of a recording") !=
        std::string::npos);
  CHECK(refused(head).find("has no answer") != std::string::npos);
  std::filesystem::remove(file);
  ServerConfig config;
  config.name = "fix";
  fixture::Rig rig("normal");
  rig.config = absent(config, file);
  CHECK(rig.run().find("cannot read the recording") != std::string::npos);
}

TEST_CASE("recording: secrets are taken out, and only the owner may read it") {
  fixture::Rig rig("normal");
  rig.config.env["API_KEY"] = "s3cret-value";
  rig.config.headers = {{"Authorization", "Bearer very-secret"}};
  rig.config.record = (rig.dir.path() / "r.jsonl").string();
  Json arguments = Json::object();
  arguments["password"] = "hunter2";
  arguments["note"] = "it is s3cret-value, or Bearer very-secret";
  arguments["tokens"] = 12;
  CHECK(rig.run([&](Session& session) -> Async<> {
    const auto seen = co_await fixture::call(session, "fix__environment", Json::object());
    CHECK(seen.text.find("s3cret-value") != std::string::npos);
    const auto echoed = co_await fixture::call(session, "fix__echo", arguments);
    CHECK(echoed.text.find("hunter2") != std::string::npos);
  }).empty());
  const std::string text = test::read_file(rig.config.record);
  CHECK(text.find("s3cret") == std::string::npos);
  CHECK(text.find("very-secret") == std::string::npos);
  CHECK(text.find("API_KEY=[redacted]") != std::string::npos);
  CHECK(text.find(R"("arguments":{"password":"[redacted]")") != std::string::npos);
  CHECK(text.find(R"("tokens":12)") != std::string::npos);
  struct stat info{};
  REQUIRE(::stat(rig.config.record.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  fixture::Rig again("normal");             // the same question finds the same answer
  again.config = absent(rig.config, rig.config.record);
  CHECK(again.run([&](Session& session) -> Async<> {
    co_await fixture::call(session, "fix__environment", Json::object());
    const auto echoed = co_await fixture::call(session, "fix__echo", arguments);
    CHECK_FALSE(echoed.is_error);
  }).empty());
}

TEST_CASE("recording: both generations over HTTP, with questions of the server") {
  for (const Era era : {Era::automatic, Era::legacy}) {
    CAPTURE(static_cast<int>(era));
    test::TempDir dir;
    const std::string file = (dir.path() / "r.jsonl").string();
    std::vector<std::string> live, replayed;
    int questions = 0;
    const auto talk_http = [&](Client& client, std::vector<std::string>& heard) -> Async<> {
      const Json numbers{{"b", 2}, {"a", 1}};
      const std::string echoed = co_await test_world::call(client, "echo", numbers);
      const std::string asked = co_await test_world::call(client, "ask");
      const Json read = co_await client.read_resource("loop://a");
      std::string failed;
      try {
        co_await test_world::call(client, "no_such_tool");
      } catch (const ErrorException& e) {
        failed = e.error().message;
      }
      heard = {echoed, asked, dump_json(read.at("contents")), failed};
    };
    for (const bool replay : {false, true}) {
      CAPTURE(replay);
      test_world::World world;
      world.config.era = era;
      world.hooks.elicit = [&questions](std::string, Json) -> Async<Json> {
        ++questions;
        co_await yield_once();
        Json out = Json::object();
        out["action"] = "accept";
        out["content"]["name"] = "Bob";
        co_return out;
      };
      if (replay) {
        world.config.url = "http://127.0.0.1:9/mcp";  // nobody is there
        world.config.replay = file;
      } else {
        world.config.record = file;
      }
      CHECK(world.run([&](Client& client, Server&) -> Async<> {
        co_await talk_http(client, replay ? replayed : live);
      }) == "");
    }
    REQUIRE(live.size() == 4);
    CHECK(live[1] == R"({"name":"Bob"})");
    CHECK(live[3].find("no_such_tool") != std::string::npos);
    CHECK(replayed == live);
    CHECK(questions == 2);
    const std::string text = test::read_file(file);
    const bool modern = era == Era::automatic;
    CHECK(lines_with(text, "\"requestState\":\"[redacted]\"") == (modern ? 2 : 0));
    CHECK(lines_with(text, "\"requestState\"") == (modern ? 2 : 0));
  }
}

}  // namespace swarm::mcp
