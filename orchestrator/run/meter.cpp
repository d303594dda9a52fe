#include "orchestrator/run/meter.h"

#include <utility>

namespace swarm::run {
namespace {

Error over_budget(const std::string& limit, int64_t value) {
  return Error{ErrorKind::budget, "limits." + limit + " reached: " + std::to_string(value)};
}

}  // namespace

Json to_json(const Totals& totals) {
  return {{"model_calls", totals.model_calls},         {"tool_calls", totals.tool_calls},
          {"prompt_tokens", totals.prompt_tokens},     {"cached_tokens", totals.cached_tokens},
          {"computed_tokens", totals.computed_tokens}, {"output_tokens", totals.output_tokens},
          {"forced_tokens", totals.forced_tokens}};
}

Json to_json(const agents::Usage& usage) {
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

void Meter::begin_model_call() {
  if (limits_.model_calls && totals_.model_calls >= *limits_.model_calls)
    throw ErrorException(over_budget("model_calls", *limits_.model_calls));
  if (limits_.tokens && totals_.prompt_tokens + totals_.output_tokens >= *limits_.tokens)
    throw ErrorException(over_budget("tokens", *limits_.tokens));
  ++totals_.model_calls;
}

void Meter::add(const agents::Usage& usage) {
  totals_.prompt_tokens += usage.prompt_tokens;
  totals_.cached_tokens += usage.cached_tokens;
  totals_.computed_tokens += usage.computed_tokens;
  totals_.output_tokens += usage.output_tokens;
  totals_.forced_tokens += usage.forced_tokens;
}

Async<agents::ModelReply> MeteredModel::generate(agents::ModelRequest request) {
  meter_.begin_model_call();
  agents::ModelReply reply = co_await model_.generate(std::move(request));
  meter_.add(reply.usage);
  co_return reply;
}

}  // namespace swarm::run
