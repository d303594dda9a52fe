#include "orchestrator/models/engine_model.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <functional>
#include <optional>
#include <utility>

#include "engine/base/async/nursery.h"
#include "engine/base/check.h"
#include "engine/base/rng.h"
#include "orchestrator/models/grammar_schema.h"
#include "orchestrator/models/yaml_words.h"

namespace swarm::models {
namespace {

constexpr size_t kCountedMax = 64;

engine::ChatMessage to_chat(const agents::Message& message) {
  engine::ChatMessage out{.role = std::string(to_string(message.role)),
                          .content = message.content,
                          .reasoning = message.reasoning,
                          .tool_calls = {}};
  for (const agents::ToolCall& call : message.tool_calls)
    out.tool_calls.push_back({call.name, call.arguments});
  return out;
}

engine::ChatPrompt to_chat(const agents::ModelRequest& request) {
  engine::ChatPrompt chat;
  for (const agents::Message& message : request.messages)
    chat.messages.push_back(to_chat(message));
  for (const tools::ToolSpec& tool : request.tools)
    chat.tools.push_back({tool.name, tool.description, tool.parameters});
  chat.enable_thinking = request.thinking;
  return chat;
}

engine::SamplingParams to_params(const agents::Sampling& sampling) {
  engine::SamplingParams out;
  if (sampling.temperature) out.temperature = *sampling.temperature;
  if (sampling.top_k) out.top_k = *sampling.top_k;
  if (sampling.top_p) out.top_p = *sampling.top_p;
  if (sampling.min_p) out.min_p = *sampling.min_p;
  if (sampling.presence_penalty) out.presence_penalty = *sampling.presence_penalty;
  if (sampling.frequency_penalty) out.frequency_penalty = *sampling.frequency_penalty;
  if (sampling.repeat_penalty) out.repeat_penalty = *sampling.repeat_penalty;
  if (sampling.seed) out.seed = *sampling.seed;
  return out;
}

engine::grammar::ToolChoice to_choice(agents::ToolChoice choice) {
  switch (choice) {
    case agents::ToolChoice::none: return engine::grammar::ToolChoice::none;
    case agents::ToolChoice::automatic: return engine::grammar::ToolChoice::automatic;
    case agents::ToolChoice::required: return engine::grammar::ToolChoice::required;
  }
  return engine::grammar::ToolChoice::automatic;
}

engine::grammar::OutputFormat to_format(agents::OutputFormat format) {
  return format == agents::OutputFormat::tags ? engine::grammar::OutputFormat::tags
                                              : engine::grammar::OutputFormat::json;
}

agents::Usage to_usage(const engine::Report& report) {
  agents::Usage usage;
  usage.prompt_tokens = report.prompt_tokens;
  usage.cached_tokens = report.cached_tokens;
  usage.computed_tokens = report.computed_tokens;
  usage.output_tokens = report.output_tokens;
  usage.forced_tokens = report.forced_tokens;
  usage.queue = report.queue;
  usage.prefill = report.prefill;
  usage.decode = report.decode;
  usage.batch_mean = report.batch_mean;
  return usage;
}

// "call_1", "call_2" ... counted over the conversation.
size_t calls_so_far(const agents::ModelRequest& request) {
  size_t count = 0;
  for (const agents::Message& message : request.messages) count += message.tool_calls.size();
  return count;
}

agents::ModelReply to_reply(engine::ChatReply chat, const Progress& last,
                            const agents::ModelRequest& request) {
  agents::ModelReply reply;
  reply.content = std::move(chat.content);
  reply.reasoning = std::move(chat.reasoning);
  reply.malformed_calls = std::move(chat.malformed_calls);
  size_t number = calls_so_far(request);
  for (engine::ChatToolCall& call : chat.tool_calls)
    reply.tool_calls.push_back(
        {"call_" + std::to_string(++number), std::move(call.name), std::move(call.arguments)});
  reply.usage = to_usage(last.report);
  switch (last.finish) {
    case engine::Finish::length: reply.finish = agents::FinishReason::length; break;
    case engine::Finish::deadline: reply.finish = agents::FinishReason::deadline; break;
    default:
      reply.finish = reply.tool_calls.empty() ? agents::FinishReason::stop
                                              : agents::FinishReason::tool_calls;
  }
  return reply;
}

}  // namespace

namespace {

using Compiled = Result<std::shared_ptr<const engine::grammar::Grammar>>;

// The narrowest form of each tool's schema that the grammar can hold. Grammars are cached: this
// costs once.
Compiled compile(const engine::ChatCodec& codec, engine::TurnRules rules) {
  Compiled whole = codec.compile(rules);
  if (whole || rules.tools.empty()) return whole;
  for (engine::ChatTool& tool : rules.tools) {
    const Json original = std::move(tool.parameters);
    for (const Width width : kWidths) {
      tool.parameters = widened(original, width);
      engine::TurnRules one;
      one.tools = {tool};
      if (codec.compile(one)) break;
    }
  }
  return codec.compile(rules);
}

}  // namespace

// Jobs of the current turn of the strand.
struct EngineModel::Batch {
  std::vector<EngineThread::Job> jobs;
  bool flush_posted = false;
};

EngineModel::EngineModel(std::string name, EngineThread& thread, Executor executor)
    : name_(std::move(name)), thread_(thread), executor_(std::move(executor)),
      batch_(std::make_shared<Batch>()), owner_(thread.next_ticket()) {}

EngineModel::~EngineModel() { thread_.unpin(owner_); }

Result<engine::Request> EngineModel::to_engine(const agents::ModelRequest& request) const {
  const engine::ChatCodec& codec = thread_.codec();
  const engine::ChatPrompt chat = to_chat(request);
  engine::Request out;
  SWARM_TRY(out.prompt, codec.prompt(chat));
  SWARM_TRY(out.grammar, compile(codec, {.output_schema = request.output_schema,
                                         .output_format = to_format(request.output_format),
                                         .tools = chat.tools,
                                         .tool_choice = to_choice(request.tool_choice),
                                         .enable_thinking = request.thinking}));
  out.sampling = to_params(request.sampling);
  SWARM_TRY_VOID(out.sampling.validate());
  out.stop_tokens.assign(codec.stop_tokens().begin(), codec.stop_tokens().end());
  out.max_tokens = request.max_tokens;
  out.priority = request.hints.priority;
  out.deadline = request.deadline;
  out.hints.keep_for = request.hints.keep_for;
  if (request.hints.pin_system && !request.messages.empty() &&
      request.messages[0].role == agents::Role::system) {
    const auto first = std::span(request.messages).first(1);
    out.hints.pin_prefix_tokens =
        static_cast<int32_t>(tokens_in_common(out.prompt, chat, first).value_or(0));
    out.hints.pin_owner = owner_;
  }
  return out;
}

std::optional<size_t> EngineModel::tokens_in_common(
    std::span<const engine::TokenId> tokens, engine::ChatPrompt chat,
    std::span<const agents::Message> messages) const {
  if (messages.empty()) return 0;
  chat.messages.clear();
  for (const agents::Message& message : messages) chat.messages.push_back(to_chat(message));
  if (messages.back().role == agents::Role::system)   // templates want somebody to speak
    chat.messages.push_back({.role = "user", .content = ""});
  const Result<std::vector<engine::TokenId>> other = thread_.codec().prompt(chat);
  if (!other) return std::nullopt;
  const auto end = std::ranges::mismatch(tokens, *other).in1;
  return static_cast<size_t>(end - tokens.begin());
}

// The engine finds what the prompt shares with earlier ones itself; what the conversation leaves
// behind (thoughts that templates take out again, say) nobody asks for any more.
void EngineModel::begin_context(const std::string& name, const engine::ChatPrompt& chat,
                                const std::vector<engine::TokenId>& prompt) {
  if (name.empty()) return;
  Context& context = contexts_[name];
  const auto shared = std::ranges::mismatch(context.tokens, prompt).in1 - context.tokens.begin();
  if (shared < std::ssize(context.tokens))
    thread_.forget(std::move(context.tokens), static_cast<int32_t>(shared));
  context.tokens = prompt;
  context.chat = chat;
  context.chat.messages.clear();
}

void EngineModel::remember(const std::string& name, std::span<const engine::TokenId> said) {
  if (const auto found = contexts_.find(name); found != contexts_.end())
    found->second.tokens.insert(found->second.tokens.end(), said.begin(), said.end());
}

void EngineModel::release(std::string_view name,
                          std::span<const agents::Message> comes_again) {
  const auto found = contexts_.find(name);
  if (found == contexts_.end()) return;
  Context& context = found->second;
  const size_t stays = tokens_in_common(context.tokens, context.chat, comes_again)
                           .value_or(context.tokens.size());
  if (stays < context.tokens.size())
    thread_.forget(context.tokens, static_cast<int32_t>(stays));
  context.tokens.resize(stays);
  if (stays == 0) contexts_.erase(found);
}

std::optional<size_t> EngineModel::count_tokens(std::string_view text) const {
  const std::pair key{hash_text(text), text.size()};
  if (const auto known = counted_.find(key); known != counted_.end()) return known->second;
  if (counted_.size() >= kCountedMax) counted_.clear();
  const size_t count = thread_.codec().tokenize(text, /*parse_control=*/false).size();
  counted_.emplace(key, count);
  return count;
}

void EngineModel::enqueue(EngineThread::Job job) {
  batch_->jobs.push_back(std::move(job));
  if (batch_->flush_posted) return;
  batch_->flush_posted = true;
  // Posted twice: siblings that are already queued on the strand may need one more turn to arrive.
  const auto flush = [batch = batch_, &thread = thread_] {
    batch->flush_posted = false;
    std::vector<EngineThread::Job> jobs = std::exchange(batch->jobs, {});
    // Given up before it left.
    std::erase_if(jobs, [](const EngineThread::Job& one) { return !one.channel->is_open(); });
    thread.submit(std::move(jobs));
  };
  boost::asio::post(executor_, [executor = executor_, flush] {
    boost::asio::post(executor, flush);
  });
}

// One call until its final progress was read. Where a whole context is torn down nobody reads it:
// the engine is told to stop.
struct EngineModel::Call {
  Call(EngineThread& engine, size_t progress_max)
      : thread(engine), ticket(engine.next_ticket()),
        channel(std::make_shared<ProgressChannel>(progress_max)) {}
  ~Call() {
    channel->close();
    if (!ended) thread.cancel(ticket);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  EngineThread& thread;
  const uint64_t ticket;
  const std::shared_ptr<ProgressChannel> channel;  // shared with the engine thread
  bool ended = false;
};

Async<agents::ModelReply> EngineModel::generate(agents::ModelRequest request) {
  Result<engine::Request> prepared = to_engine(request);
  if (!prepared) throw ErrorException(prepared.error());
  // One progress per step and at most one step per token, plus the end and the begin.
  Call call(thread_, static_cast<size_t>(request.max_tokens) + 3);
  std::optional<agents::ModelReply> reply;
  const auto body = [&]() -> Async<> {
    reply = co_await converse(call, std::move(*prepared), request);
  };
  // Cancelled, or an observer threw: the engine tells within one step what it computed until then.
  const auto cleanup = [&] { return cut_off(call, request); };
  co_await with_cleanup(body, cleanup);
  co_return std::move(*reply);
}

Async<agents::ModelReply> EngineModel::converse(Call& call, engine::Request prepared,
                                                const agents::ModelRequest& request) {
  const auto report = [&request](const agents::Progress& progress) {
    if (request.on_progress) request.on_progress(progress);
  };
  const auto prompt_tokens = static_cast<int32_t>(prepared.prompt.size());
  const std::string& context = request.hints.context;
  begin_context(context, to_chat(request), prepared.prompt);
  enqueue({call.ticket, std::move(prepared), call.channel});
  report({.prompt_tokens = prompt_tokens});
  const std::unique_ptr<engine::ChatReader> reader =
      thread_.codec().reader(to_chat(request).tools, request.thinking);
  while (true) {
    std::optional<Progress> progress = co_await call.channel->receive();
    SWARM_CHECK(progress.has_value());
    call.ended = progress->refused || progress->finish != engine::Finish::none;
    if (progress->refused) throw ErrorException(in_swarm_file(*progress->refused, name_));
    if (progress->prefill) report({.phase = agents::Phase::prefill});
    remember(context, progress->tokens);
    // What the engine closed a cut text with was not said by the model: agents read what was said,
    // and a call that was not finished is none.
    const auto closing = static_cast<size_t>(progress->report.closing_tokens);
    const std::span said(progress->tokens.data(), progress->tokens.size() - closing);
    std::string text;
    for (engine::TokenId token : said) text += reader->feed(token).content;
    if (!progress->tokens.empty())
      report({.phase = agents::Phase::decode,
              .output_tokens = static_cast<int32_t>(progress->tokens.size()),
              .forced_tokens = progress->forced_tokens,
              .text = text});
    if (!call.ended) continue;
    if (progress->finish == engine::Finish::failed)
      throw ErrorException(
          Error{progress->error_kind, "model " + name_ + ": " + progress->error});
    if (progress->finish == engine::Finish::cancelled)
      throw ErrorException(Error{ErrorKind::cancelled, "the engine is shutting down"});
    co_return to_reply(reader->finish(), *progress, request);
  }
}

Async<> EngineModel::cut_off(Call& call, const agents::ModelRequest& request) {
  if (call.ended) co_return;
  // It may not have left this strand yet; then nobody has computed anything.
  const size_t unsent = std::erase_if(batch_->jobs, [&](const EngineThread::Job& job) {
    return job.ticket == call.ticket;
  });
  call.ended = unsent > 0;
  if (!call.ended) thread_.cancel(call.ticket);
  while (!call.ended) {
    const std::optional<Progress> progress = co_await call.channel->receive();
    SWARM_CHECK(progress.has_value());
    call.ended = progress->refused || progress->finish != engine::Finish::none;
    remember(request.hints.context, progress->tokens);
    if (call.ended && !progress->refused && request.on_cut_off)
      request.on_cut_off(to_usage(progress->report));
  }
}

}  // namespace swarm::models
