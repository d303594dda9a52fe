#include "agents/model.h"

namespace swarm::agents {

std::string_view to_string(Role role) {
  switch (role) {
    case Role::system: return "system";
    case Role::user: return "user";
    case Role::assistant: return "assistant";
    case Role::tool: return "tool";
  }
  return "?";
}

std::string_view to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop: return "stop";
    case FinishReason::tool_calls: return "tool_calls";
    case FinishReason::length: return "length";
    case FinishReason::deadline: return "deadline";
  }
  return "?";
}

Usage& Usage::operator+=(const Usage& other) {
  // The mean is over decode steps, for which the output tokens stand.
  const int32_t tokens = output_tokens + other.output_tokens;
  if (tokens > 0)
    batch_mean = (batch_mean * output_tokens + other.batch_mean * other.output_tokens) / tokens;
  prompt_tokens += other.prompt_tokens;
  cached_tokens += other.cached_tokens;
  computed_tokens += other.computed_tokens;
  output_tokens = tokens;
  forced_tokens += other.forced_tokens;
  queue += other.queue;
  prefill += other.prefill;
  decode += other.decode;
  return *this;
}

Json to_json(const Usage& usage) {
  const auto ms = [](std::chrono::nanoseconds duration) {
    return std::chrono::duration<double, std::milli>(duration).count();
  };
  return {{"prompt_tokens", usage.prompt_tokens},
          {"cached_tokens", usage.cached_tokens},
          {"computed_tokens", usage.computed_tokens},
          {"output_tokens", usage.output_tokens},
          {"forced_tokens", usage.forced_tokens},
          {"queue_ms", ms(usage.queue)},
          {"prefill_ms", ms(usage.prefill)},
          {"decode_ms", ms(usage.decode)},
          {"batch_mean", usage.batch_mean}};
}

std::string_view to_string(Phase phase) {
  switch (phase) {
    case Phase::queue: return "queue";
    case Phase::prefill: return "prefill";
    case Phase::decode: return "decode";
  }
  return "unknown";
}

void Model::release(std::string_view, std::span<const Message>) {}

std::optional<size_t> Model::count_tokens(std::string_view) const { return std::nullopt; }

}  // namespace swarm::agents
