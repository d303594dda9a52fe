// Lists of servers as other programs write them: every dialect comes out the same.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <map>
#include <string>

#include "mcp/approvals.h"
#include "mcp/import.h"
#include "tests/support/support.h"

namespace swarm::mcp {
namespace {

using std::chrono::milliseconds;

ImportedServer only(const std::string& text) {
  auto servers = import_servers(text, "list.json");
  REQUIRE(servers.has_value());
  REQUIRE(servers->size() == 1);
  return std::move(servers->front());
}

std::optional<std::string> variable(const std::string& name) {
  static const std::map<std::string, std::string> kValues{
      {"TOKEN", "t0ken"}, {"DIR", "/data"}, {"EMPTY", ""}, {"TRICK", "${TOKEN}"}};
  const auto found = kValues.find(name);
  return found == kValues.end() ? std::nullopt : std::optional(found->second);
}

ServerConfig resolved(const std::string& text) {
  auto config = resolve_server(only(text), variable);
  CAPTURE(text);
  REQUIRE(config.has_value());
  return std::move(*config);
}

std::string refusal(const std::string& text) {
  const auto config = resolve_server(only(text), variable);
  return config ? "" : config.error().message;
}

}  // namespace

TEST_CASE("import: a program is the same server in every dialect") {
  for (const char* text : {
           R"({"mcpServers": {"fs": {"command": "npx", "args": ["-y", "fs"],
               "env": {"KEY": "${TOKEN}"}}}})",
           "// a comment\n{\"mcpServers\": {\"fs\": {\"type\": \"stdio\", \"command\": \"npx\", "
           "/* and another */ \"args\": [\"-y\", \"fs\",], \"env\": {\"KEY\": \"${TOKEN}\",},},},}",
           R"({"servers": {"fs": {"type": "stdio", "command": "npx", "args": ["-y", "fs"],
               "env": {"KEY": "${env:TOKEN}"}}}, "inputs": []})",
           R"({"mcp": {"servers": {"fs": {"command": "npx", "args": ["-y", "fs"],
               "env": {"KEY": "$TOKEN"}}}}})",
           R"({"mcp": {"fs": {"type": "local", "command": ["npx", "-y", "fs"],
               "environment": {"KEY": "${TOKEN}"}, "enabled": true}}})",
           R"({"extensions": {"fs": {"type": "stdio", "cmd": "npx", "args": ["-y", "fs"],
               "envs": {"KEY": "{{TOKEN}}"}, "timeout": 300}}})",
           R"({"mcp_servers": {"fs": {"command": "npx", "args": ["-y", "fs"],
               "env": ["KEY=${TOKEN}"]}}})",
           R"({"fs": {"command": "npx", "args": ["-y", "fs"], "env": {"KEY": "${TOKEN}"}}})",
           "\xEF\xBB\xBF{\"mcpServers\": {\"fs\": {\"command\": \"npx\", "
           "\"args\": [\"-y\", \"fs\"], \"env\": {\"KEY\": \"${TOKEN}\"}}}}"}) {
    CAPTURE(std::string(text));
    const ServerConfig config = resolved(text);
    CHECK(config.name == "fs");
    CHECK(config.command == std::vector<std::string>{"npx", "-y", "fs"});
    CHECK(config.env == std::map<std::string, std::string>{{"KEY", "t0ken"}});
    CHECK(config.url.empty());
  }
  const ServerConfig keys =
      resolved(R"({"extensions": {"x": {"cmd": "a", "env_keys": ["TOKEN"]}}})");
  CHECK(keys.env == std::map<std::string, std::string>{{"TOKEN", "t0ken"}});
}

TEST_CASE("import: an address is the same server in every dialect") {
  struct Case {
    const char* text;
    TransportKind transport;
  };
  for (const Case& one : {
           Case{R"({"mcpServers": {"s": {"url": "https://x/mcp",
                    "headers": {"Authorization": "Bearer ${TOKEN}"}}}})",
                TransportKind::automatic},
           Case{R"({"mcpServers": {"s": {"type": "http", "url": "https://x/mcp",
                    "headers": {"Authorization": "Bearer ${TOKEN}"}}}})",
                TransportKind::http},
           Case{R"({"mcpServers": {"s": {"transport": "streamable_http", "url": "https://x/mcp",
                    "bearer_token_env_var": "TOKEN"}}})",
                TransportKind::http},
           Case{R"({"mcpServers": {"s": {"transportType": "streamable-http",
                    "serverUrl": "https://x/mcp",
                    "http_headers": {"Authorization": "Bearer ${env:TOKEN}"}}}})",
                TransportKind::http},
           Case{R"({"mcpServers": {"s": {"httpUrl": "https://x/mcp",
                    "headers": {"Authorization": "Bearer {{TOKEN}}"}}}})",
                TransportKind::http},
           Case{R"({"extensions": {"s": {"type": "streamableHttp", "uri": "https://x/mcp",
                    "headers": {"Authorization": "Bearer ${TOKEN}"}}}})",
                TransportKind::http},
           Case{R"({"mcp": {"s": {"type": "remote", "url": "https://x/mcp",
                    "headers": {"Authorization": "Bearer ${TOKEN}"}}}})",
                TransportKind::automatic},
           Case{R"({"mcpServers": {"s": {"type": "sse", "url": "https://x/mcp",
                    "headers": {"Authorization": "Bearer ${TOKEN}"}}}})",
                TransportKind::sse}}) {
    CAPTURE(std::string(one.text));
    const ServerConfig config = resolved(one.text);
    CHECK(config.url == "https://x/mcp");
    CHECK(config.transport == one.transport);
    REQUIRE(config.headers.size() == 1);
    CHECK(config.headers[0] == std::pair<std::string, std::string>("Authorization",
                                                                   "Bearer t0ken"));
  }
  const ServerConfig by_name = resolved(
      R"({"mcp_servers": {"s": {"url": "https://x", "env_http_headers": {"X-Key": "TOKEN"}}}})");
  CHECK(by_name.headers[0].second == "t0ken");
}

TEST_CASE("import: switches, times and tools under all their names") {
  const auto off = [](const char* text) { return !only(text).enabled; };
  CHECK(off(R"({"mcpServers": {"s": {"command": "a", "disabled": true}}})"));
  CHECK(off(R"({"mcp": {"s": {"command": ["a"], "enabled": false}}})"));
  CHECK_FALSE(off(R"({"mcpServers": {"s": {"command": "a", "disabled": false}}})"));
  const auto timeout = [](const std::string& member) {
    return only(R"({"mcpServers": {"s": {"command": "a", )" + member + "}}}").call_timeout.value();
  };
  CHECK(timeout(R"("timeout": 60)") == milliseconds(60000));          // Cline: seconds
  CHECK(timeout(R"("timeout": 600000)") == milliseconds(600000));     // Gemini: milliseconds
  CHECK(timeout(R"("tool_timeout_sec": 1.5)") == milliseconds(1500)); // Codex
  const ImportedServer start =
      only(R"({"mcp_servers": {"s": {"command": "a", "startup_timeout_sec": 10}}})");
  CHECK(start.start_timeout.value() == milliseconds(10000));
  const ImportedServer tools = only(R"({"mcpServers": {"s": {"command": "a",
      "includeTools": ["a", "b"], "disabledTools": ["b"], "alwaysAllow": ["a"]}}})");
  CHECK(tools.include_tools == std::vector<std::string>{"a", "b"});
  CHECK(tools.exclude_tools == std::vector<std::string>{"b"});
  CHECK(tools.approved_tools == std::vector<std::string>{"a"});
  CHECK(only(R"({"mcpServers": {"s": {"command": "a", "trust": true}}})").approved_tools ==
        std::vector<std::string>{"*"});
  const ServerConfig era = resolved(
      R"({"mcpServers": {"my server": {"command": "a", "protocolEra": "legacy"}}})");
  CHECK(era.era == Era::legacy);
  CHECK(era.name == "my_server");
}

TEST_CASE("import: names that tools cannot begin with change, and stay different") {
  const auto servers = import_servers(R"({"mcpServers": {"my server": {"command": "a"},
      "my.server": {"command": "b"}, "my_server": {"command": "c"}, "": {"command": "d"}}})",
                                      "list.json");
  REQUIRE(servers.has_value());
  REQUIRE(servers->size() == 4);
  CHECK(servers->at(0).name == "my_server_2");
  CHECK(servers->at(0).warnings == std::vector<std::string>{"the list calls it \"my server\""});
  CHECK(servers->at(1).name == "my_server_3");
  CHECK(servers->at(2).name == "my_server");
  CHECK(servers->at(2).warnings.empty());
  CHECK(servers->at(3).name == "server");
}

TEST_CASE("import: consent, authorization and required are taken over, what is not is told") {
  const ImportedServer asked = only(R"({"mcpServers": {"s": {"url": "https://x", "required": true,
      "autoApprove": ["a", "b"], "oauth": {"clientId": "id", "clientSecret": "${KEY}",
      "redirectUri": "http://localhost:7/cb", "scopes": ["r"], "tokenUrl": "https://x/t",
      "odd": 1}}}})");
  CHECK(asked.approved_tools == std::vector<std::string>{"a", "b"});
  CHECK(asked.required == true);
  CHECK(asked.authorize);
  CHECK(asked.client_id == "id");
  CHECK(asked.client_secret == "${KEY}");
  CHECK(asked.redirect_uri == "http://localhost:7/cb");
  CHECK(asked.warnings ==
        std::vector<std::string>{
            "\"oauth.scopes\" is ignored: it is taken from what the server announces",
            "\"oauth.tokenUrl\" is ignored: it is taken from what the server announces",
            "\"oauth.odd\" is ignored: it is not understood"});
  const ServerConfig config = resolved(R"({"mcpServers": {"s": {"url": "https://x",
      "oauth": {"clientId": "${SWARM_TEST_NONE:-id}"}}}})");
  REQUIRE(config.auth);
  CHECK(config.auth->client_id == "id");
  CHECK(config.auth->browser);
  CHECK(config.auth->redirect_uri.empty());      // a port that is free
  CHECK_FALSE(resolved(R"({"mcpServers": {"s": {"url": "https://x"}}})").auth);

  const auto authorize = [](const std::string& member) {
    return only(R"({"mcpServers": {"s": {"url": "https://x", )" + member + "}}}").authorize;
  };
  CHECK(authorize(R"("oauth": true)"));
  CHECK(authorize(R"("requiresOAuth": true)"));
  CHECK_FALSE(authorize(R"("oauth": false)"));
  CHECK_FALSE(authorize(R"("requiresOAuth": false, "oauth": {"clientId": "x"})"));
  CHECK_FALSE(authorize(R"("oauth": 7)"));
  CHECK_FALSE(only(R"({"mcpServers": {"s": {"command": "a"}}})").required.has_value());

  const ImportedServer told = only(R"({"mcpServers": {"s": {"command": "a", "oauth": {},
      "proxy": "http://p", "serverInstructions": true, "deferTools": true, "startup": "lazy",
      "customUserVars": {}, "iconPath": "x.png", "description": "for people"}}})");
  CHECK_FALSE(told.authorize);
  std::string all;
  for (const std::string& warning : told.warnings) all += warning + "\n";
  for (const char* key : {"oauth", "proxy", "serverInstructions", "deferTools", "startup",
                          "customUserVars"})
    CHECK(all.find("\"" + std::string(key) + "\" is ignored: ") != std::string::npos);
  CHECK(told.warnings.size() == 6);              // and nothing about what only decorates
  CHECK(only(R"({"extensions": {"s": {"cmd": "a", "available_tools": ["x"]}}})").include_tools ==
        std::vector<std::string>{"x"});
}

TEST_CASE("import: unknown keys are told, not fatal; a bad server does not spoil the others") {
  const ImportedServer odd = only(R"({"mcpServers": {"s": {"command": "a", "colour": 1}}})");
  CHECK(odd.warnings == std::vector<std::string>{"\"colour\" is not understood"});
  CHECK(odd.problem.empty());
  const auto mixed = import_servers(
      R"({"mcpServers": {"a": {"command": "x"}, "b": 7, "c": {"command": "x", "args": "y"},
          "d": {}, "e": {"type": "builtin"}, "f": {"command": "x", "url": "https://y"},
          "g": {"command": "x", "timeout": -1}, "h": {"command": "x", "env": ["=1"]}}})",
      "list.json");
  REQUIRE(mixed.has_value());
  std::string problems;
  for (const ImportedServer& one : *mixed)
    problems += one.name + ": " + one.problem + "\n";
  CHECK(problems ==
        "a: \n"
        "b: expected an object\n"
        "c: args: expected a list\n"
        "d: expected command or url\n"
        "e: type \"builtin\" is not one of an MCP server\n"
        "f: has both command and url\n"
        "g: timeout: expected a number above 0\n"
        "h: env: expected NAME=VALUE\n");
  CHECK(refusal(R"({"mcpServers": {"a": {"url": "ftp://x"}}})") ==
        "mcp server \"a\": url \"ftp://x\": expected http:// or https://");
  CHECK(refusal(R"({"mcpServers": {"c": {"command": "x", "args": "y"}}})") ==
        "mcp server \"c\": args: expected a list");
  for (const char* text : {"", "[]", "{", "7", R"({"other": {}})", R"({"mcpServers": 7})"})
    CHECK_FALSE(import_servers(text, "list.json").has_value());
}

TEST_CASE("import: a variable is replaced once, or its server is refused by name") {
  const auto expanded = [](const char* text) { return expand_variables(text, variable).value(); };
  CHECK(expanded("a${DIR}b${TOKEN}c") == "a/datab" "t0kenc");
  CHECK(expanded("${NONE:-x y}") == "x y");
  CHECK(expanded("${NONE:-}") == "");
  CHECK(expanded("${EMPTY:-x}") == "x");
  CHECK(expanded("${EMPTY}") == "");
  CHECK(expanded("${TRICK}") == "${TOKEN}");  // what it holds is not looked at again
  CHECK(expanded("$HOME $ {} }") == "$HOME $ {} }");
  for (const char* bad : {"${", "${}", "${A", "${a b}", "${1A}", "${NONE}", "${:-x}"})
    CHECK_FALSE(expand_variables(bad, variable).has_value());
  CHECK(refusal(R"({"mcpServers": {"s": {"command": "a", "args": ["b", "${NONE}"]}}})") ==
        "mcp server \"s\": args[1]: variable \"NONE\" is not set");
  CHECK(refusal(R"({"servers": {"s": {"url": "https://x", "headers": {"K": "${input:key}"}}}})") ==
        "mcp server \"s\": headers.K: variable \"input:key\" is not set");
  CHECK(canonical_variables("x${env:A}{{B}}$C${D}") == "x${A}${B}$C${D}");
  CHECK(canonical_variables("{{not one}} ${env:} $9") == "{{not one}} ${env:} $9");
}

TEST_CASE("import: an approval holds until the server runs something else") {
  test::TempDir dir;
  const std::string file = (dir.path() / "sub" / "approvals.json").string();
  const ImportedServer first = only(R"({"mcpServers": {"s": {"command": "a", "args": ["1"],
                                        "env": {"K": "secret"}}}})");
  auto approvals = Approvals::load(file);
  REQUIRE(approvals.has_value());
  CHECK(approvals->verdict("/p", first) == Approvals::Verdict::unknown);
  approvals->approve("/p", first);
  REQUIRE(approvals->save().has_value());
  struct stat info{};
  REQUIRE(::stat(file.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  CHECK(test::read_file(file).find("secret") == std::string::npos);
  const auto again = Approvals::load(file);
  REQUIRE(again.has_value());
  CHECK(again->verdict("/p", first) == Approvals::Verdict::approved);
  CHECK(again->verdict("/elsewhere", first) == Approvals::Verdict::unknown);
  for (const char* changed :
       {R"({"mcpServers": {"s": {"command": "b", "args": ["1"], "env": {"K": "x"}}}})",
        R"({"mcpServers": {"s": {"command": "a", "args": ["2"], "env": {"K": "x"}}}})",
        R"({"mcpServers": {"s": {"command": "a", "args": ["1"], "env": {"LD_PRELOAD": "x"}}}})",
        R"({"mcpServers": {"s": {"url": "https://a"}}})"})
    CHECK(again->verdict("/p", only(changed)) == Approvals::Verdict::changed);
  // Another value of the same variable is not another program.
  CHECK(again->verdict("/p", only(R"({"mcpServers": {"s": {"command": "a", "args": ["1"],
                                      "env": {"K": "rotated"}}}})")) ==
        Approvals::Verdict::approved);
  CHECK(what_it_runs(first) == "a 1");
}

}  // namespace swarm::mcp
