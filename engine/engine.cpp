#include "engine/engine.h"

#include <algorithm>
#include <new>
#include <optional>

#include "engine/base/check.h"
#include "engine/base/units.h"
#include "engine/chat.h"
#include "engine/chat_codec.h"
#include "engine/engine_plan.h"
#include "engine/grammar_constraint.h"
#include "engine/kernels/accelerator.h"
#include "engine/model/model_source.h"
#include "engine/model/transformer.h"
#include "engine/step_loop.h"

namespace swarm::engine {
namespace {

constexpr uint64_t kDefaultKvBytesMax = 1_GiB;

// Where the forward pass runs; no index = the CPU.
struct Place {
  std::optional<int32_t> index;
  Room room;
  const kernels::Footprint* footprint = &kernels::host_footprint();
};

Result<Place> choose_place(const EngineConfig& config, const kernels::Accelerator* accelerator) {
  Place place;
  if (config.device == "cpu") return place;
  if (accelerator == nullptr) {
    if (config.device == "auto") return place;
    return environment_error("engine.device: this build has no CUDA backend; use auto or cpu");
  }
  SWARM_TRY(place.index, accelerator->choose(config.device));
  if (!place.index) return place;
  place.footprint = &accelerator->footprint();
  place.room = {.device = "cuda:" + std::to_string(*place.index),
                .memory = {}, .reserve_bytes = kernels::kDeviceReserveBytes};
  SWARM_TRY(place.room.memory, accelerator->memory(*place.index));
  return place;
}

// As many pages as the residents want and kv_bytes_max allows; by default 1 GiB on the CPU and
// what is free on a device. Refused with the numbers before anything is claimed.
Result<EngineSize> choose_size(const EngineConfig& config, const EnginePlanner& planner,
                               const Place& place) {
  EngineSize size{.context = planner.context(), .residents = config.max_resident,
                  .pages = planner.pages_wanted(planner.context(), config.max_resident)};
  const bool chosen = config.kv_bytes_max != 0;
  if (chosen || !place.index) {
    const uint64_t bytes_max = chosen ? config.kv_bytes_max : kDefaultKvBytesMax;
    const uint64_t limit = bytes_max / planner.page_bytes();
    const uint64_t pages = chosen ? limit : std::min(static_cast<uint64_t>(size.pages), limit);
    if (pages < 1 || pages > INT32_MAX)
      return invalid_input("engine.kv_bytes_max: one page of " +
                           std::to_string(config.page_tokens) + " tokens takes " +
                           format_bytes(planner.page_bytes()) + ", the limit " +
                           format_bytes(bytes_max) + " holds " + std::to_string(pages));
    size.pages = static_cast<int32_t>(pages);
  }
  if (!place.index) return size;
  if (!chosen) size.pages = std::max(1, planner.pages_in(size, place.room));
  if (!planner.fits(size, place.room)) return planner.does_not_fit(size, place.room);
  return size;
}

ModelInfo describe(const model::Transformer& transformer, const formats::GgufFile& file,
                   int32_t context) {
  const model::ModelConfig& shape = transformer.config();
  return {.name = shape.name.empty() ? file.name() : shape.name,
          .architecture = shape.architecture,
          .device = transformer.device_name(),
          .context = context,
          .vocab = shape.vocab,
          .weight_bytes = transformer.weight_bytes(),
          .kv_bytes = transformer.kv_bytes(),
          .bytes_per_token = transformer.bytes_per_token()};
}

}  // namespace

std::string_view to_string(Finish finish) {
  switch (finish) {
    case Finish::none: return "none";
    case Finish::stop: return "stop";
    case Finish::length: return "length";
    case Finish::grammar_end: return "grammar_end";
    case Finish::cancelled: return "cancelled";
    case Finish::deadline: return "deadline";
    case Finish::failed: return "failed";
  }
  return "unknown";
}

struct Engine::Impl {
  std::shared_ptr<const formats::GgufFile> file;
  std::unique_ptr<model::Transformer> transformer;
  Result<std::shared_ptr<const ChatCodec>> codec;   // shared with whoever asked chat() for it
  ModelInfo info;
  std::unique_ptr<StepLoop> loop;
};

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::open(const EngineConfig& config, const Clock& clock,
                                             std::stop_token stop,
                                             const kernels::Accelerator* accelerator) try {
  SWARM_TRY_VOID(config.validate());
  const TimePoint begin = clock.now();
  // The shapes tell what is wrong, and what does not fit, before any weight is made or read.
  SWARM_TRY(const auto shapes, model::open_model_shapes(config.model));
  SWARM_TRY(const Place place, choose_place(config, accelerator));
  SWARM_TRY(const auto planner, EnginePlanner::make(config, *shapes, *place.footprint));
  SWARM_TRY(const EngineSize size, choose_size(config, planner, place));
  SWARM_TRY(const EnginePlan plan, planner.plan(size));
  std::unique_ptr<kernels::Kernels> backend;
  if (place.index) {
    SWARM_TRY(backend, accelerator->open(*place.index, {.deterministic = config.deterministic,
                                                        .portable = config.kernels == "portable"}));
  }
  SWARM_TRY(auto file, model::open_model(config.model, stop));
  const int32_t context = size.context;
  StepLoopOptions options{.limits = plan.limits, .vocab = planner.shape().vocab};
  SWARM_TRY(auto transformer,
            model::Transformer::open(file, plan.transformer, std::move(backend)));
  if (stop.stop_requested()) return Error{ErrorKind::cancelled, "loading the model was stopped"};
  TextSide text = open_text_side(*file, planner.shape().vocab);
  if (text.vocab > 0) options.vocab = text.vocab;
  options.think = std::move(text.think);
  auto impl = std::make_unique<Impl>(
      Impl{.file = file, .transformer = std::move(transformer), .codec = std::move(text.codec),
           .info = {}, .loop = nullptr});
  impl->info = describe(*impl->transformer, *file, context);
  impl->info.load = clock.now() - begin;
  impl->info.memory = plan.memory.table();
  impl->loop = std::make_unique<StepLoop>(*impl->transformer, std::move(options), clock);
  return std::make_unique<Engine>(std::move(impl));
} catch (const std::bad_alloc&) {
  return environment_error("not enough memory for the model and its KV cache; lower "
                           "engine.kv_bytes_max or take a smaller model");
}

Result<RequestId> Engine::submit(Request request) {
  std::unique_ptr<Constraint> constraint;
  if (request.grammar) constraint = make_constraint(request.grammar);
  return impl_->loop->submit(std::move(request), std::move(constraint));
}

void Engine::cancel(RequestId id) { impl_->loop->cancel(id); }

Result<RequestId> Engine::fork(RequestId parent, Request request) {
  return impl_->loop->fork(parent, std::move(request));
}

void Engine::forget(std::span<const TokenId> tokens, int32_t from) {
  impl_->loop->forget(tokens, from);
}
void Engine::unpin(uint64_t owner) { impl_->loop->unpin(owner); }

std::span<const Output> Engine::step(const Began& began) { return impl_->loop->step(began); }
bool Engine::idle() const { return impl_->loop->idle(); }
EngineStats Engine::stats() const { return impl_->loop->stats(); }
const ModelInfo& Engine::info() const { return impl_->info; }
Result<std::shared_ptr<const ChatCodec>> Engine::chat() const { return impl_->codec; }
void Engine::check_integrity() const { impl_->loop->check_integrity(); }

}  // namespace swarm::engine
