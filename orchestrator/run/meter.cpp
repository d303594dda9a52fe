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

void Meter::check_tokens(int64_t allowed) const {
  if (limits_.tokens && totals_.prompt_tokens + totals_.output_tokens + live_tokens_ > allowed)
    throw ErrorException(over_budget("tokens", *limits_.tokens));
}

void Meter::begin_model_call() {
  if (limits_.model_calls && totals_.model_calls >= *limits_.model_calls)
    throw ErrorException(over_budget("model_calls", *limits_.model_calls));
  if (limits_.tokens) check_tokens(*limits_.tokens - 1);  // nothing left: not even a prompt fits
  ++totals_.model_calls;
}

void Meter::add(const agents::Usage& usage) {
  totals_.prompt_tokens += usage.prompt_tokens;
  totals_.cached_tokens += usage.cached_tokens;
  totals_.computed_tokens += usage.computed_tokens;
  totals_.output_tokens += usage.output_tokens;
  totals_.forced_tokens += usage.forced_tokens;
}

// What a call has used until its reply says so exactly. A call that never replies used it, too.
class Meter::Live {
 public:
  explicit Live(Meter& meter) : meter_(meter) {}
  ~Live() {
    meter_.live_tokens_ -= prompt_ + output_;
    meter_.totals_.prompt_tokens += prompt_;
    meter_.totals_.output_tokens += output_;
  }
  Live(const Live&) = delete;
  Live& operator=(const Live&) = delete;

  void add(const agents::Progress& progress) {
    prompt_ += progress.prompt_tokens;
    output_ += progress.output_tokens;
    meter_.live_tokens_ += progress.prompt_tokens + progress.output_tokens;
    if (meter_.limits_.tokens) meter_.check_tokens(*meter_.limits_.tokens);
  }
  void replace_by(const agents::Usage& usage) {
    meter_.live_tokens_ -= prompt_ + output_;
    prompt_ = output_ = 0;
    meter_.add(usage);
  }

 private:
  Meter& meter_;
  int64_t prompt_ = 0;
  int64_t output_ = 0;
};

Async<agents::ModelReply> MeteredModel::generate(agents::ModelRequest request) {
  meter_.begin_model_call();
  Meter::Live live(meter_);
  request.on_progress = [&live, observe = std::move(request.on_progress)](
                            const agents::Progress& progress) {
    live.add(progress);
    if (observe) observe(progress);
  };
  request.on_cut_off = [&live, observe = std::move(request.on_cut_off)](
                           const agents::Usage& usage) {
    live.replace_by(usage);
    if (observe) observe(usage);
  };
  try {
    agents::ModelReply reply = co_await model_.generate(std::move(request));
    live.replace_by(reply.usage);
    co_return reply;
  } catch (const ErrorException& e) {
    if (e.error().kind == ErrorKind::environment) meter_.model_lost_ = true;
    throw;
  }
}

}  // namespace swarm::run
