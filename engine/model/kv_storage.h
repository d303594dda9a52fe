// engine/model/kv_storage.h — The pages of K and V of all layers, in the memory of a backend.
// One block per kind (K, V): [layer][page][kv_head][slot][head_dim]. Who uses which page is decided
// above. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/base/error.h"
#include "engine/kernels/kernels.h"
#include "engine/model/model_config.h"
#include "engine/model/transformer.h"

namespace swarm::engine::model {

class KvStorage {
 public:
  // Refused when the sizes overflow. Then plan() and claim() in turn.
  static Result<KvStorage> make(const ModelConfig& config, const TransformerOptions& options);
  void plan(device::ArenaPlan& plan) const;
  void claim(kernels::Memory& memory);    // memory outlives the storage

  kernels::KvLayer layer(int32_t index) const;
  // Copies a whole page in every layer.
  void copy_page(int32_t from, int32_t to);
  uint64_t bytes() const { return k_.bytes + v_.bytes; }

 private:
  // One kind (K or V) of all layers.
  struct Store {
    std::byte* data = nullptr;
    size_t page_bytes = 0;
    size_t layer_bytes = 0;
    size_t bytes = 0;
  };
  static Result<Store> size_store(const ModelConfig& config, const TransformerOptions& options,
                                  KvType type, const char* option);

  Store k_;
  Store v_;
  kernels::Memory* memory_ = nullptr;
  kernels::KvLayer shape_;     // without pointers
  int32_t layers_ = 0;
  int32_t page_count_ = 0;
};

}  // namespace swarm::engine::model
