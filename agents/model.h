// agents/model.h — How an agent sees a language model: messages in, one reply out.
// Implementations: the engine of this process (orchestrator/models) and a script
// (agents/scripted_model.h). generate() is called on the run's strand and may suspend; cancelling
// it stops the work in the middle of a decode.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/async/task.h"
#include "engine/base/deadline.h"
#include "engine/base/error.h"
#include "engine/base/json.h"
#include "tools/tool.h"

namespace swarm::agents {

struct ToolCall {
  std::string id;                  // unique in the conversation, "call_1"
  std::string name;
  Json arguments;
};

enum class Role : uint8_t { system, user, assistant, tool };
std::string_view to_string(Role role);

struct Message {
  Role role = Role::user;
  std::string content;
  std::string reasoning;           // assistant only
  std::vector<ToolCall> tool_calls;  // assistant only
  std::string tool_call_id;        // tool only: which call this answers
};

enum class ToolChoice : uint8_t { none, automatic, required };

// How an object under an output schema is written: as JSON, or as one block of raw text for each
// property, <KEY>\nTEXT\n</KEY>, which spares long code the escapes of JSON strings.
enum class OutputFormat : uint8_t { json, tags };

// Same meaning and ranges as the engine's sampling parameters; unset = the model's own default.
struct Sampling {
  std::optional<double> temperature, top_p, min_p;
  std::optional<double> presence_penalty, frequency_penalty, repeat_penalty;
  std::optional<int32_t> top_k;
  std::optional<uint64_t> seed;
};

// What the orchestrator knows of the future of this context; ignored by remote models.
struct ContextHints {
  std::chrono::milliseconds keep_for{0};  // it goes on within this time: keep what was computed
  int32_t priority = 0;                   // higher first
  std::string context = {};               // what Model::release() calls it; "" = never released
  bool pin_system = false;                // its system message and tools come again in this run
};

// Where a call is: waiting for a place in the batch, reading its prompt, writing.
enum class Phase : uint8_t { queue, prefill, decode };
std::string_view to_string(Phase phase);

// What happened since the last report of the same call.
struct Progress {
  Phase phase = Phase::queue;
  int32_t prompt_tokens = 0;         // of the whole prompt; in the first report only
  int32_t output_tokens = 0;
  int32_t forced_tokens = 0;         // of these: appended by a grammar, not decoded
  std::string_view text = {};        // of the answer; reasoning and tool calls are not shown
};
// Called on the run's strand. What it throws ends the call.
using ProgressObserver = std::function<void(const Progress&)>;

struct Usage;
// A call that ends without a reply (cancelled, timed out, stopped by an observer) says what it
// cost. Called on the run's strand while the call unwinds; must not throw.
using CutOffObserver = std::function<void(const Usage&)>;

struct ModelRequest {
  std::string label;               // who asks, for the journal and for scripts: "Solver"
  std::vector<Message> messages;
  std::vector<tools::ToolSpec> tools;
  ToolChoice tool_choice = ToolChoice::automatic;
  std::optional<Json> output_schema;  // the reply's content is valid against it
  OutputFormat output_format = OutputFormat::json;
  Sampling sampling;
  int32_t max_tokens = 1024;
  std::optional<bool> thinking;
  Deadline deadline;
  ContextHints hints;
  ProgressObserver on_progress;      // may be empty
  CutOffObserver on_cut_off = {};    // may be empty; not called by models that cannot tell
};

enum class FinishReason : uint8_t { stop, tool_calls, length, deadline };
std::string_view to_string(FinishReason reason);

struct Usage {
  int32_t prompt_tokens = 0;
  int32_t cached_tokens = 0;
  int32_t computed_tokens = 0;
  int32_t output_tokens = 0;
  int32_t forced_tokens = 0;
  std::chrono::nanoseconds queue{0}, prefill{0}, decode{0};
  double batch_mean = 0;
  Usage& operator+=(const Usage& other);
};
// {"prompt_tokens":..,"queue_ms":..}: the form of journals.
Json to_json(const Usage& usage);

// Finish length and deadline: cut off. Then content is what was said until there, not made whole
// (also under an output_schema), and the last malformed call may be the one that was cut.
struct ModelReply {
  std::string content;
  std::string reasoning;
  std::vector<ToolCall> tool_calls;  // whole ones; ids filled in
  std::vector<std::string> malformed_calls;
  FinishReason finish = FinishReason::stop;
  Usage usage;
};

class Model {
 public:
  virtual ~Model() = default;
  // Throws ErrorException (environment, overloaded, invalid_input: prompt too long ...).
  virtual Async<ModelReply> generate(ModelRequest request) = 0;
  // The calls with this ContextHints::context are over. What comes again of all that they read and
  // said begins like these messages, if there are any; everything else may be forgotten. A hint:
  // what is forgotten is computed anew when it is asked for after all.
  virtual void release(std::string_view context, std::span<const Message> comes_again);
  virtual std::string_view name() const = 0;
  // By its own tokenizer; nullopt: there is none at hand.
  virtual std::optional<size_t> count_tokens(std::string_view text) const;
};

}  // namespace swarm::agents
