#include "engine/model/memory_plan.h"

#include <algorithm>

#include "engine/model/kv_storage.h"
#include "engine/model/placed_weights.h"

namespace swarm::engine::model {
namespace {

size_t product(int32_t a, int32_t b) { return static_cast<size_t>(a) * static_cast<size_t>(b); }

bool has_float_weights(const Weights& weights) {
  const auto is_float = [](const kernels::Weight& weight) {
    return weight.data != nullptr && (weight.type == formats::TensorType::f16 ||
                                      weight.type == formats::TensorType::bf16);
  };
  return is_float(weights.head) ||
         std::ranges::any_of(weights.layers, [&](const LayerWeights& layer) {
           return is_float(layer.q) || is_float(layer.k) || is_float(layer.v) ||
                  is_float(layer.output) || is_float(layer.gate) || is_float(layer.up) ||
                  is_float(layer.down) || is_float(layer.router);
         });
}

}  // namespace

size_t Activations::lay_out(const kernels::KernelLimits& limits, std::byte* base) {
  Carver carver(base);
  const auto take = [&](float*& data, int32_t rows, int32_t width) {
    data = carver.take<float>(product(rows, width));
  };
  const int32_t q_width = limits.heads * limits.head_dim;
  take(x, limits.rows, limits.hidden);
  take(h, limits.rows, limits.hidden);
  take(q, limits.rows, q_width);
  take(mixed, limits.rows, q_width);
  take(k, limits.rows, limits.kv_heads * limits.head_dim);
  take(v, limits.rows, limits.kv_heads * limits.head_dim);
  take(delta, limits.rows, limits.hidden);
  take(router, limits.rows, limits.experts);
  take(expert_weights, limits.rows, limits.experts_used);
  expert_ids = carver.take<int32_t>(product(limits.rows, limits.experts_used));
  take(cos, limits.rows, limits.head_dim / 2);
  take(sin, limits.rows, limits.head_dim / 2);
  take(wanted_x, limits.wanted, limits.hidden);
  take(wanted_mixed, limits.wanted, q_width);
  take(logits, limits.wanted, limits.vocab);
  return carver.bytes();
}

kernels::KernelLimits kernel_limits(const Weights& weights, const ModelConfig& config,
                                    const TransformerOptions& options) {
  const int32_t rows = options.batch_tokens_max;
  const auto at_most_rows = [&](int32_t value) {
    return value == 0 ? rows : std::min(value, rows);
  };
  return {.rows = rows,
          .spans = at_most_rows(options.batch_chunks_max),
          .wanted = at_most_rows(options.logit_rows_max),
          .context = options.context == 0 ? config.context : options.context,
          .page_tokens = options.page_tokens,
          .hidden = config.hidden,
          .heads = config.heads,
          .kv_heads = config.kv_heads,
          .head_dim = config.head_dim,
          .ffn = config.experts == 0 ? config.ffn : config.expert_ffn,
          .experts = config.experts,
          .experts_used = config.experts_used,
          .vocab = config.vocab,
          .float_weights = has_float_weights(weights)};
}

Result<device::ArenaPlan> plan_memory(const Weights& weights, const ModelConfig& config,
                                      const TransformerOptions& options,
                                      const kernels::Footprint& footprint) {
  SWARM_TRY(const KvStorage kv, KvStorage::make(config, options));
  const kernels::KernelLimits limits = kernel_limits(weights, config, options);
  SWARM_TRY_VOID(footprint.check_limits(limits));
  device::ArenaPlan plan;
  plan.add("weights/all", placed_bytes(weights, footprint));
  kv.plan(plan);
  Activations unused;
  plan.add("activations/all", unused.lay_out(limits, nullptr));
  footprint.plan(limits, plan);
  return plan;
}

}  // namespace swarm::engine::model
