// mcp_files: lists of servers of other programs become entries of mcp.
#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "orchestrator/config/load.h"
#include "tests/support/support.h"

using namespace swarm;

namespace {

constexpr const char* kSwarm = R"(
schema: swarm/v1
name: s
inputs: {task: {required: false}}
models: {fake: {provider: scripted, script: script.json}}
mcp: {own: {command: [mine]}}
mcp_files: [list.json, list.yaml]
agents: {A: {instructions: "a", tools: ["shop/*"]}}
graph: {one: {agent: A, in: "x"}}
)";

struct Folder {
  test::TempDir dir;
  config::Loaded load(const std::string& json, const std::string& yaml = "mcpServers: {}\n") {
    test::write_file(dir.path() / "swarm.yaml", kSwarm);
    test::write_file(dir.path() / "script.json", R"({"replies": []})");
    test::write_file(dir.path() / "list.json", json);
    test::write_file(dir.path() / "list.yaml", yaml);
    return config::load_file((dir.path() / "swarm.yaml").string(), {});
  }
};

const mcp::ServerConfig* find(const config::Config& config, const std::string& name) {
  for (const mcp::ServerConfig& server : config.servers)
    if (server.name == name) return &server;
  return nullptr;
}

bool config_verdict(const config::Config& config, const tools::ToolSpec& spec) {
  return config.policy.policy.decide(spec, Json::object()).verdict == tools::Verdict::allow;
}

}  // namespace

TEST_CASE("mcp_files: servers are taken over, their variables stay out of the record") {
  ::setenv("SWARM_TEST_TOKEN", "t0psecret", 1);
  Folder folder;
  const config::Loaded loaded = folder.load(R"({
      // of the project
      "mcpServers": {
        "shop": {"command": "./bin/shop", "args": ["${SWARM_TEST_NONE:-all}"],
                 "env": {"TOKEN": "${SWARM_TEST_TOKEN}"}, "timeout": 5},
        "own": {"command": "other"},
        "off": {"command": "x", "disabled": true},
        "lacks": {"command": "x", "args": ["${SWARM_TEST_NONE}"]},
      }})", "mcpServers: {web: {url: 'https://x/mcp', type: http}, shop: {command: late}}\n");
  CAPTURE(loaded.report());
  REQUIRE(loaded.config.has_value());
  const config::Config& config = *loaded.config;
  CHECK(config.servers.size() == 3);
  const mcp::ServerConfig* shop = find(config, "shop");
  REQUIRE(shop != nullptr);
  CHECK(shop->command ==
        std::vector<std::string>{(folder.dir.path() / "bin/shop").string(), "all"});
  CHECK(shop->env.at("TOKEN") == "t0psecret");
  CHECK(shop->call_timeout == std::chrono::seconds(5));
  REQUIRE(find(config, "own") != nullptr);
  CHECK(find(config, "own")->command == std::vector<std::string>{"mine"});
  REQUIRE(find(config, "web") != nullptr);
  CHECK(find(config, "web")->url == "https://x/mcp");
  CHECK(dump_json(config.document).find("t0psecret") == std::string::npos);
  REQUIRE(loaded.warnings.size() == 1);
  CHECK(loaded.warnings[0].find("mcp server \"lacks\": command: variable \"SWARM_TEST_NONE\" is "
                                "not set; it is left out") != std::string::npos);
}

TEST_CASE("mcp_files: a list that cannot be read is an error at its place") {
  Folder folder;
  const config::Loaded loaded = folder.load("{\"mcpServers\": ");
  CHECK_FALSE(loaded.config.has_value());
  CHECK(loaded.report().find("list.json") != std::string::npos);
}

TEST_CASE("mcp_files: consent, OAuth, required and what is off become settings of the swarm") {
  ::setenv("SWARM_TEST_TOKEN", "t0psecret", 1);
  Folder folder;
  const config::Loaded loaded = folder.load(R"({"mcpServers": {
      "shop": {"command": "shop", "autoApprove": ["price"], "required": true, "proxy": "x"},
      "web": {"url": "https://x/mcp", "oauth": {"clientId": "id",
              "clientSecret": "${SWARM_TEST_TOKEN}"}},
      "off": {"command": "x", "disabled": true}}})");
  CAPTURE(loaded.report());
  REQUIRE(loaded.config.has_value());
  const config::Config& config = *loaded.config;
  CHECK(config.server_uses.at("shop").required);
  CHECK_FALSE(config.server_uses.at("web").required);
  CHECK(config.disabled_servers == std::vector<std::string>{"off"});
  CHECK(find(config, "off") == nullptr);
  const auto& auth = find(config, "web")->auth;
  REQUIRE(auth);
  CHECK(auth->client_id == "id");
  CHECK(auth->client_secret == "t0psecret");
  CHECK(dump_json(config.document).find("t0psecret") == std::string::npos);
  tools::ToolSpec spec;
  spec.name = "shop__price";
  spec.server = "shop";
  spec.remote_name = "price";
  CHECK(config.policy.policy.decide(spec, Json::object()).verdict == tools::Verdict::allow);
  spec.name = "shop__buy";
  spec.remote_name = "buy";
  CHECK(config.policy.policy.decide(spec, Json::object()).verdict == tools::Verdict::deny);
  REQUIRE(loaded.warnings.size() == 1);
  CHECK(loaded.warnings[0].find("\"proxy\" is ignored: connections are direct") !=
        std::string::npos);
}

TEST_CASE("config: the keys of desktop clients inside a swarm file do what they say") {
  const auto load = [](const std::string& server) {
    return config::load_text("schema: swarm/v1\nmodels: {m: {provider: scripted, script: x}}\n"
                             "agents: {A: {tools: [\"s/*\"]}}\n"
                             "graph: {a: {agent: A, in: x}}\nmcpServers: {s: " + server + "}\n",
                             "test.yaml", "", {});
  };
  const config::Loaded loaded = load("{command: x, required: true, autoApprove: [a], "
                                     "alwaysAllow: [b], disabledTools: [c], excludeTools: [d], "
                                     "includeTools: [a, b, c]}");
  CAPTURE(loaded.report());
  REQUIRE(loaded.config.has_value());
  CHECK(loaded.config->server_uses.at("s").required);
  CHECK(loaded.config->servers[0].exclude_tools == std::vector<std::string>{"d", "c"});
  CHECK(loaded.config->servers[0].include_tools.size() == 3);
  tools::ToolSpec spec;
  spec.server = "s";
  for (const char* tool : {"a", "b", "c"}) {
    spec.name = std::string("s__") + tool;
    spec.remote_name = tool;
    CHECK(config_verdict(*loaded.config, spec) == (spec.remote_name != "c"));
  }
  CHECK(load("{url: 'https://x', oauth: {}}").report().find("say mcp.NAME.auth") !=
        std::string::npos);
  CHECK(load("{command: x, trust: true}").report().find("say autoApprove") != std::string::npos);
  CHECK(load("{command: x, autoApprove: ['a b']}").report().find("autoApprove") !=
        std::string::npos);
}

TEST_CASE("mcp_files: a list that is named twice is refused at the second place") {
  const config::Loaded loaded = config::load_text(
      "schema: swarm/v1\nmodels: {fake: {provider: scripted, script: s.json}}\n"
      "mcp_files: [none.json, none.json]\nagents: {A: {}}\ngraph: {one: {agent: A, in: x}}\n",
      "swarm.yaml", "", {});
  CHECK(loaded.report().find(
            "swarm.yaml:3:24: error: mcp_files[1]: \"none.json\" is listed twice") !=
        std::string::npos);
}

TEST_CASE("mcp_files: the TOML of Codex, and where its mistakes are") {
  const auto load = [](const std::string& toml) {
    Folder folder;
    test::write_file(folder.dir.path() / "config.toml", toml);
    std::string swarm = kSwarm;
    swarm.replace(swarm.find("list.json, list.yaml"), 20, "config.toml");
    test::write_file(folder.dir.path() / "swarm.yaml", swarm);
    test::write_file(folder.dir.path() / "script.json", R"({"replies": []})");
    return config::load_file((folder.dir.path() / "swarm.yaml").string(), {});
  };
  const config::Loaded loaded = load(R"(
model = "some-model"
since = 2026-01-02T03:04:05Z
[mcp_servers.shop]
command = "npx"
args = ["-y", "shop"]
startup_timeout_sec = 20
tool_timeout_sec = 1.5
enabled_tools = ["price"]
[mcp_servers.shop.env]
KEY = "value"
[mcp_servers.web]
url = "https://x.test/mcp"
)");
  CAPTURE(loaded.report());
  REQUIRE(loaded.config.has_value());
  const mcp::ServerConfig* shop = find(*loaded.config, "shop");
  REQUIRE(shop != nullptr);
  CHECK(shop->command == std::vector<std::string>{"npx", "-y", "shop"});
  CHECK(shop->env == std::map<std::string, std::string>{{"KEY", "value"}});
  CHECK(shop->start_timeout == std::chrono::seconds(20));
  CHECK(shop->call_timeout == std::chrono::milliseconds(1500));
  CHECK(shop->include_tools == std::vector<std::string>{"price"});
  REQUIRE(find(*loaded.config, "web") != nullptr);
  CHECK(find(*loaded.config, "web")->url == "https://x.test/mcp");
  const config::Loaded broken = load("[mcp_servers.shop]\ncommand = npx\n");
  CHECK_FALSE(broken.config.has_value());
  CHECK(broken.report().find("config.toml:2:1") != std::string::npos);
  CHECK(broken.report().find("command = npx") != std::string::npos);
  CHECK_FALSE(load("[[[").config.has_value());
  for (const char* mark : {"\xEF\xB7\xBA", "\xCC\x82", "\xC2\xA0", "\xE3\x80\x80"}) {
    const config::Loaded marks = load(std::string(mark) + "[mcp_servers]\n");  // no blanks
    CHECK(marks.report().find("config.toml:1:1: error: invalid TOML") != std::string::npos);
  }
  CHECK_FALSE(load("a = '\xF3\xB0\x80\x80'").config.has_value());  // for private use
  CHECK_FALSE(load("a = '\xFF'").config.has_value());
  const std::string heart = "\xE2\x9D\xA4\xEF\xB8\x8F \xF0\x9F\x90\x9D \xC3\xA9";
  const config::Loaded kept =
      load("# " + heart + "\n[mcp_servers.shop]\ncommand = '" + heart + "'");
  CAPTURE(kept.report());
  REQUIRE(kept.config.has_value());
  CHECK(find(*kept.config, "shop")->command == std::vector<std::string>{heart});
  Folder json;
  const std::string report = json.load("{\"mcpServers\":\n  {\"a\": }}").report();
  CHECK(report.find("list.json:2:9: error: invalid JSON") != std::string::npos);
}
