#include "engine/model/kv_storage.h"

#include <utility>

#include "engine/base/check.h"
#include "engine/base/units.h"

namespace swarm::engine::model {

Result<KvStorage::Store> KvStorage::size_store(const ModelConfig& config,
                                               const TransformerOptions& options, KvType type,
                                               const char* option) {
  if (kernels::kv_quantised(type) && config.head_dim % kernels::kKvGroup != 0) {
    return invalid_input(std::string(option) + ": " + std::string(kernels::kv_type_name(type)) +
                         " needs a head size that is a multiple of " +
                         std::to_string(kernels::kKvGroup) + ", this model has " +
                         std::to_string(config.head_dim));
  }
  Store store;
  store.page_bytes = static_cast<size_t>(options.page_tokens) *
                     static_cast<size_t>(config.kv_heads) *
                     kernels::kv_row_bytes(type, config.head_dim);
  const auto layer_bytes = checked_mul(store.page_bytes, static_cast<uint64_t>(options.page_count));
  const auto bytes = checked_mul(layer_bytes.value_or(UINT64_MAX),
                                 static_cast<uint64_t>(config.layers));
  if (!layer_bytes || !bytes) {
    return invalid_input("kv cache: page_count " + std::to_string(options.page_count) +
                         " does not fit into memory");
  }
  store.layer_bytes = *layer_bytes;
  store.bytes = *bytes;
  return store;
}

Result<KvStorage> KvStorage::make(const ModelConfig& config, const TransformerOptions& options) {
  KvStorage kv;
  SWARM_TRY(kv.k_, size_store(config, options, options.k_type, "k_type"));
  SWARM_TRY(kv.v_, size_store(config, options, options.v_type, "v_type"));
  kv.shape_ = {.k_type = options.k_type, .v_type = options.v_type,
               .page_tokens = options.page_tokens, .kv_heads = config.kv_heads,
               .head_dim = config.head_dim};
  kv.layers_ = config.layers;
  kv.page_count_ = options.page_count;
  return kv;
}

void KvStorage::plan(device::ArenaPlan& plan) const {
  plan.add("kv/k", k_.bytes);
  plan.add("kv/v", v_.bytes);
}

void KvStorage::claim(kernels::Memory& memory) {
  memory_ = &memory;
  k_.data = memory.claim("kv/k", k_.bytes);
  v_.data = memory.claim("kv/v", v_.bytes);
}

kernels::KvLayer KvStorage::layer(int32_t index) const {
  kernels::KvLayer layer = shape_;
  layer.k = k_.data + static_cast<size_t>(index) * k_.layer_bytes;
  layer.v = v_.data + static_cast<size_t>(index) * v_.layer_bytes;
  return layer;
}

void KvStorage::copy_page(int32_t from, int32_t to) {
  SWARM_CHECK(from >= 0 && from < page_count_, from, page_count_);
  SWARM_CHECK(to >= 0 && to < page_count_, to, page_count_);
  SWARM_CHECK(from != to, from);
  for (const Store* store : {&k_, &v_}) {
    memory_->copy(store->data + static_cast<size_t>(to) * store->page_bytes,
                  store->data + static_cast<size_t>(from) * store->page_bytes, store->page_bytes,
                  store->layer_bytes, layers_);
  }
}

}  // namespace swarm::engine::model
