#include "engine/engine_plan.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/units.h"
#include "engine/model/memory_plan.h"

namespace swarm::engine {
namespace {

// EngineConfig::validate() came before.
model::KvType kv_type(const std::string& name) {
  const auto found = kernels::kv_type_by_name(name);
  SWARM_CHECK(found.has_value(), name);
  return *found;
}

// The largest value in [0, most] for which `fits` holds; it holds for all smaller ones too.
template <class Fits>
int32_t largest(int32_t most, Fits fits) {
  int32_t good = 0, bad = most;
  if (fits(most)) return most;
  while (bad - good > 1) {
    const int32_t middle = good + (bad - good) / 2;
    (fits(middle) ? good : bad) = middle;
  }
  return good;
}

constexpr int32_t kResidentsMax = 1 << 16;

}  // namespace

EnginePlanner::EnginePlanner(const EngineConfig& config, model::ModelConfig shape,
                             model::Weights weights, const kernels::Footprint& footprint)
    : config_(config), shape_(std::move(shape)), weights_(std::move(weights)),
      footprint_(&footprint) {}

Result<EnginePlanner> EnginePlanner::make(const EngineConfig& config,
                                          const formats::GgufFile& file,
                                          const kernels::Footprint& footprint) {
  SWARM_TRY(auto shape, model::read_model_config(file));
  if (config.context_max > shape.context)
    return invalid_input("engine.context_max: expected at most " + std::to_string(shape.context) +
                         " (the context of the model), found " +
                         std::to_string(config.context_max));
  SWARM_TRY(auto weights, model::bind_weights(file, shape, footprint));
  return EnginePlanner(config, std::move(shape), std::move(weights), footprint);
}

int32_t EnginePlanner::context() const {
  return config_.context_max == 0 ? shape_.context : config_.context_max;
}

uint64_t EnginePlanner::page_bytes() const {
  return static_cast<uint64_t>(config_.page_tokens) *
         model::kv_bytes_per_token(shape_, kv_type(config_.k_type), kv_type(config_.v_type));
}

int32_t EnginePlanner::pages_wanted(int32_t context, int32_t residents) const {
  const int64_t per_context = (int64_t{context} + config_.page_tokens - 1) / config_.page_tokens;
  return static_cast<int32_t>(std::min<int64_t>(per_context * residents, INT32_MAX));
}

Result<EnginePlan> EnginePlanner::plan(const EngineSize& size) const {
  EnginePlan plan;
  plan.limits = {.page_count = size.pages,
                 .page_tokens = config_.page_tokens,
                 .max_running = std::min(config_.max_running, size.residents),
                 .max_resident = size.residents,
                 .prefill_batch_tokens = config_.prefill_batch_tokens,
                 .queue_depth_max = config_.queue_depth_max,
                 .context = size.context};
  plan.transformer = {.k_type = kv_type(config_.k_type),
                      .v_type = kv_type(config_.v_type),
                      .page_tokens = config_.page_tokens,
                      .page_count = size.pages,
                      .batch_tokens_max = plan.limits.step_tokens_max(),
                      .batch_chunks_max = size.residents,
                      .logit_rows_max = size.residents,
                      .context = size.context,
                      .threads = config_.threads,
                      .isa = config_.isa};
  SWARM_TRY(plan.memory, model::plan_memory(weights_, shape_, plan.transformer, *footprint_));
  return plan;
}

bool EnginePlanner::fits(const EngineSize& size, const Room& room) const {
  const auto planned = plan(size);
  return planned && planned->memory.check_fits(room.device, room.memory, room.reserve_bytes);
}

int32_t EnginePlanner::pages_in(const EngineSize& size, const Room& room) const {
  return largest(size.pages, [&](int32_t pages) {
    return fits({.context = size.context, .residents = size.residents, .pages = pages}, room);
  });
}

int32_t EnginePlanner::largest_context(int32_t residents, const Room& room) const {
  const int32_t page = config_.page_tokens;
  const int32_t pages = largest((shape_.context + page - 1) / page, [&](int32_t count) {
    const int32_t context = std::min(count * page, shape_.context);
    return count == 0 || fits({.context = context, .residents = residents,
                               .pages = pages_wanted(context, residents)}, room);
  });
  return std::min(pages * page, shape_.context);
}

int32_t EnginePlanner::most_residents(int32_t context, const Room& room) const {
  return largest(kResidentsMax, [&](int32_t residents) {
    return residents == 0 || fits({.context = context, .residents = residents,
                                   .pages = pages_wanted(context, residents)}, room);
  });
}

Error EnginePlanner::does_not_fit(const EngineSize& size, const Room& room) const {
  const auto planned = plan(size);
  if (!planned) return planned.error();
  const auto checked = planned->memory.check_fits(room.device, room.memory, room.reserve_bytes);
  SWARM_CHECK(checked.has_error());
  const int32_t pages = pages_in(size, room);
  const int32_t tokens = largest_context(size.residents, room);
  const int32_t residents = most_residents(size.context, room);
  std::string advice;
  if (pages > 0)
    advice += "engine.kv_bytes_max " + format_bytes(static_cast<uint64_t>(pages) * page_bytes());
  if (tokens > 0)
    advice += (advice.empty() ? "" : ", or ") + std::string("engine.context_max ") +
              std::to_string(tokens) + " for " + std::to_string(size.residents) + " residents";
  if (residents > 0)
    advice += ", or engine.max_resident " + std::to_string(residents) + " of " +
              std::to_string(size.context) + " tokens";
  if (advice.empty()) advice = "no context at all; a smaller model or weight type";
  return Error{checked.error().kind, checked.error().message + ". What would fit: " + advice};
}

}  // namespace swarm::engine
