// The keys of a swarm file. Everything a user may write is in this table and nowhere else.
#include "orchestrator/config/schema.h"
#include "orchestrator/topology/encoder.h"
#include "orchestrator/topology/topology.h"

namespace swarm::config {
namespace {

using Kind = Type::Kind;

Type text() { return {.kind = Kind::text}; }
Type boolean() { return {.kind = Kind::boolean}; }
Type duration() { return {.kind = Kind::duration}; }
Type anything() { return {.kind = Kind::json}; }
Type integer(double min, double max) { return {.kind = Kind::integer, .min = min, .max = max}; }
Type number(double min, double max) { return {.kind = Kind::number, .min = min, .max = max}; }
Type above(double min, double max) {
  return {.kind = Kind::number, .min = min, .max = max, .above_min = true};
}
Type choice(std::vector<std::string> choices) {
  return {.kind = Kind::choice, .choices = std::move(choices)};
}
Type list(Type element, size_t items_min = 0) {
  return {.kind = Kind::list, .element = {std::move(element)}, .items_min = items_min};
}
Type map(Type element, size_t items_min = 0) {
  return {.kind = Kind::map, .element = {std::move(element)}, .items_min = items_min};
}
Type object(std::vector<Key> keys, std::vector<std::pair<std::string, std::string>> refused = {}) {
  return {.kind = Kind::object, .refused = std::move(refused), .keys = std::move(keys)};
}

Key required(std::string name, Type type, std::string doc) {
  return {.name = std::move(name), .type = std::move(type), .doc = std::move(doc),
          .required = true};
}
Key optional(std::string name, Type type, std::string doc, Json fallback = nullptr) {
  return {.name = std::move(name), .type = std::move(type), .doc = std::move(doc),
          .fallback = std::move(fallback)};
}
Key runtime(std::string name, Type type, std::string doc) {
  return {.name = std::move(name), .type = std::move(type), .doc = std::move(doc), .runtime = true};
}

const std::string kNotYet = "not supported by this version";

Type input_type() {
  return object({
      optional("type", choice({"string", "integer", "number", "boolean"}), "type of the value",
               "string"),
      optional("required", boolean(), "the run does not start without it", false),
      optional("default", {.kind = Kind::scalar}, "value when none is given"),
      optional("description", text(), "for people"),
  });
}

Type sampling_type() {
  return object({
      optional("temperature", number(0, 10), "0 = greedy"),
      optional("top_k", integer(0, 1e6), "0 = off"),
      optional("top_p", above(0, 1), "1 = off"),
      optional("min_p", number(0, 1), "0 = off"),
      optional("presence_penalty", number(-10, 10), "subtracted once per token seen"),
      optional("frequency_penalty", number(-10, 10), "subtracted per occurrence"),
      optional("repeat_penalty", number(0.01, 10), "divides positive logits of seen tokens"),
  }, {{"seed", "a run has one seed: say swarm run --seed N"}});
}

Type model_type() {
  Type provider = choice({"engine", "scripted"});
  provider.refused = {{"openai", kNotYet}};
  return object(
      {
          required("provider", provider, "engine: in this process; scripted: replies from a file"),
          optional("weights", text(), "engine: GGUF file or synth:PRESET[:TYPE[:LAYERS]]"),
          optional("context", integer(0, 1 << 24), "engine: tokens; 0 = the model's own", 0),
          optional("thinking", boolean(), "engine: reasoning before the answer; unset = the "
                                          "template's default"),
          optional("sampling", sampling_type(), "defaults of every agent on this model"),
          optional("script", text(), "scripted: JSON file with the replies"),
      },
      {{"base_url", kNotYet}, {"api_key", kNotYet}, {"reasoning", "say thinking: true or false"}});
}

Type engine_type() {
  Type kv_memory{.kind = Kind::bytes, .choices = {"auto"}};
  const Type kv_type = choice({"f32", "f16", "bf16", "q8_0", "q4_0"});
  return object(
      {
          optional("device", text(), "auto, cpu or cuda:N; auto is cuda:0 where there is one",
                   "auto"),
          optional("isa", choice({"auto", "reference", "avx2", "avx512"}),
                   "CPU instruction set, forced for bisecting", "auto"),
          optional("kernels", choice({"auto", "portable"}),
                   "on a device: portable = our own kernels alone, forced for bisecting", "auto"),
          optional("deterministic", boolean(),
                   "on a device: greedy tokens do not depend on the batch; slower", false),
          optional("kv_memory", kv_memory, "bytes for the KV cache", "auto"),
          optional("k_type", kv_type, "type of cached keys", "f16"),
          optional("v_type", kv_type, "type of cached values", "f16"),
          optional("page_tokens", integer(1, 256), "tokens per KV page", 16),
          optional("max_running", integer(1, 4096), "sequences decoded together; unset = 16, or "
                                                    "max_resident if that is less"),
          optional("max_resident", integer(1, 65536), "contexts kept in KV; unset = 64, or "
                                                      "max_running if that is more"),
          optional("prefill_batch_tokens", integer(1, 1 << 16), "most tokens in one step", 512),
          optional("queue_depth_max", integer(1, 1 << 20), "waiting requests; more are refused",
                   1024),
          optional("threads", integer(0, 1024), "CPU threads; 0 = one per core", 0),
      },
      {{"kv_hints", kNotYet}});
}

Type mcp_auth_type() {
  return object({
      optional("grant", choice({"code", "client_credentials", "workload", "enterprise"}),
               "code: a person allows it in a browser", "code"),
      optional("client_id", text(), "registered beforehand"),
      optional("client_secret", text(), "of client_id; write ${env.NAME}"),
      optional("client_metadata_url", text(), "https document that is our client id"),
      optional("private_key", text(), "PEM; client_credentials signs with it instead of a secret"),
      optional("algorithm", choice({"ES256", "RS256"}), "of private_key", "ES256"),
      optional("assertion", text(), "workload: the JWT of the platform"),
      optional("idp_client_id", text(), "enterprise: who we are at the identity provider"),
      optional("idp_id_token", text(), "enterprise: the identity token"),
      optional("idp_token_endpoint", text(), "enterprise: where it is exchanged"),
      optional("redirect_uri", text(), "code: on this machine; unset = a random port"),
      optional("store", text(), "file of tokens, mode 0600; unset = in memory only"),
      optional("private_addresses", boolean(), "metadata may live in private networks", false),
  });
}

Type tool_limits_type() {
  return object({
      required("tool", text(), "its name at the server; may end in *"),
      optional("call_timeout", duration(), "unset = the server's, as all of these"),
      optional("call_timeout_max", duration(), "in all, however much progress it shows"),
      optional("idle_timeout", duration(), "without progress"),
  });
}

Type log_levels() {
  return choice({"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"});
}

Type mcp_sampling_type() {
  return object({
      optional("model", text(), "a name of models; unset = the only one"),
      optional("calls_max", integer(1, 1 << 20),
               "requests of the server in a run; more are refused", 20),
      optional("tokens_max", integer(1, 1 << 20), "of one answer, whatever the server asks for",
               1024),
  });
}

Type mcp_type() {
  return object(
      {
          optional("command", list(text(), 1), "program and arguments, no shell; or url"),
          optional("env", map(text()), "added to the environment of the server"),
          optional("cwd", text(), "working directory; unset = ours"),
          optional("url", text(), "http:// or https://; or command"),
          optional("headers", map(text()), "sent to that URL, and nowhere else"),
          optional("transport", choice({"auto", "stdio", "http", "sse"}),
                   "auto: by command or url; http is tried before sse", "auto"),
          optional("protocol", choice({"auto", "modern", "legacy"}),
                   "modern: 2026-07-28; legacy: initialize; auto: the first, then the second",
                   "auto"),
          optional("start", choice({"eager", "lazy"}),
                   "lazy: with the first call, when its tools are known from an earlier run; else "
                   "with the run", "eager"),
          optional("list_cache", text(), "lazy: folder of the known tools; relative to the working "
                                         "directory", ".swarm/mcp"),
          optional("idle_stop", duration(),
                   "unused for so long it is stopped until the next call; 0s = never", "0s"),
          optional("start_timeout", duration(), "until it must be ready", "30s"),
          optional("call_timeout", duration(), "one tool call", "60s"),
          optional("call_timeout_max", duration(),
                   "when longer, each sign of progress starts call_timeout anew, up to this in "
                   "all; unset = call_timeout"),
          optional("idle_timeout", duration(), "a call without progress; 0s = no such limit",
                   "0s"),
          optional("tool_limits", list(tool_limits_type()),
                   "other times for some tools; the first entry that fits", Json::array()),
          optional("max_concurrent", integer(1, 1024), "calls in flight; more wait in order", 16),
          optional("restarts_max", integer(0, 100), "in a row, of a program that ended", 3),
          optional("ca_file", text(), "additional certificate authorities, PEM"),
          optional("record", text(), "file to write the session to, secrets taken out"),
          optional("replay", text(), "file of record: nothing is started or reached, what was "
                                     "recorded happens again; not together with record"),
          optional("required", boolean(),
                   "no run without it; false: a run goes on without its tools; unset = whether a "
                   "task of the graph calls one of them"),
          optional("wait", duration(),
                   "how long the first turn waits for it when it is not required; later its tools "
                   "join between turns",
                   "5s"),
          optional("instance", choice({"shared", "per_agent"}),
                   "per_agent: it keeps state, so each agent has its own process, or HTTP session, "
                   "from its first call on; max_concurrent is of each then",
                   "shared"),
          optional("disabled", boolean(), "never started", false),
          optional("include_tools", list(text()), "only these; exact, or ending in *"),
          optional("exclude_tools", list(text()), "not these; wins over include_tools"),
          optional("approved_tools", list(text()),
                   "calls that need no consent, where no rule of policy says otherwise; names with "
                   "* and ?"),
          optional("auth", mcp_auth_type(), "OAuth, for a url that demands it"),
          optional("sampling", mcp_sampling_type(), "the server may ask a model for text; unset = "
                                                    "it may not"),
          optional("elicitation", choice({"auto", "decline", "off"}),
                   "auto: the person at the terminal answers its questions, within the time of the "
                   "call; where there is none they are not offered; decline: each is declined",
                   "auto"),
          optional("roots", list(text()), "folders the server is told to work in"),
          optional("log_level", log_levels(),
                   "what the server is asked to log, into our log; unset = as it likes, which is "
                   "nothing in 2026-07-28"),
          optional("pin", choice({"off", "names", "surface"}),
                   "refuse to run when the server's tools are not those of the first run: their "
                   "names, or also descriptions and parameters",
                   "off"),
      },
      {{"timeout", "say call_timeout"}});
}

// The form of Qwen-Agent and of desktop clients.
Type mcp_servers_type() {
  return map(object(
      {
          optional("command", text(), "program; or url"),
          optional("args", list(text()), "arguments", Json::array()),
          optional("env", map(text()), "added to the environment of the server"),
          optional("cwd", text(), "working directory; unset = ours"),
          optional("url", text(), "http:// or https://; or command"),
          optional("headers", map(text()), "sent to that URL, and nowhere else"),
          optional("type", choice({"stdio", "http", "streamable-http", "streamableHttp",
                                   "streamable_http", "sse"}),
                   "unset = by command or url"),
          optional("disabled", boolean(), "never started", false),
          optional("required", boolean(), "as in mcp.NAME"),
          optional("includeTools", list(text()), "only these; exact, or ending in *"),
          optional("excludeTools", list(text()), "not these; wins over includeTools"),
          optional("disabledTools", list(text()), "the same"),
          optional("autoApprove", list(text()), "approved_tools of mcp.NAME"),
          optional("alwaysAllow", list(text()), "the same"),
      },
      {{"oauth", "say mcp.NAME.auth"}, {"timeout", "say mcp.NAME.call_timeout"},
       {"trust", "say autoApprove: [\"*\"]"}, {"enabled", "say disabled"}}));
}

Type tool_type() {
  const Type size{.kind = Kind::bytes};
  return object(
      {
          optional("script", list(text(), 1),
                   "a tool of your own: program and arguments, no shell; the call's arguments come "
                   "as JSON on stdin, stdout is the result"),
          optional("description", text(), "script: what the model reads about it", ""),
          optional("parameters", anything(), "script: JSON Schema of its arguments"),
          optional("effect", choice({"read", "idempotent", "once"}),
                   "script: what a call does to the world", "once"),
          optional("root", text(), "the directory it works in; file tools see nothing else"),
          optional("writable", boolean(), "programs: whether they may change root", true),
          optional("sandbox", choice({"on", "off"}),
                   "programs: off runs them with your own rights", "on"),
          optional("network", boolean(), "programs: whether they have one", false),
          optional("env", map(text()), "programs: their environment, besides PATH HOME LANG"),
          optional("timeout", duration(), "programs: one call", "30s"),
          optional("memory", size, "programs: of all processes of a call", "1GiB"),
          optional("file_size", size, "programs: of one file they write", "64MiB"),
          optional("disk", size,
                   "programs, write_file, edit_file: by which root may grow in one run; the two "
                   "file tools count together where their root is the same",
                   "1GiB"),
          optional("output_size", size,
                   "programs: kept of stdout and of stderr, the middle is left out", "256KiB"),
          optional("processes", integer(1, 4096), "programs: at once in one call", 64),
          optional("max_concurrent", integer(0, 1024),
                   "calls in flight; more wait in order; 0 = no limit", 0),
          optional("private_addresses", boolean(),
                   "http_fetch: also loopback and private networks", false),
      },
      {{"output", "say output_size"}});
}

Type policy_type() {
  return object({
      optional("deny", list(text()), "TOOL or TOOL:ARGUMENT=VALUE, with * and ?; refused first",
               Json::array()),
      optional("allow", list(text()), "the same; allowed when not denied", Json::array()),
      optional("ask", list(text()), "the same; asked on a terminal when neither", Json::array()),
      optional("unattended", choice({"deny", "allow", "fail"}),
               "what ask means where nobody can be asked", "deny"),
      optional("pins", text(), "file with the tools of pinned servers; relative to the working "
                               "directory",
               ".swarm/pins.json"),
  }, {{"permissions", "say deny, allow, ask"}});
}

Type agent_type() {
  return object(
      {
          optional("model", text(), "name of a model; unset = the only one"),
          optional("instructions", text(), "who the agent is and what it does", ""),
          optional("tools", list(text()), "names or patterns: calculator, fs/read_*, shop/*",
                   Json::array()),
          optional("max_turns", integer(1, 1000), "model turns in one pass", 8),
          optional("max_tool_calls", integer(0, 1000), "tool calls in one turn", 16),
          optional("max_tokens", integer(1, 1 << 20), "new tokens in one turn", 1024),
          optional("tool_result_bytes_max", integer(1, 1 << 24),
                   "longer results are cut, and say so", 65536),
          optional("tool_tokens_max", integer(0, 1 << 20),
                   "tokens of tool definitions, by the model's own tokenizer; beyond, tools wait "
                   "behind a search; 0 = no limit; unset = a tenth of the model's context, or "
                   "8192"),
          optional("memory_chars_max", integer(256, 1 << 26), "older routed lines leave first",
                   65536),
          optional("timeout", duration(), "one pass; unset = none"),
          optional("sampling", sampling_type(), "overrides the model's"),
          optional("thinking", boolean(), "overrides the model's"),
          optional("output", anything(), "JSON Schema of the answer; only outside topologies"),
      },
      {{"role", "say instructions"}});
}

Type topology_type() {
  Type mode = choice({"paper"});
  mode.refused = {{"two_phase", kNotYet}};
  const auto kinds = topology::kind_names();
  const auto encoders = topology::encoder_names();
  return object(
      {
          optional("kind", choice({kinds.begin(), kinds.end()}), "who talks to whom", "dytopo"),
          optional("mode", mode, "one pass per round, delivery in the next round", "paper"),
          required("members", list(text(), 1), "agents, in order; ties go to the earlier one"),
          optional("manager", object({
                       optional("name", text(), "as the prompts call it", "Manager"),
                       optional("model", text(), "name of a model; unset = the only one"),
                       optional("instructions", text(), "what it decides and when it stops", ""),
                       optional("max_tokens", integer(1, 1 << 20), "new tokens", 1024),
                       optional("timeout", duration(), "one decision; unset = none"),
                       optional("sampling", sampling_type(), "overrides the model's"),
                       optional("thinking", boolean(), "overrides the model's"),
                       optional("goals", list(text()), "closed set of next goals", Json::array()),
                       optional("statuses", list(text()), "closed set of statuses", Json::array()),
                   }),
                   "sets the goal of each round and halts; unset = all rounds are run"),
          optional("protocol", text(), "first lines of every prompt", ""),
          optional("format", choice({"json", "tags"}),
                   "how members write their fields; tags: blocks of raw text, for code", "json"),
          optional("rounds", object({optional("max", integer(1, 1000), "hard limit", 5)}, {
                       {"stop_when", kNotYet}}), "how long"),
          optional("match", object({
                       optional("encoder", choice({encoders.begin(), encoders.end()}),
                                "descriptors to vectors", "lexical"),
                       optional("tau", number(-1, 2), "an edge needs a cosine above it", 0.3),
                       optional("k_in", integer(1, 4096), "most providers per agent", 3),
                       optional("descriptor_template", text(),
                                "what is embedded; {text}, {name}, {goal}", "{text}"),
                   }, {{"embedder", "say encoder"}, {"fallback", "say on_isolated"},
                       {"self_edges", "nobody sends to itself"}, {"order", kNotYet}}),
                   "how needs meet offers (dytopo, matched random)"),
          optional("on_isolated", choice({"none", "best", "broadcast"}),
                   "for an agent that nobody matched", "none"),
          optional("first_goal", text(), "task: the task itself; manager: asks it; or the goal",
                   "task"),
          optional("answer", list(text()), "members whose messages carry an answer field",
                   Json::array()),
          optional("descriptors", object({
                       optional("query", list(text()), "closed set of needs", Json::array()),
                       optional("key", list(text()), "closed set of offers", Json::array()),
                   }), "closed sets become grammar"),
          optional("edges", list(object({
                       required("from", text(), "provider"),
                       required("to", text(), "consumer"),
                   })), "static: named edges", Json::array()),
          optional("layers", list(list(text(), 1)), "layered: the members of each layer",
                   Json::array()),
          optional("random_edges", integer(0, 1e7), "random: edges per round; unset = as many as "
                                                    "dytopo would have drawn"),
          optional("on_failure", choice({"degrade", "fail"}),
                   "a member failed: go on without it, or end the run", "degrade"),
      },
      {{"gate", kNotYet}, {"messages", kNotYet}, {"payload", kNotYet}});
}

Type task_type() {
  return object(
      {
          optional("agent", text(), "runs one pass of this agent"),
          optional("topology", text(), "runs rounds of this topology"),
          optional("tool", text(), "calls this tool: calculator, shop/price"),
          runtime("in", anything(), "task text, or a value written as JSON"),
          runtime("args", map(anything()), "tool: the arguments"),
          optional("after", list(text()), "tasks that must end first", Json::array()),
          optional("join", choice({"all", "any", "always"}),
                   "all or any of `after` succeeded, or ended at all", "all"),
          optional("timeout", duration(), "the whole task; unset = none"),
      },
      {{"when", kNotYet}, {"map", kNotYet}, {"ask", kNotYet}, {"goto", kNotYet},
       {"script", kNotYet}, {"set", kNotYet}});
}

Type limits_type() {
  return object(
      {
          optional("wall", duration(), "the whole run"),
          optional("model_calls", integer(1, 1e9), "model turns of the whole run"),
          optional("tokens", integer(1, 1e12), "prompt and output tokens of the whole run"),
      },
      {{"idle", kNotYet}, {"gpu_seconds", kNotYet}, {"mode", kNotYet}});
}

Type journal_type() {
  return object(
      {
          optional("dir", text(), "where runs are kept; relative to the working directory",
                   ".swarm/runs"),
          optional("sync", choice({"async", "step", "off"}),
                   "async: written at once, the system flushes; step: flushed before every effect; "
                   "off: buffered",
                   "async"),
      },
      {{"keep", kNotYet}});
}

Type make_root() {
  Type version = choice({"swarm/v1"});
  Key outputs = runtime("outputs", map(anything()), "what the run prints: names and ${...}");
  return object(
      {
          required("schema", version, "version of this format"),
          optional("name", text(), "of the swarm; unset = the file's"),
          optional("description", text(), "for people", ""),
          optional("inputs", map(input_type()), "what --in NAME=VALUE may set"),
          required("models", map(model_type(), 1), "language models by name"),
          optional("engine", engine_type(), "the engine of this process"),
          optional("mcp", map(mcp_type()), "MCP servers by name; their tools are NAME/TOOL"),
          optional("mcp_files", list(text()), "lists of MCP servers as other programs write them "
                                              "(JSON with comments, YAML)"),
          optional("mcpServers", mcp_servers_type(), "the same, as Qwen-Agent and desktop clients "
                                                     "write it"),
          optional("tools", map(tool_type()), "built-in tools by name with their options, and "
                                              "tools of your own"),
          optional("policy", policy_type(), "which calls may be made; unset = those that only "
                                            "read"),
          required("agents", map(agent_type(), 1), "who"),
          optional("topologies", map(topology_type()), "who talks to whom"),
          optional("graph", map(task_type()), "when; unset = one task for the only topology, else "
                                              "for the only agent"),
          outputs,
          optional("limits", limits_type(), "ends the run with exit code 4"),
          optional("journal", journal_type(), "the record of the run"),
      },
      {{"retry", kNotYet}, {"observe", kNotYet}, {"tests", kNotYet}});
}

}  // namespace

const Type& root_type() {
  static const Type root = make_root();
  return root;
}

}  // namespace swarm::config
