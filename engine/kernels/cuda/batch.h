// engine/kernels/cuda/batch.h — What kernels know of the batch in hand and of the KV cache: plain
// views of device memory, passed by value inside the argument structs. Written once per step by
// cuda_kernels.cpp (one staged copy), read by every op until the next begin().
#pragma once

#include <cstdint>

#include "engine/kernels/kv_type.h"

namespace swarm::engine::kernels::cuda {

// Consecutive rows of the batch that are consecutive positions of one sequence. Position p lies in
// page pages[first_page + p / page_tokens], slot p % page_tokens.
struct SpanView {
  int32_t first_row = 0;
  int32_t count = 0;
  int32_t position = 0;                // of first_row
  int32_t first_page = 0;              // of the sequence, in BatchView::pages
};

struct BatchView {
  const int32_t* tokens = nullptr;     // [rows]
  const int32_t* positions = nullptr;  // [rows]
  const int32_t* row_span = nullptr;   // [rows] which span a row belongs to
  const int32_t* wanted = nullptr;     // [wanted_count] rows whose logits count, ascending
  const SpanView* spans = nullptr;     // [span_count]
  const int32_t* pages = nullptr;      // the page lists of all spans, one behind the other
  int32_t rows = 0;
  int32_t span_count = 0;
  int32_t wanted_count = 0;
};

// K and V of one layer: [page][kv_head] blocks of page_tokens rows of head_dim elements. How a
// block is laid out inside is the business of kv_append and attention alone; its size is
// page_tokens times the bytes of one row (kv_type.h).
struct KvView {
  KvType k_type = KvType::f16;
  KvType v_type = KvType::f16;
  int32_t page_tokens = 0;
  int32_t kv_heads = 0;
  int32_t head_dim = 0;
  uint8_t* k = nullptr;
  uint8_t* v = nullptr;
};

}  // namespace swarm::engine::kernels::cuda
