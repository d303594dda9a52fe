// One pass: [model turn -> its tool calls, concurrently -> results in call order]* -> final answer.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "agents/agent.h"
#include "agents/deferred.h"
#include "engine/base/async/nursery.h"
#include "engine/base/rng.h"

namespace swarm::agents {
namespace {

// The context of a turn that may call tools is kept so long: most calls end before. After that it
// is cached like any other.
constexpr std::chrono::seconds kKeepThroughTools{10};
// Calls of one turn that are in flight together; more wait for their turn.
constexpr size_t kConcurrentCallsMax = 8;
// After so many failures with the same arguments a call is not run again.
constexpr int kSameFailuresMax = 3;
constexpr std::string_view kCutInCall =
    "not run: your reply reached its limit of tokens inside this call; make fewer or shorter calls";
constexpr std::string_view kCutAfterCall =
    "\nYour reply reached its limit of tokens after this call; calls that should follow were not "
    "made.";

Json reply_json(const ModelReply& reply) {
  Json calls = Json::array();
  for (const ToolCall& call : reply.tool_calls)
    calls.push_back(Json{{"id", call.id}, {"name", call.name}, {"arguments", call.arguments}});
  Json out = Json::object();
  out["content"] = reply.content;
  if (!reply.reasoning.empty()) out["reasoning"] = reply.reasoning;
  out["tool_calls"] = std::move(calls);
  if (!reply.malformed_calls.empty()) out["malformed_calls"] = reply.malformed_calls;
  out["finish"] = to_string(reply.finish);
  out["usage"] = to_json(reply.usage);
  return out;
}

bool is_cut(const ModelReply& reply) { return reply.finish == FinishReason::length; }

std::string same_call(const ToolCall& call) { return call.name + " " + dump_json(call.arguments); }

class Pass {
 public:
  Pass(Model& model, const tools::Registry& registry, const AgentConfig& config, PassInput input,
       PassObserver observe)
      : model_(model),
        registry_(registry),
        config_(config),
        input_(std::move(input)),
        observe_(std::move(observe)) {}

  Async<PassResult> run() {
    const int32_t turns_max = std::max(config_.max_turns, 1);
    ModelReply reply;
    while (true) {
      ++result_.turns;
      drop_lost_tools();
      take_new_tools();
      const bool may_call = !specs_.empty() && result_.turns < turns_max && !exhausted_;
      reply = co_await model_turn(may_call);
      const bool called = !reply.tool_calls.empty() || !reply.malformed_calls.empty();
      const bool out_of_time = reply.finish == FinishReason::deadline;
      // Calls that a cut swallowed can only be made up for where calls are allowed again.
      const bool lost = is_cut(reply) && result_.turns + 1 >= turns_max;
      if (!may_call || !called || out_of_time || lost) break;
      co_await run_calls(reply);
    }
    finish(std::move(reply));
    co_return std::move(result_);
  }

 private:
  // What left the registry since the last turn. The prompt is read again from the first of them on:
  // that costs less than a model that is offered, and by its grammar may write, calls of nothing.
  void drop_lost_tools() {
    if (withdrawn_ == registry_.withdrawn()) return;
    withdrawn_ = registry_.withdrawn();
    for (auto name = allowed_.begin(); name != allowed_.end();) {
      const tools::Tool* tool = registry_.find(*name);
      if (tool != nullptr && registry_.batch_of(*tool) < next_batch_) {  // else another by now
        ++name;
        continue;
      }
      std::erase_if(specs_, [&](const tools::ToolSpec& spec) { return spec.name == *name; });
      if (deferred_) deferred_->remove(*name);
      lost_.insert(*name);
      name = allowed_.erase(name);
    }
  }

  // What joined the registry since the last turn comes behind what the model has read, batch by
  // batch: the prompt of this pass, and of the next ones, keeps its prefix.
  void take_new_tools() {
    for (; next_batch_ <= registry_.last_batch(); ++next_batch_) {
      std::vector<tools::ToolSpec> found = tools_of_batch(next_batch_);
      if (!found.empty()) show(std::move(found));
    }
  }

  std::vector<tools::ToolSpec> tools_of_batch(size_t batch) {
    std::vector<tools::ToolSpec> out;
    for (const std::string& pattern : config_.tools) {
      std::vector<tools::Tool*> found;
      if (tools::Tool* tool = registry_.find(pattern)) {
        found.push_back(tool);
      } else {
        auto selected = registry_.select(std::span(&pattern, 1));
        if (!selected) throw ErrorException(selected.error());
        found = std::move(*selected);
      }
      for (const tools::Tool* tool : found)
        if (registry_.batch_of(*tool) == batch && allowed_.insert(tool->spec().name).second)
          out.push_back(tool->spec());
    }
    return out;
  }

  // Tools that are too many wait behind a search: all of them when it is known from the start, else
  // those that came last.
  void show(std::vector<tools::ToolSpec> found) {
    if (deferred_) return deferred_->add(std::move(found));
    std::vector<tools::ToolSpec> all = specs_;
    all.insert(all.end(), found.begin(), found.end());
    const auto tokens_max = static_cast<size_t>(std::max(config_.tool_tokens_max, 0));
    const bool taken = allowed_.contains(DeferredTools::kSearch) ||
                       allowed_.contains(DeferredTools::kCall);
    const TokenCounter count = [this](std::string_view text) { return model_.count_tokens(text); };
    if (tokens_max == 0 || taken || definitions_fit(all, tokens_max, count)) {
      specs_ = std::move(all);
      return;
    }
    deferred_.emplace(std::move(found));
    specs_.insert(specs_.end(), deferred_->definitions().begin(), deferred_->definitions().end());
  }

  Async<ModelReply> model_turn(bool may_call) {
    ModelRequest request;
    request.label = config_.name;
    request.messages = input_.messages;
    request.tools = specs_;
    request.tool_choice = may_call ? ToolChoice::automatic : ToolChoice::none;
    request.output_schema = input_.output_schema;
    request.output_format = input_.output_format;
    request.sampling = config_.sampling;
    request.sampling.seed = mix_seed(input_.seed, static_cast<uint64_t>(result_.turns));
    request.max_tokens = config_.max_tokens;
    request.thinking = config_.thinking;
    request.deadline = input_.deadline;
    request.hints = input_.hints;
    if (may_call)
      request.hints.keep_for =
          std::max<std::chrono::milliseconds>(request.hints.keep_for, kKeepThroughTools);
    // A pass that has begun holds memory and others wait for its end: it comes before new ones.
    if (result_.turns > 1) ++request.hints.priority;
    request.on_progress = input_.on_progress;
    request.on_cut_off = [this](const Usage& usage) {
      observe(PassEvent::Kind::model_cut, "", "", Json{{"usage", to_json(usage)}});
    };
    Json data{{"messages", request.messages.size()},
              {"tools", request.tools.size()},
              {"tool_choice", may_call ? "auto" : "none"},
              {"seed", *request.sampling.seed},
              {"max_tokens", request.max_tokens}};
    observe(PassEvent::Kind::model_call, "", "", std::move(data));
    ModelReply reply = co_await model_.generate(std::move(request));
    for (ToolCall& call : reply.tool_calls) name_call(call);
    result_.usage += reply.usage;
    result_.cut_turns += is_cut(reply) ? 1 : 0;
    observe(PassEvent::Kind::model_reply, "", "", reply_json(reply));
    co_return reply;
  }

  // Ids are unique in the conversation, also when a model repeats itself.
  void name_call(ToolCall& call) {
    while (call.id.empty() || !used_ids_.insert(call.id).second)
      call.id = "call_" + std::to_string(++ids_);
  }

  Async<> run_calls(const ModelReply& reply) {
    Message said;
    said.role = Role::assistant;
    said.content = reply.content;
    said.reasoning = reply.reasoning;
    said.tool_calls = reply.tool_calls;
    // What could not be read as a call stays visible to the model as the text that it was.
    for (const std::string& raw : reply.malformed_calls)
      said.content += (said.content.empty() ? "" : "\n") + raw;
    input_.messages.push_back(std::move(said));

    const std::vector<ToolCall>& calls = reply.tool_calls;
    std::vector<tools::ToolResult> results(calls.size());
    size_t next = 0;
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      const size_t width = std::min(kConcurrentCallsMax, calls.size());
      for (size_t i = 0; i < width; ++i)
        nursery.start([&]() -> Async<> {
          while (next < calls.size()) {
            const size_t mine = next++;
            results[mine] = co_await run_call(calls[mine], mine);
          }
        });
      co_return;
    });
    // Cut between two calls: nothing else would tell the model that some are missing.
    if (is_cut(reply) && reply.malformed_calls.empty()) results.back().text += kCutAfterCall;
    for (size_t i = 0; i < calls.size(); ++i) append_result(calls[i].id, results[i]);
    const size_t malformed = reply.malformed_calls.size();
    for (size_t i = 0; i < malformed; ++i) {
      const bool cut = is_cut(reply) && i + 1 == malformed;
      append_malformed(reply.malformed_calls[i], cut);
    }
  }

  // With deferred tools: a search is answered here, and a call of call_tool is what it stands for.
  Async<tools::ToolResult> run_call(const ToolCall& call, size_t index) {
    if (!deferred_ || (call.name != DeferredTools::kSearch && call.name != DeferredTools::kCall))
      co_return co_await run_direct(call, index);
    if (call.name == DeferredTools::kCall) {
      const Result<ToolCall> inner = DeferredTools::unwrap(call);
      if (inner) co_return co_await run_direct(*inner, index);
      co_return answered(call, inner.error().message, true);
    }
    const Result<std::string> found = deferred_->search(call.arguments);
    co_return answered(call, found ? *found : found.error().message, !found);
  }

  // A call that needs nobody.
  tools::ToolResult answered(const ToolCall& call, std::string text, bool is_error) {
    observe(PassEvent::Kind::tool_call, call.id, call.name, Json{{"arguments", call.arguments}});
    ++result_.tool_calls;
    if (is_error) ++result_.tool_errors;
    tools::ToolResult result{.text = std::move(text), .is_error = is_error, .truncated = false};
    observe(PassEvent::Kind::tool_result, call.id, call.name,
            Json{{"text", result.text}, {"is_error", is_error}, {"truncated", false}});
    return result;
  }

  Async<tools::ToolResult> run_direct(const ToolCall& call, size_t index) {
    observe(PassEvent::Kind::tool_call, call.id, call.name, Json{{"arguments", call.arguments}});
    ++result_.tool_calls;
    const std::string refusal = refuse(call, index);
    tools::ToolResult result;
    if (refusal.empty()) {
      tools::ToolContext context;
      context.agent = config_.name;
      context.call_id = call.id;
      context.deadline = input_.deadline;
      tools::DispatchOptions options;
      options.result_bytes_max = static_cast<size_t>(std::max(config_.tool_result_bytes_max, 1));
      options.pages = allowed_.contains("read_artifact");
      result = co_await registry_.dispatch(call.name, call.arguments, context, options);
      if (result.is_error && ++failures_[same_call(call)] == kSameFailuresMax)
        result.text += "\nThis call failed " + std::to_string(kSameFailuresMax) +
                       " times with the same arguments; it will not be run again.";
    } else {
      result.text = refusal;
      result.is_error = true;
    }
    if (result.is_error) ++result_.tool_errors;
    observe(PassEvent::Kind::tool_result, call.id, call.name,
            Json{{"text", result.text},
                 {"is_error", result.is_error},
                 {"truncated", result.truncated}});
    co_return result;
  }

  // Why a call is not run; "" when it is.
  std::string refuse(const ToolCall& call, size_t index) {
    const auto limit = static_cast<size_t>(std::max(config_.max_tool_calls, 0));
    if (index >= limit)
      return "not run: at most " + std::to_string(limit) + " tool calls in one turn";
    if (!allowed_.contains(call.name)) {
      if (lost_.contains(call.name)) return registry_.absence_of(call.name);
      std::vector<std::string> names;
      std::string list;
      for (const tools::ToolSpec& spec : specs_) {
        names.push_back(spec.name);
        list += (list.empty() ? "" : ", ") + spec.name;
      }
      const std::string close = did_you_mean(call.name, names);
      return "unknown tool \"" + call.name + "\"; " +
             (close.empty() ? "your tools: " + list : "did you mean \"" + close + "\"?");
    }
    const auto failed = failures_.find(same_call(call));
    if (failed == failures_.end() || failed->second < kSameFailuresMax) return "";
    exhausted_ = true;
    return "not run: this call failed " + std::to_string(kSameFailuresMax) +
           " times with the same arguments; answer without it";
  }

  void append_result(const std::string& id, const tools::ToolResult& result) {
    Message message;
    message.role = Role::tool;
    message.content = result.text;
    message.tool_call_id = id;
    input_.messages.push_back(std::move(message));
  }

  void append_malformed(const std::string& raw, bool cut) {
    ++result_.tool_errors;
    tools::ToolResult result;
    result.is_error = true;
    if (cut) {
      result.text = kCutInCall;
    } else {
      std::string problem = "it has no name and arguments";
      if (const auto parsed = parse_json(raw); !parsed) problem = parsed.error().message;
      result.text = "malformed tool call: " + problem +
                    "; expected {\"name\": <tool>, \"arguments\": <object>}";
    }
    observe(PassEvent::Kind::tool_result, "", "",
            Json{{"text", result.text}, {"is_error", true}, {"truncated", false}});
    append_result("", result);
  }

  void finish(ModelReply reply) {
    result_.content = std::move(reply.content);
    result_.finish = reply.finish;
    result_.truncated =
        reply.finish == FinishReason::length || reply.finish == FinishReason::deadline;
    result_.format = input_.output_format;
    if (!input_.output_schema || result_.format == OutputFormat::tags) return;
    auto parsed = parse_json(result_.content);
    if (parsed && tools::validate_json(*input_.output_schema, *parsed))
      result_.output = std::move(*parsed);
  }

  void observe(PassEvent::Kind kind, const std::string& id, const std::string& tool, Json data) {
    if (!observe_) return;
    PassEvent event;
    event.kind = kind;
    event.turn = result_.turns;
    event.call_id = id;
    event.tool = tool;
    event.data = std::move(data);
    observe_(event);
  }

  Model& model_;
  const tools::Registry& registry_;
  const AgentConfig& config_;
  PassInput input_;
  PassObserver observe_;
  std::vector<tools::ToolSpec> specs_;       // what the model sees
  std::optional<DeferredTools> deferred_;    // what it does not see, when that is too much
  size_t next_batch_ = 0;                    // of the registry
  size_t withdrawn_ = 0;                     // the same
  std::set<std::string> allowed_;
  std::set<std::string> lost_;               // were allowed, and left
  std::set<std::string> used_ids_;
  std::map<std::string, int> failures_;  // same_call() -> how often
  bool exhausted_ = false;               // a call came back after its last failure
  int ids_ = 0;
  PassResult result_;
};

}  // namespace

Async<PassResult> run_pass(Model& model, const tools::Registry& registry,
                           const AgentConfig& config, PassInput input, PassObserver observe) {
  Pass pass(model, registry, config, std::move(input), std::move(observe));
  co_return co_await pass.run();
}

}  // namespace swarm::agents
