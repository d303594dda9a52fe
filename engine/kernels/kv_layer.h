// engine/kernels/kv_layer.h — Where K and V of one layer lie in the pages, for every backend.
// Plain data; the memory is borrowed from its owner (model/kv_storage).
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/kv_type.h"

namespace swarm::engine::kernels {

// Where one row (head_dim elements) of K or V lies: bytes from KvLayer::k or v. scales is used by
// quantised types only.
struct KvPlace {
  size_t codes = 0;
  size_t scales = 0;
};

// K and V of one layer: [page][kv_head], and for each of these the codes [slot][head_dim] followed
// by the scales [slot][head_dim / kKvGroup] of quantised types.
struct KvLayer {
  KvType k_type = KvType::f16;
  KvType v_type = KvType::f16;
  int32_t page_tokens = 0;
  int32_t kv_heads = 0;
  int32_t head_dim = 0;
  std::byte* k = nullptr;
  std::byte* v = nullptr;

  KvPlace place(KvType type, int32_t page, int32_t head, int32_t slot) const {
    const auto slots = static_cast<size_t>(page_tokens);
    const auto at = static_cast<size_t>(slot);
    const size_t code_row = kv_code_bytes(type, head_dim);
    const size_t scale_row = kv_scale_bytes(type, head_dim);
    const size_t first = (static_cast<size_t>(page) * static_cast<size_t>(kv_heads) +
                          static_cast<size_t>(head)) * slots * (code_row + scale_row);
    return {.codes = first + at * code_row, .scales = first + slots * code_row + at * scale_row};
  }
  KvPlace k_place(int32_t page, int32_t head, int32_t slot) const {
    return place(k_type, page, head, slot);
  }
  KvPlace v_place(int32_t page, int32_t head, int32_t slot) const {
    return place(v_type, page, head, slot);
  }
};

}  // namespace swarm::engine::kernels
