// engine/model/kv_storage.h — The pages of K and V of all layers in host memory.
// Owns one mapping per kind (K, V): [layer][page][kv_head][slot][head_dim]. Pages nobody wrote cost
// no memory until they are touched. Who uses which page is decided above. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/base/error.h"
#include "engine/kernels/kernels.h"
#include "engine/model/model_config.h"
#include "engine/model/transformer.h"

namespace swarm::engine::model {

struct KvUnmap {
  size_t bytes = 0;
  void operator()(std::byte* data) const noexcept;
};

// One kind (K or V) of all layers.
struct KvStore {
  std::unique_ptr<std::byte, KvUnmap> data;
  size_t page_bytes = 0;
  size_t layer_bytes = 0;
  size_t bytes = 0;
};

class KvStorage {
 public:
  static Result<KvStorage> make(const ModelConfig& config, const TransformerOptions& options);

  kernels::KvLayer layer(int32_t index) const;
  // Copies a whole page in every layer.
  void copy_page(int32_t from, int32_t to);
  uint64_t bytes() const { return k_.bytes + v_.bytes; }

 private:
  KvStore k_;
  KvStore v_;
  kernels::KvLayer shape_;     // without pointers
  int32_t layers_ = 0;
  int32_t page_count_ = 0;
};

}  // namespace swarm::engine::model
