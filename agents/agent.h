// agents/agent.h — One agent's pass: prompt laid out for prefix sharing, a bounded loop of model
// turns and tool calls, and the typed result. An Agent keeps an append-only memory between passes.
// Used by one strand. Knows no YAML, no engine, no topology.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agents/model.h"
#include "engine/base/async/task.h"
#include "engine/base/json.h"
#include "tools/tool.h"

namespace swarm::agents {

struct AgentConfig {
  std::string name;
  std::string instructions;
  std::vector<std::string> tools;      // names in the registry (or globs), in order
  int32_t max_turns = 8;               // model turns in one pass
  int32_t max_tool_calls = 16;         // tool calls in one turn
  int32_t max_tokens = 1024;           // new tokens in one turn
  int32_t memory_chars_max = 64 * 1024;
  int32_t tool_result_bytes_max = 64 * 1024;
  // Tokens of tool definitions; beyond, the model sees search_tools and call_tool.
  int32_t tool_tokens_max = 0;         // 0 = no limit
  Sampling sampling;
  std::optional<bool> thinking;
};

// Tokens of a text; nullopt: no tokenizer.
using TokenCounter = std::function<std::optional<size_t>(std::string_view text)>;
// What the definitions of tools take in a prompt, without what a template puts around them. exact:
// counted; else estimated at four bytes each.
struct DefinitionCost {
  size_t tokens = 0;
  bool exact = false;
};
DefinitionCost definition_cost(std::span<const tools::ToolSpec> specs,
                               const TokenCounter& count = {});
// Whether that is at most so many tokens; counts only where bytes do not tell already.
bool definitions_fit(std::span<const tools::ToolSpec> specs, size_t tokens_max,
                     const TokenCounter& count);

// Lines "[round] author: text"; append-only. Continuation lines of multi-line text are indented by
// two spaces, so that routed text can never forge a line of its own. Trimming drops whole lines
// (oldest rounds' routed lines with the lowest relevance first, own lines last) and reports each;
// it goes down to three quarters of the limit, because every trim costs the shared prefix.
class Memory {
 public:
  struct Line {
    int32_t round = 0;
    std::string author;                // "me" for own lines
    std::string text;
    double relevance = 1.0;
  };
  void append(Line line);              // empty text appends nothing
  std::vector<Line> trim(size_t chars_max);  // returns what was dropped, in the order of dropping
  const std::vector<Line>& lines() const { return lines_; }
  std::string render() const;          // every line ends in '\n'

 private:
  std::vector<Line> lines_;
};

// The prompt of a worker: blocks in the order that shares the most prefix.
//   system: {protocol}\nTask: {task}
//   user:   Role: {name}. {instructions}\nMemory:\n{memory}Goal: {goal}
// A goal of several lines is indented like a memory line: a manager may have written it.
struct PromptParts {
  std::string protocol;
  std::string task;
  std::string name;
  std::string instructions;
  std::string memory;                  // rendered, "" or ending in '\n'
  std::string goal;
};
std::vector<Message> worker_prompt(const PromptParts& parts);

// The prompt of a manager: all goals so far (the last is the current one), then this round's public
// messages in reading order; empty ones give no line. No line end at the end.
//   user:   Role: Manager. {instructions}\nGoals:\n[1] goal\n[2] goal\nReports:\n[2] Clerk: text
struct Report {
  std::string author, text;
};
struct ManagerPromptParts {
  std::string protocol;
  std::string task;
  std::string name = "Manager";
  std::string instructions;
  std::vector<std::string> goals;
  std::vector<Report> reports;
};
std::vector<Message> manager_prompt(const ManagerPromptParts& parts);

// What happened inside a pass, in order; the orchestrator writes it to the journal.
struct PassEvent {
  // Every model_call is followed by model_reply, model_cut (it ended without a reply, but cost
  // something) or neither (it failed before it cost anything).
  enum class Kind : uint8_t { model_call, model_reply, tool_call, tool_result, model_cut } kind;
  int32_t turn = 0;
  std::string call_id;
  std::string tool;
  Json data;                           // request or result in short form
};
using PassObserver = std::function<void(const PassEvent&)>;

struct PassInput {
  std::vector<Message> messages;
  std::optional<Json> output_schema;
  OutputFormat output_format = OutputFormat::json;
  Deadline deadline;
  uint64_t seed = 0;
  ContextHints hints;
  ProgressObserver on_progress;        // of every turn; may be empty
};

struct PassResult {
  std::string content;                 // final text
  OutputFormat format = OutputFormat::json;  // of content, under a schema
  std::optional<Json> output;          // parsed, when a schema was given and the JSON is complete
  FinishReason finish = FinishReason::stop;
  int32_t turns = 0;
  int32_t tool_calls = 0;
  int32_t tool_errors = 0;
  int32_t cut_turns = 0;               // replies that reached their limit of tokens
  bool truncated = false;              // length or deadline ended the last one
  Usage usage;
};

// Runs turns until the model answers without tool calls, or a limit ends it. Tool calls of one turn
// run concurrently; results are appended in call order. Malformed calls and calls beyond a limit
// are answered with an error that the model reads. Of a reply that reached its limit of tokens
// whole calls run and the model is told; it ends the pass where no further calls are allowed. The
// last turn, and the turn after a call that
// had already failed three times with the same arguments, may not call tools. Turn n (from 1)
// samples with mix_seed(input.seed, n). Tools that join the registry are offered from the next turn
// on, behind the others. Tool events are observed when they happen. Throws what the
// model throws, and ErrorException{invalid_input} for a tool name that the registry lacks.
// model, registry and config outlive the call; observe may be empty.
Async<PassResult> run_pass(Model& model, const tools::Registry& registry, const AgentConfig& config,
                           PassInput input, PassObserver observe);

// Wire contract of a DyTopo worker and of a manager (field order fixed).
struct WorkerMessage {
  std::string public_text, private_text, answer, query, key;
  std::string cut;                     // the field inside which the text ends; "" = none
};
struct ManagerMessage {
  std::string status;
  bool is_complete = false;
  std::string next_goal, answer_from;
};
// with_answer adds "answer" after "private". Closed sets, when not empty, become enums to which ""
// (nothing needed, nothing offered, no next goal) is added; open descriptors are never blank.
struct WorkerSchemaOptions {
  bool with_answer = false;
  std::vector<std::string> query_options, key_options;
};
Json worker_schema(const WorkerSchemaOptions& options);
struct ManagerSchemaOptions {
  std::vector<std::string> status_options, goal_options;
  std::vector<std::string> members;    // answer_from: one of these or ""
};
Json manager_schema(const ManagerSchemaOptions& options);
// Truncated or malformed text: what could be read, empty fields otherwise.
WorkerMessage parse_worker(const PassResult& result);
ManagerMessage parse_manager(const PassResult& result);

}  // namespace swarm::agents
