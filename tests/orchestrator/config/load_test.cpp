#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "orchestrator/config/expression.h"
#include "orchestrator/config/load.h"
#include "orchestrator/config/schema.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::config;

namespace {

const std::string kBase = R"(
schema: swarm/v1
name: desk
inputs:
  task: {required: true}
  tau: {type: number, default: 0.5}
  rounds: {type: integer, default: 4}
models:
  fake: {provider: scripted, script: replies.json, sampling: {temperature: 0.5, top_k: 7}}
agents:
  Clerk: {instructions: "Look up.", tools: [calculator], sampling: {top_k: 3}}
  Solver: {instructions: "Solve."}
topologies:
  desk:
    members: [Clerk, Solver]
    manager: {instructions: "Decide.", goals: [a, b]}
    rounds: {max: "${inputs.rounds}"}
    match: {tau: "${inputs.tau}", k_in: 2}
    answer: [Solver]
)";

Loaded load(const std::string& text, LoadOptions options = {}) {
  options.inputs.emplace("task", "price it");
  return load_text(text, "swarm.yaml", "conf", options);
}

Config good(const std::string& text, LoadOptions options = {}) {
  Loaded loaded = load(text, std::move(options));
  REQUIRE_MESSAGE(loaded.config.has_value(), loaded.report());
  return std::move(*loaded.config);
}

bool refuses(const std::string& text, const std::string& part, const LoadOptions& options = {}) {
  const Loaded loaded = load(text, options);
  const bool found = !loaded.config && loaded.report().find(part) != std::string::npos;
  if (!found) MESSAGE(loaded.report());
  return found;
}

}  // namespace

TEST_CASE("config: a topology alone becomes one task that reads inputs.task") {
  const Config config = good(kBase);
  CHECK(config.name == "desk");
  REQUIRE(config.tasks.size() == 1);
  CHECK(config.tasks[0].kind == TaskEntry::Kind::topology);
  CHECK(config.tasks[0].target == "desk");
  CHECK(config.tasks[0].in == "${inputs.task}");
  const TopologyEntry& desk = config.topologies[0];
  CHECK(desk.rounds_max == 4);
  CHECK(desk.options.match.tau == 0.5);
  CHECK(desk.options.match.k_in == 2);
  CHECK(desk.options.agents == 2);
  CHECK(desk.manager->goals == std::vector<std::string>{"a", "b"});
  CHECK(desk.manager->config.name == "Manager");
  CHECK(desk.answer == std::vector<std::string>{"Solver"});
  CHECK(desk.first_goal == "task");
}

TEST_CASE("config: sampling of an agent overrides the model's key by key") {
  const Config config = good(kBase);
  CHECK(config.agent("Clerk")->config.sampling.top_k == 3);
  CHECK(config.agent("Clerk")->config.sampling.temperature == 0.5);
  CHECK(config.agent("Solver")->config.sampling.top_k == 7);
}

TEST_CASE("config: defaults come from the table") {
  const Config config = good(kBase);
  CHECK(config.agent("Clerk")->config.max_turns == 8);
  CHECK(config.agent("Clerk")->config.max_tokens == 1024);
  CHECK(!config.agent("Clerk")->timeout);
  CHECK(config.journal_dir == ".swarm/runs");
  CHECK(config.sync == Sync::async);
  CHECK(config.models[0].script == "conf/replies.json");  // relative to the file
}

TEST_CASE("config: inputs are typed and required ones are asked for") {
  CHECK(good(kBase, {.inputs = {{"rounds", "9"}}}).topologies[0].rounds_max == 9);
  CHECK(refuses(kBase, "rounds: expected integer, found \"many\"",
                {.inputs = {{"rounds", "many"}}}));
  CHECK(refuses(kBase, "unknown input \"tsk\"; did you mean \"task\"?",
                {.inputs = {{"tsk", "x"}}}));
  const Loaded missing = load_text(kBase, "swarm.yaml", "", {});
  CHECK(!missing.config);
  CHECK(missing.report().find("required input is missing; say --in task=") != std::string::npos);
  CHECK(load_text(kBase, "swarm.yaml", "", {.need_inputs = false}).config.has_value());
}

TEST_CASE("config: text that is not UTF-8 is refused with its place") {
  // The first line is fine; a continuation byte stands alone in the second.
  CHECK(refuses("schema: swarm/v1\nname: d\xc3\xa9sk \x80\n",
                "swarm.yaml:2:13: error: expected UTF-8 text, found the byte 0x80\n"
                "    2 | name: d\xc3\xa9sk \xef\xbf\xbd\n"));
  CHECK(refuses("name: \"\xed\xa0\x80\"\n", "swarm.yaml:1:8: error: expected UTF-8"));  // surrogate
  CHECK(refuses("\xff\xfe", "swarm.yaml:1:1: error: expected UTF-8 text, found the byte 0xff"));
  const Loaded input = load_text(kBase, "swarm.yaml", "", {.inputs = {{"task", "caf\xe9"}}});
  CHECK(!input.config);
  CHECK(input.kind() == ErrorKind::invalid_input);
  CHECK(input.report().find("--in: error: task: expected UTF-8 text, found the byte 0xe9 at "
                            "position 4") != std::string::npos);
  CHECK(refuses(kBase, "--set: error: \"name=\xef\xbf\xbd\": expected UTF-8",
                {.sets = {"name=\xff"}}));
  ::setenv("SWARM_TEST_LATIN1", "caf\xe9", 1);
  CHECK(refuses(kBase, "environment variable \"SWARM_TEST_LATIN1\" is not UTF-8 text",
                {.sets = {"description=${env.SWARM_TEST_LATIN1}"}}));
  const test::TempDir dir;
  test::write_file(dir.path() / "role.md", "one\ntwo \xe9\n");
  const std::string text = "schema: swarm/v1\nname: !file role.md\n";
  CHECK(load_text(text, "swarm.yaml", dir.path().string(), {}).report().find(
            "role.md:2:5: error: expected UTF-8 text, found the byte 0xe9") != std::string::npos);
}

TEST_CASE("config: --set overrides before validation, with YAML values and new keys") {
  const Config config = good(kBase, {.sets = {"topologies.desk.match.tau=1.1",
                                              "topologies.desk.members=[Solver]",
                                              "topologies.desk.on_isolated=best",
                                              "limits.wall=5m"}});
  CHECK(config.topologies[0].options.match.tau == 1.1);
  CHECK(config.topologies[0].members == std::vector<std::string>{"Solver"});
  CHECK(config.topologies[0].options.match.on_isolated == topology::OnIsolated::best);
  CHECK(config.limits.wall == Milliseconds(300000));
  CHECK(refuses(kBase, "topologies.desk.match.tau: expected a number",
                {.sets = {"topologies.desk.match.tau=x"}}));
  CHECK(refuses(kBase, "there is no place \"x\"", {.sets = {"schema.x=1"}}));
  CHECK(refuses(kBase, "expected PATH=VALUE", {.sets = {"nothing"}}));
}

TEST_CASE("config: a lone expression keeps its type, a mixed one is text, $${ is literal") {
  const auto lookup = [](const Reference& reference) -> Result<Json> {
    const Json value{{"n", 3}, {"list", {1, {{"k", "v"}}}}, {"text", "hi"}};
    return walk(value, reference, 0);
  };
  const auto value = [&](const char* text) {
    const Result<Json> result = evaluate_all(Json(text), lookup);
    REQUIRE(result.has_value());
    return *result;
  };
  CHECK(value("${n}") == Json(3));
  CHECK(value("n=${n}") == "n=3");
  CHECK(value("${list[1].k}") == "v");
  CHECK(value("a ${list} b") == "a [1,{\"k\":\"v\"}] b");
  CHECK(value("$${n} ${text}") == "${n} hi");
  CHECK(value("no dollar {}$") == "no dollar {}$");
  CHECK(evaluate_all(Json("${list[7]}"), lookup).has_error());
  for (const char* bad : {"${}", "${a b}", "${a.}", "${a[}", "${a[x]}", "${a", "${.a}", "${1}"})
    CHECK(parse_template(bad).has_error());
}

TEST_CASE("config: environment variables and program folders can be referred to") {
  REQUIRE(setenv("SWARM_TEST_VALUE", "from the environment", 1) == 0);
  const std::string text = kBase + "description: \"${env.SWARM_TEST_VALUE} at ${swarm.bin_dir}\"\n";
  CHECK(good(text, {.bin_dir = "/opt/x"}).description == "from the environment at /opt/x");
  const Loaded missing = load(kBase + "description: \"${env.SWARM_TEST_MISSING}\"\n");
  CHECK(!missing.config);
  CHECK(missing.kind() == ErrorKind::environment);
}

TEST_CASE("config: !file reads text, and content where the name says so") {
  const test::TempDir dir;
  test::write_file(dir.path() / "role.md", "You are a clerk.\nBe brief.\n");
  test::write_file(dir.path() / "servers.json",
                   R"({"mcpServers": {"shop": {"command": "price-list", "args": ["--x", "1"],
                       "env": {"A": "b"}}}})");
  test::write_file(dir.path() / "swarm.yaml",
                   kBase + "mcp: !file servers.json\ndescription: !file role.md\n");
  const Loaded loaded =
      load_file((dir.path() / "swarm.yaml").string(), {.inputs = {{"task", "x"}}});
  REQUIRE_MESSAGE(loaded.config.has_value(), loaded.report());
  CHECK(loaded.config->description == "You are a clerk.\nBe brief.\n");
  REQUIRE(loaded.config->servers.size() == 1);
  CHECK(loaded.config->servers[0].command ==
        std::vector<std::string>{"price-list", "--x", "1"});
  CHECK(loaded.config->servers[0].env.at("A") == "b");
  CHECK(refuses(kBase + "description: !file /nonexistent.md\n", "cannot read file"));
  CHECK(refuses(kBase + "description: !include x\n", "expected the tag !file"));
}

TEST_CASE("config: mcpServers is accepted beside the native form; programs with a slash move") {
  const Config config = good(kBase + R"(
mcp:
  a: {command: [./bin/a, "${inputs.task}"], call_timeout: 5s}
  b: {command: [b]}
mcpServers:
  c: {command: /usr/bin/c}
)");
  REQUIRE(config.servers.size() == 3);
  CHECK(config.servers[0].command == std::vector<std::string>{"conf/bin/a", "price it"});
  CHECK(config.servers[0].call_timeout == Milliseconds(5000));
  CHECK(config.servers[1].command == std::vector<std::string>{"b"});
  CHECK(config.servers[2].command == std::vector<std::string>{"/usr/bin/c"});
}

TEST_CASE("config: MCP servers behind a URL, and what does not go together") {
  const Config config = good(kBase + R"(
mcp:
  web:
    url: "https://example.test/mcp"
    headers: {X-Team: blue}
    transport: http
    protocol: legacy
    max_concurrent: 4
    idle_timeout: 2s
    call_timeout_max: 5m
    tool_limits:
      - {tool: build_*, call_timeout: 2m, call_timeout_max: 1h}
      - {tool: "ping", idle_timeout: 0s}
mcpServers:
  old: {url: "http://127.0.0.1:9/sse", type: sse}
  off: {command: nothing, disabled: true}
)");
  REQUIRE(config.servers.size() == 2);
  const mcp::ServerConfig& web = config.servers[0];
  CHECK(web.url == "https://example.test/mcp");
  REQUIRE(web.headers.size() == 1);
  CHECK(web.headers[0].second == "blue");
  CHECK(web.transport == mcp::TransportKind::http);
  CHECK(web.era == mcp::Era::legacy);
  CHECK(web.calls_max == 4);
  CHECK(web.idle_timeout == Milliseconds(2000));
  CHECK(web.call_timeout_max == std::chrono::minutes(5));
  REQUIRE(web.tool_limits.size() == 2);
  CHECK(web.tool_limits[0].tool == "build_*");
  CHECK(web.tool_limits[0].call_timeout == std::chrono::minutes(2));
  CHECK(web.tool_limits[0].call_timeout_max == std::chrono::hours(1));
  CHECK_FALSE(web.tool_limits[0].idle_timeout.has_value());
  CHECK(web.tool_limits[1].idle_timeout == Milliseconds(0));
  CHECK_FALSE(web.lazy);
  CHECK(web.list_cache.empty());
  CHECK(config.servers[1].transport == mcp::TransportKind::sse);
  CHECK(refuses(kBase + "mcp: {a: {command: [x], tool_limits: [{call_timeout: 1s}]}}\n",
                "tool"));
  const Config lazy = good(kBase + "mcp: {a: {command: [x], start: lazy, idle_stop: 5m}}\n");
  CHECK(lazy.servers[0].lazy);
  CHECK(lazy.servers[0].list_cache == ".swarm/mcp");
  CHECK(lazy.servers[0].idle_stop == std::chrono::minutes(5));
  CHECK(refuses(kBase + "mcp: {a: {}}\n", "one of the keys \"command\" and \"url\" is missing"));
  CHECK(refuses(kBase + "mcp: {a: {command: [x], url: \"http://h/\"}}\n", "found both"));
  CHECK(refuses(kBase + "mcp: {a: {command: [x], headers: {a: b}}}\n", "belongs to url"));
  CHECK(refuses(kBase + "mcp: {a: {url: \"http://h/\", env: {a: b}}}\n", "belongs to command"));
  CHECK(refuses(kBase + "mcp: {a: {url: \"ftp://h/\"}}\n", "expected http:// or https://"));
  CHECK(good(kBase + "tools: {edit_file: {root: x, disk: 2MiB}}\n").tools[0].program
            .disk_bytes_max == 2 << 20);
  CHECK(good(kBase + "tools: {write_file: {root: x}}\n").tools[0].program.disk_bytes_max ==
        1 << 30);
  CHECK(refuses(kBase + "tools: {read_file: {root: x, disk: 2MiB}}\n",
                "belongs to tools that write"));
}

TEST_CASE("config: anchors work, bombs and depth do not") {
  const Config config = good(kBase + "limits: &o {wall: 9s}\njournal: {dir: x}\n" +
                             "mcp: {a: {command: &c [x, y]}, b: {command: *c}}\n");
  CHECK(config.servers[1].command == std::vector<std::string>{"x", "y"});
  std::string bomb = "x0: &x0 [1,1,1,1,1,1,1,1]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string last = "*x" + std::to_string(i - 1);
    bomb += "x" + std::to_string(i) + ": &x" + std::to_string(i) + " [";
    for (int k = 0; k < 8; ++k) bomb += last + ",";
    bomb += last + "]\n";
  }
  CHECK(refuses(bomb, "expected at most 200000 values"));
  CHECK(refuses(std::string(100, '['), "error"));
}

TEST_CASE("config: the resolved document is written as YAML that loads to the same values") {
  const Config config = good(kBase);
  const std::string yaml = to_yaml(config.document);
  const Loaded again = load_text(yaml, "resolved.yaml", "conf", {.inputs = {{"task", "price it"}}});
  REQUIRE_MESSAGE(again.config.has_value(), again.report());
  CHECK(again.config->document == config.document);
}

TEST_CASE("config: the record never holds the value of an environment variable") {
  REQUIRE(setenv("SWARM_TEST_SECRET", "s3cr3t-value", 1) == 0);
  const std::string text = kBase + R"(
description: "costs $${price}"
mcp:
  shop:
    command: [shop, "--key=${env.SWARM_TEST_SECRET}"]
    env: {TOKEN: "${env.SWARM_TEST_SECRET}"}
)";
  const Config config = good(text);
  CHECK(config.servers[0].env.at("TOKEN") == "s3cr3t-value");
  CHECK(config.servers[0].command[1] == "--key=s3cr3t-value");
  CHECK(config.description == "costs ${price}");
  const std::string yaml = to_yaml(config.document);
  CHECK(yaml.find("s3cr3t") == std::string::npos);
  const Config again = good(yaml);
  CHECK(again.servers[0].env == config.servers[0].env);
  CHECK(again.servers[0].command == config.servers[0].command);
  CHECK(again.description == config.description);
}

TEST_CASE("config: an input that reads the environment stays a reference in the record") {
  REQUIRE(setenv("SWARM_TEST_SECRET", "s3cr3t-value", 1) == 0);
  std::string text = kBase;
  text.replace(text.find("  tau:"), 0, "  token: {default: \"Bearer ${env.SWARM_TEST_SECRET}\"}\n");
  text += "description: \"with ${inputs.token}\"\n";
  const Config config = good(text);
  CHECK(config.inputs["token"] == "Bearer s3cr3t-value");
  CHECK(config.description == "with Bearer s3cr3t-value");
  CHECK(config.recorded_inputs["token"] == "Bearer ${env.SWARM_TEST_SECRET}");
  CHECK(config.recorded_inputs["task"] == "price it");
  CHECK(to_yaml(config.document).find("s3cr3t") == std::string::npos);
  CHECK(good(to_yaml(config.document)).description == config.description);
  // What somebody typed is no secret of the environment.
  CHECK(good(text, {.inputs = {{"token", "typed"}}}).recorded_inputs["token"] == "typed");
}

TEST_CASE("config: what a running swarm cannot read is refused before it starts") {
  const std::string graph = "graph: {g: {topology: desk, in: \"";
  CHECK(refuses(kBase + graph + "${env.HOME}\"}}\n", "${env.HOME} cannot be read while"));
  CHECK(refuses(kBase + graph + "${swarm.bin_dir}\"}}\n", "cannot be read while"));
  CHECK(refuses(kBase + "outputs: {o: \"${env.HOME}\"}\n", "cannot be read while"));
  CHECK(good(kBase + graph + "${inputs.task}\"}}\n").tasks.size() == 1);
}

TEST_CASE("config: an agent cannot be called what memories call their owner") {
  CHECK(refuses("schema: swarm/v1\nagents: {me: {}}\n", "the name \"me\" is taken"));
}

TEST_CASE("config: plain scalars follow the core schema") {
  CHECK(plain_scalar("~").is_null());
  CHECK(plain_scalar("true") == true);
  CHECK(plain_scalar("no") == "no");  // text, not false
  CHECK(plain_scalar("+12") == 12);
  CHECK(plain_scalar("1e3") == 1000.0);
  CHECK(plain_scalar("inf") == "inf");
  CHECK(plain_scalar("1.2.3") == "1.2.3");
}

TEST_CASE("config: --set reaches what is there and makes sections, never names") {
  const auto with = [](const std::string& set) {
    LoadOptions options;
    options.sets = {set};
    return options;
  };
  CHECK(refuses(kBase, "agents has no \"Solvr\"; did you mean \"Solver\"?",
                with("agents.Solvr.instructions=x")));
  CHECK(refuses(kBase, "topologies has no \"dsk\"; did you mean \"desk\"?",
                with("topologies.dsk.match.tau=0.1")));
  CHECK(refuses(kBase, "graph has no \"one\"; the file declares none", with("graph.one.agent=x")));
  CHECK(refuses(kBase, "models has no \"other\"; declared are fake",
                with("models.other={provider: scripted, script: x}")));
  CHECK(refuses(kBase, "topologies.desk.match.tauu: unknown key; did you mean \"tau\"?",
                with("topologies.desk.match.tauu=0.1")));
  CHECK(refuses(kBase, "there is no place \"9\"", with("topologies.desk.members.9=x")));
  CHECK(good(kBase, with("limits.tokens=7")).limits.tokens == 7);
  const Config sampled = good(kBase, with("agents.Solver.sampling.top_k=9"));
  CHECK(sampled.agent("Solver")->config.sampling.top_k == 9);
}

TEST_CASE("config: NUL in a text, a key or a file is refused where it stands") {
  CHECK(refuses(kBase + "description: \"a\\0b\"\n",
                "swarm.yaml:20:14: error: expected text without the NUL character, found "
                "\"a\\u0000b\""));
  CHECK(refuses(kBase + "\"na\\0me\": x\n", "expected a key without the NUL character"));
  CHECK(refuses(kBase + std::string("description: a\0b\n", 17),
                "swarm.yaml:20:15: error: expected text, found the byte 0x00"));
}

TEST_CASE("config: inputs that nothing reads and agents that no task runs are found, no others") {
  const auto unused = [](const std::string& text, LoadOptions options = {}) {
    const Loaded loaded = load(text, std::move(options));
    REQUIRE_MESSAGE(loaded.config.has_value(), loaded.report());
    std::string out;
    for (const Unused& one : loaded.unused) out += one.message() + "\n";
    return out;
  };
  CHECK(unused(kBase).empty());        // task: the work of a file without a graph
  std::string text = kBase;
  text.replace(text.find("  tau: {type"), 2, "  spare: {default: x}\n  ");
  text.replace(text.find("  Clerk: {instr"), 2, "  Idle: {}\n  ");
  text += "graph:\n  t: {topology: desk, in: now}\n";
  CHECK(unused(text) ==
        "inputs.task: nothing reads it\ninputs.spare: nothing reads it\n"
        "agents.Idle: no task uses it\n");
  // In other words: inside a text, a value of the run, a part of a path, an override.
  for (const std::string& more :
       {std::string("description: \"about ${inputs.spare}, ${inputs.task}\"\n"),
        std::string("outputs: {all: [{deep: \"${inputs.task}\"}, \"${inputs.spare}\"]}\n"),
        std::string("mcp: {m: {command: [\"./${inputs.task}/server\"], disabled: true,\n"
                    "          env: {A: \"${inputs.spare}\"}}}\n")}) {
    CAPTURE(more);
    CHECK(unused(text + more) == "agents.Idle: no task uses it\n");
  }
  CHECK(unused(text, {.sets = {"graph.t.in=${inputs.task} ${inputs.spare}"}}) ==
        "agents.Idle: no task uses it\n");
  CHECK(unused(text, {.inputs = {{"spare", "given"}}}).find("inputs.spare") != std::string::npos);
  // What only looks like it: escaped, or inside a schema, which is taken as it is.
  CHECK(unused(text + "description: \"$${inputs.spare}\"\n").find("inputs.spare") !=
        std::string::npos);
  text.replace(text.find("Idle: {}"), 8,
               "Idle: {output: {const: \"${inputs.spare}\"}}");
  CHECK(unused(text).find("inputs.spare") != std::string::npos);
}

TEST_CASE("config: what is unused is shown where it was declared") {
  std::string text = kBase;
  text.replace(text.find("  tau: {type"), 2, "  spare: {default: x}\n  ");
  CHECK(load(text).unused_report() ==
        "swarm.yaml:6:3: warning: inputs.spare: nothing reads it\n"
        "    6 |   spare: {default: x}\n      |   ^~~~~\n");
}

TEST_CASE("config: both ends of every range of an engine key are values that the engine takes") {
  int ends = 0;
  for (const ListedKey& listed : list_keys()) {
    const Type& type = listed.key->type;
    if (!listed.path.starts_with("engine.") || type.kind != Type::Kind::integer) continue;
    for (const double end : {type.min, type.max}) {
      const std::string value = std::to_string(static_cast<int64_t>(end));
      CAPTURE(listed.path + ": " + value);
      const Config config =
          good("schema: swarm/v1\nmodels: {m: {provider: engine, weights: m.gguf}}\n"
               "inputs: {task: {}}\nagents: {A: {}}\ngraph: {a: {agent: A, in: x}}\n"
               "engine: {" + listed.path.substr(7) + ": " + value + "}\n");
      const auto valid = config.models[0].engine.validate();
      CHECK_MESSAGE(valid.has_value(), (valid ? "" : valid.error().message));
      ++ends;
    }
  }
  CHECK(ends >= 12);
}
