// tests/engine/kernels/cuda/attention/attention_case.h — One attention call: a batch, filled pages,
// queries, and what must come out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/kernels/cuda/attention/attention.h"
#include "tests/engine/kernels/cuda/attention/paged_case.h"
#include "tests/engine/kernels/cuda/kv_pairs.h"

namespace swarm::test {

struct AttentionShape {
  int32_t heads = 1;
  int32_t kv_heads = 1;
  int32_t head_dim = 64;
  int32_t page_tokens = 16;
  engine::kernels::KvType k_type = engine::kernels::KvType::f16;
  engine::kernels::KvType v_type = engine::kernels::KvType::f16;
};

// Values of q, K and V depend on (sequence, position, head, element) alone, so that the same row in
// another batch, page size or place has the same inputs. Slots behind the end stay poisoned.
struct AttentionCase {
  AttentionCase(const AttentionShape& shape, const std::vector<SpanSpec>& specs, uint64_t seed = 1);

  engine::kernels::cuda::PagedAttentionArgs args(std::vector<float>& out,
                                                 std::vector<uint8_t>& scratch);
  // out, poisoned before; scratch as large as attention_scratch_bytes says.
  std::vector<float> run(simt::Stream stream, bool deterministic);
  // Of the reference kernels, over what the pages hold.
  std::vector<float> want();
  // The same call with q, K and V rounded to f16 as the tile kernel does (attention_tile.h).
  AttentionCase rounded();
  std::vector<float> row(const std::vector<float>& out, int32_t index) const;

  float scale() const;

  AttentionShape shape;
  PagedBatch batch;
  PagedKv kv;
  std::vector<float> q;
};

}  // namespace swarm::test
