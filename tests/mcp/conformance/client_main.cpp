// The client under test of the official conformance suite: does what each scenario wants done and
// nothing else. The server's URL is the last argument; scenario, revision and context come by
// environment. Exit code 0: everything went as it should from the client's point of view.
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <string>

#include <boost/asio/io_context.hpp>

#include "engine/base/async/deadline.h"
#include "engine/base/async/run.h"
#include "mcp/mcp.h"
#include "mcp/transport/http_client.h"

namespace swarm::mcp {
namespace {

std::string variable(const char* name, const char* otherwise = "") {
  const char* value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

struct Scenario {
  std::string name;
  std::string version;
  Json context;
};

using Act = std::function<Async<>(Client&, const Scenario&)>;

Async<Json> call(Client& client, std::string name, Json arguments) {
  const CallOptions options;
  Json result = co_await client.call_tool(std::move(name), std::move(arguments), options);
  co_return result;
}

// A call whose failure is part of the scenario.
Async<> try_call(Client& client, std::string name, Json arguments) {
  try {
    co_await call(client, name, std::move(arguments));
  } catch (const ErrorException& e) {
    std::cerr << name << ": " << e.error().message << "\n";
  }
}

// Something for every required property.
Json sample_arguments(const Json& tool) {
  Json out = Json::object();
  const Json schema = tool.value("inputSchema", Json::object());
  const Json properties = schema.value("properties", Json::object());
  for (const auto& [name, property] : properties.items()) {
    const Json type = property.is_object() ? property.value("type", Json("string")) : Json();
    if (type == "number" || type == "integer") out[name] = 1;
    else if (type == "boolean") out[name] = true;
    else if (type == "object") out[name] = Json::object();
    else if (type == "array") out[name] = Json::array();
    else out[name] = "value";
  }
  return out;
}

Async<> list_only(Client& client, const Scenario&) { co_await client.list(List::tools); }

Async<> call_add(Client& client, const Scenario&) {
  co_await client.list(List::tools);
  const Json arguments{{"a", 5}, {"b", 3}};
  co_await call(client, "add_numbers", arguments);
}

Async<> call_everything(Client& client, const Scenario&) {
  const std::vector<Json> tools = co_await client.list(List::tools);
  for (const Json& tool : tools)
    co_await try_call(client, tool.at("name").get<std::string>(), sample_arguments(tool));
}

Async<> call_named(Client& client, std::string name) {
  const std::vector<Json> tools = co_await client.list(List::tools);
  static_cast<void>(tools);
  co_await call(client, std::move(name), Json::object());
}

Async<> exercise_lists(Client& client, const Scenario& scenario) {
  co_await call_everything(client, scenario);
  if (client.capabilities().contains("resources")) {
    const std::vector<Json> resources = co_await client.list(List::resources);
    for (const Json& one : resources)
      co_await client.read_resource(one.at("uri").get<std::string>());
  }
  if (client.capabilities().contains("prompts")) {
    const std::vector<Json> prompts = co_await client.list(List::prompts);
    for (const Json& one : prompts) {
      Json arguments = Json::object();
      for (const Json& argument : one.value("arguments", Json::array()))
        arguments[argument.at("name").get<std::string>()] = "value";
      co_await client.get_prompt(one.at("name").get<std::string>(), arguments);
    }
  }
}

Async<> custom_headers(Client& client, const Scenario& scenario) {
  co_await client.list(List::tools);
  const Json calls = scenario.context.value("toolCalls", Json::array());
  for (const Json& one : calls)
    co_await try_call(client, one.at("name").get<std::string>(),
                      one.value("arguments", Json::object()));
}

Async<> request_state(Client& client, const Scenario&) {
  co_await client.list(List::tools);
  for (const char* name : {"test_mrtr_echo_state", "test_mrtr_unrelated", "test_mrtr_no_state",
                           "test_mrtr_no_result_type"})
    co_await try_call(client, name, Json::object());
}

// Sends the schema back exactly as it came.
Async<> schema_echo(Client& client, const Scenario&) {
  const std::vector<Json> tools = co_await client.list(List::tools);
  Json schema;
  std::string echo;
  for (const Json& tool : tools) {
    const auto name = tool.at("name").get<std::string>();
    if (name == "json_schema_echo") echo = name;
    else if (schema.is_null()) schema = tool.at("inputSchema");
  }
  Json arguments = Json::object();
  arguments["schema"] = schema;
  co_await call(client, "json_schema_echo", arguments);
}

Async<> authorized_call(Client& client, const Scenario&) {
  co_await client.list(List::tools);
  co_await call(client, "test-tool", Json::object());
}

Async<> list_skills(Client& client, const Scenario&) { co_await client.list(List::skills); }

// Loads each skill and, only then, what belongs to it.
Async<> load_skills(Client& client, const Scenario&) {
  const std::vector<Json> skills = co_await client.list(List::skills);
  for (const Json& skill : skills) {
    co_await client.read_skill(skill, "");
    for (const Json& file : skill.at("resources"))
      co_await client.read_skill(skill, file.at("uri").get<std::string>());
  }
}

const std::map<std::string, Act>& acts() {
  static const std::map<std::string, Act> kActs{
      {"initialize", list_only},
      {"tools_call", call_add},
      {"elicitation-sep1034-client-defaults",
       [](Client& client, const Scenario&) {
         return call_named(client, "test_client_elicitation_defaults");
       }},
      {"sse-retry",
       [](Client& client, const Scenario&) { return call_named(client, "test_reconnection"); }},
      {"request-metadata", call_everything},
      {"sep-2322-client-request-state", request_state},
      {"http-standard-headers", exercise_lists},
      {"http-custom-headers", custom_headers},
      {"http-invalid-tool-headers", call_everything},
      {"json-schema-ref-no-deref", list_only},
      {"sep-2640-client-no-prefetch", list_skills},
      {"sep-2640-client-verify-digest", load_skills},
      {"sep-2640-client-verify-size", load_skills},
      {"sep-2640-client-verify-frontmatter", load_skills},
      {"json-schema-2020-12-preservation", schema_echo}};
  return kActs;
}

ClientHooks hooks_of(const Scenario&) {
  ClientHooks hooks;
  hooks.elicit = [](std::string, Json) -> Async<Json> {
    co_return Json{{"action", "accept"}, {"content", Json::object()}};
  };
  hooks.sample = [](std::string, Json) -> Async<Json> {
    co_return Json{{"role", "assistant"},
                   {"content", {{"type", "text"}, {"text", "sampled"}}},
                   {"model", "swarm-test"},
                   {"stopReason", "endTurn"}};
  };
  hooks.offer_roots = true;
  hooks.roots = {{.uri = "file:///tmp", .name = "tmp"}};
  if (!variable("MCP_TRACE").empty())
    hooks.trace = [](bool outgoing, const std::string& text) {
      std::cerr << (outgoing ? "-> " : "<- ") << text << "\n";
    };
  return hooks;
}

std::string member(const Json& object, const char* key) {
  return object.value(key, std::string());
}

// There is no browser: the page answers with the redirect at once.
AuthOptions auth_of(const Scenario& scenario, Executor executor) {
  AuthOptions auth;
  const Json& context = scenario.context;
  auth.redirect_uri = "http://127.0.0.1:33418/callback";
  auth.client_metadata_url = "https://conformance-test.local/client-metadata.json";
  auth.client_id = member(context, "client_id");
  auth.client_secret = member(context, "client_secret");
  auth.private_key_pem = member(context, "private_key_pem");
  auth.signing_algorithm = member(context, "signing_algorithm");
  auth.assertion = member(context, "valid_jwt");
  auth.idp_client_id = member(context, "idp_client_id");
  auth.idp_id_token = member(context, "idp_id_token");
  auth.idp_token_endpoint = member(context, "idp_token_endpoint");
  if (scenario.name.rfind("auth/client-credentials", 0) == 0)
    auth.grant = AuthOptions::Grant::client_credentials;
  if (scenario.name == "auth/enterprise-managed-authorization")
    auth.grant = AuthOptions::Grant::enterprise;
  if (scenario.name == "auth/wif-jwt-bearer") auth.grant = AuthOptions::Grant::workload;
  auth.authorize = [executor](std::string url) -> Async<std::string> {
    HttpClient browser(executor, {});
    HttpRequest request;
    request.url = parse_url(url).value();
    const auto answer = co_await browser.begin(std::move(request));
    const std::string* location = find_header(answer->head().headers, "Location");
    co_return location != nullptr ? *location : "";
  };
  return auth;
}

ServerConfig config_of(const Scenario& scenario, const std::string& url) {
  ServerConfig config;
  config.name = "suite";
  config.url = url;
  config.transport = TransportKind::http;
  config.start_timeout = std::chrono::seconds(20);
  config.call_timeout = std::chrono::seconds(20);
  config.stop_grace = std::chrono::seconds(1);
  config.listen = false;
  config.era = scenario.version >= "2026" ? Era::modern : Era::legacy;
  if (config.era == Era::legacy && !scenario.version.empty())
    config.legacy_version = scenario.version;
  return config;
}

int run(const std::string& url) {
  Scenario scenario;
  scenario.name = variable("MCP_CONFORMANCE_SCENARIO");
  scenario.version = variable("MCP_CONFORMANCE_PROTOCOL_VERSION", "2025-11-25");
  const std::string context_text = variable("MCP_CONFORMANCE_CONTEXT", "{}");
  scenario.context = parse_json(context_text).value();
  Log log(std::cerr, LogLevel::debug);
  boost::asio::io_context context(1);
  const AuthOptions auth = auth_of(scenario, context.get_executor());
  const bool authorized = scenario.name.rfind("auth/", 0) == 0;
  const auto client = make_client(config_of(scenario, url), context.get_executor(), log,
                                  hooks_of(scenario), authorized ? &auth : nullptr);
  const auto found = acts().find(scenario.name);
  const Act act = found != acts().end() ? found->second : Act(authorized_call);
  std::string problem;
  const auto root = [&]() -> Async<> {
    try {
      co_await client->start();
      co_await act(*client, scenario);
    } catch (const ErrorException& e) {
      problem = e.error().message;
    }
    co_await client->stop();
  };
  run_root(context, root());
  if (problem.empty()) return 0;
  std::cerr << "failed: " << problem << "\n";
  return 1;
}

}  // namespace
}  // namespace swarm::mcp

int main(int count, char** arguments) {
  if (count < 2) {
    std::cerr << "usage: mcp_conformance_client URL\n";
    return 2;
  }
  try {
    return swarm::mcp::run(arguments[count - 1]);
  } catch (const std::exception& e) {
    std::cerr << "failed: " << e.what() << "\n";
    return 1;
  }
}
