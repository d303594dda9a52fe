#include "engine/engine.h"

#include <algorithm>
#include <new>
#include <optional>

#include "engine/base/check.h"
#include "engine/base/units.h"
#include "engine/chat.h"
#include "engine/chat_codec.h"
#include "engine/grammar_constraint.h"
#include "engine/kernels/accelerator.h"
#include "engine/model/model_source.h"
#include "engine/model/transformer.h"
#include "engine/step_loop.h"

namespace swarm::engine {
namespace {

constexpr uint64_t kDefaultKvBytesMax = 1_GiB;

// EngineConfig::validate() came before.
model::KvType kv_type(const std::string& name) {
  const auto found = kernels::kv_type_by_name(name);
  SWARM_CHECK(found.has_value(), name);
  return *found;
}

// Where the forward pass runs; no backend = the CPU.
struct Place {
  std::unique_ptr<kernels::Kernels> backend;
  uint64_t kv_bytes_default = kDefaultKvBytesMax;
};

Result<Place> open_place(const EngineConfig& config, const formats::GgufFile& file,
                         const kernels::Accelerator* accelerator) {
  Place place;
  if (config.device == "cpu") return place;
  if (accelerator == nullptr) {
    if (config.device == "auto") return place;
    return environment_error("engine.device: this build has no CUDA backend; use auto or cpu");
  }
  SWARM_TRY(const std::optional<int32_t> index, accelerator->choose(config.device));
  if (!index) return place;
  SWARM_TRY(const uint64_t free, accelerator->free_bytes(*index));
  const uint64_t weights = file.file_bytes();
  // What does not fit is refused with the numbers when the memory is claimed.
  if (free > weights)
    place.kv_bytes_default = std::max(kDefaultKvBytesMax / 16, (free - weights) / 5 * 4);
  SWARM_TRY(place.backend, accelerator->open(*index, {.deterministic = config.deterministic}));
  return place;
}

Result<int32_t> choose_page_count(const EngineConfig& config, const model::ModelConfig& shape,
                                  int32_t context, uint64_t kv_bytes_default) {
  const auto page_tokens = static_cast<uint64_t>(config.page_tokens);
  const uint64_t page_bytes = page_tokens * model::kv_bytes_per_token(
      shape, kv_type(config.k_type), kv_type(config.v_type));
  const uint64_t context_pages = (static_cast<uint64_t>(context) + page_tokens - 1) / page_tokens;
  const uint64_t wanted = context_pages * static_cast<uint64_t>(config.max_resident);
  const bool chosen = config.kv_bytes_max != 0;
  const uint64_t bytes_max = chosen ? config.kv_bytes_max : kv_bytes_default;
  const uint64_t limit = bytes_max / page_bytes;
  const uint64_t pages = chosen ? limit : std::min(wanted, limit);
  if (pages < 1 || pages > INT32_MAX)
    return invalid_input("engine.kv_bytes_max: one page of " +
                         std::to_string(config.page_tokens) + " tokens takes " +
                         format_bytes(page_bytes) + ", the limit " + format_bytes(bytes_max) +
                         " holds " + std::to_string(pages));
  return static_cast<int32_t>(pages);
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
  SWARM_TRY(auto file, model::open_model(config.model, stop));
  SWARM_TRY(const model::ModelConfig shape, model::read_model_config(*file));
  const int32_t context =
      config.context_max == 0 ? shape.context : std::min(shape.context, config.context_max);
  SWARM_TRY(Place place, open_place(config, *file, accelerator));
  SWARM_TRY(const int32_t page_count,
            choose_page_count(config, shape, context, place.kv_bytes_default));
  StepLoopOptions options{.limits = {.page_count = page_count,
                                     .page_tokens = config.page_tokens,
                                     .max_running = config.max_running,
                                     .max_resident = config.max_resident,
                                     .prefill_batch_tokens = config.prefill_batch_tokens,
                                     .queue_depth_max = config.queue_depth_max,
                                     .context = context},
                          .vocab = shape.vocab};
  SWARM_TRY(auto transformer,
            model::Transformer::open(file, {.k_type = kv_type(config.k_type),
                                            .v_type = kv_type(config.v_type),
                                            .page_tokens = config.page_tokens,
                                            .page_count = page_count,
                                            .batch_tokens_max = options.limits.step_tokens_max(),
                                            .batch_chunks_max = config.max_resident,
                                            .logit_rows_max = config.max_resident,
                                            .context = context,
                                            .threads = config.threads,
                                            .isa = config.isa},
                                     std::move(place.backend)));
  if (stop.stop_requested()) return Error{ErrorKind::cancelled, "loading the model was stopped"};
  TextSide text = open_text_side(*file, shape.vocab);
  if (text.vocab > 0) options.vocab = text.vocab;
  options.think = std::move(text.think);
  auto impl = std::make_unique<Impl>(
      Impl{.file = file, .transformer = std::move(transformer), .codec = std::move(text.codec),
           .info = {}, .loop = nullptr});
  impl->info = describe(*impl->transformer, *file, context);
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

std::span<const Output> Engine::step(const Began& began) { return impl_->loop->step(began); }
bool Engine::idle() const { return impl_->loop->idle(); }
EngineStats Engine::stats() const { return impl_->loop->stats(); }
const ModelInfo& Engine::info() const { return impl_->info; }
Result<std::shared_ptr<const ChatCodec>> Engine::chat() const { return impl_->codec; }
void Engine::check_integrity() const { impl_->loop->check_integrity(); }

}  // namespace swarm::engine
