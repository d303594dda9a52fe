// One warp per head vector: grid (rows, (heads + 2 kv_heads) / 4), 4 warps. A lane keeps the pairs
// (j, j + half), j = lane, lane + 32, ..., in registers: sum of squares, norm, rotation; q goes
// back, k and v go through shared memory to be stored in the order of elements, 32 at a time.
// Memory-bound: 8 bytes per q element, 4 + stored bytes per k and v element; 4 flops per element.
// nvcc 13, sm_90a: 40 registers, 4096 bytes of shared memory, no spills.
// rope_append_test.cpp: head sizes from 2 to 256, all pairs of types, pages of 1 to 256 tokens.
#include "engine/kernels/cuda/attention/rope_append.h"

#include "engine/kernels/cuda/attention/kv_block.h"
#include "engine/kernels/cuda/prim/math.h"
#include "engine/kernels/cuda/prim/warp.h"
#include "engine/kernels/cuda/simt/simt.h"

namespace swarm::engine::kernels::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kPairs = kHeadDimMax / 2 / simt::kWarp;    // of one lane

struct RopeAppendSmem {
  float head[kWarps][kHeadDimMax];
};
static_assert(sizeof(RopeAppendSmem) == 4096);

struct Pairs {
  float a[kPairs];                     // element lane + 32 i
  float b[kPairs];                     // element lane + 32 i + half
};

__device__ Pairs norm_rope(const RopeAppendArgs& p, const float* x, const float* weight,
                           int64_t row) {
  const int half = p.kv.head_dim / 2;
  Pairs pairs;
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < kPairs; ++i) {
    const int j = simt::lane() + i * simt::kWarp;
    pairs.a[i] = j < half ? x[j] : 0.0f;
    pairs.b[i] = j < half ? x[j + half] : 0.0f;
    sum = prim::fma(pairs.a[i], pairs.a[i], sum);
    sum = prim::fma(pairs.b[i], pairs.b[i], sum);
  }
  const float mean = prim::divide(prim::warp_sum(sum), static_cast<float>(p.kv.head_dim));
  const float factor = prim::divide(1.0f, prim::sqrt(prim::add(mean, p.eps)));
#pragma unroll
  for (int i = 0; i < kPairs; ++i) {
    const int j = simt::lane() + i * simt::kWarp;
    if (j < half) {
      const float a = pairs.a[i] * factor * weight[j];
      const float b = pairs.b[i] * factor * weight[j + half];
      const float cos = p.cos[row * half + j], sin = p.sin[row * half + j];
      pairs.a[i] = prim::fma(a, cos, -prim::multiply(b, sin));
      pairs.b[i] = prim::fma(a, sin, prim::multiply(b, cos));
    }
  }
  return pairs;
}

__device__ void store_pairs(const Pairs& pairs, int half, float* to) {
#pragma unroll
  for (int i = 0; i < kPairs; ++i) {
    const int j = simt::lane() + i * simt::kWarp;
    if (j < half) {
      to[j] = pairs.a[i];
      to[j + half] = pairs.b[i];
    }
  }
}

// A group with an infinity or NaN has this scale and codes of 0 (kv_rows.h).
constexpr prim::f16 kHalfNan{0x7e00};
constexpr uint32_t kInfinity = 0x7f800000u;

__device__ uint32_t magnitude_of(float x) { return prim::bit_cast<uint32_t>(x) & 0x7fffffffu; }
__device__ float inverse_of(float d) { return d != 0.0f ? prim::divide(1.0f, d) : 0.0f; }

// d = max|x| / 127, code = x / d, halves away from zero.
__device__ void store_q8(float x, uint8_t* code, uint8_t* scale) {
  // As integers, magnitudes order like numbers, and NaN comes out on top.
  const uint32_t largest = prim::warp_max(magnitude_of(x));
  const bool finite = largest < kInfinity;
  const float d = prim::divide(prim::bit_cast<float>(largest), 127.0f);
  const float level = finite ? prim::multiply(x, inverse_of(d)) : 0.0f;
  int32_t nearest = prim::to_int(level);           // ties to even: corrected
  const float rest = level - static_cast<float>(nearest);
  if (rest == 0.5f && level > 0.0f) ++nearest;
  if (rest == -0.5f && level < 0.0f) --nearest;
  *code = static_cast<uint8_t>(nearest);
  if (simt::lane() == 0) store_as(scale, finite ? prim::to_f16(d) : kHalfNan);
}

// m = the first of the elements of largest magnitude, d = m / -8, code = trunc(x / d + 8.5) <= 15.
__device__ void store_q4(float x, uint8_t* codes, uint8_t* scale) {
  const auto below = static_cast<uint64_t>(simt::kWarp - 1 - simt::lane());
  const uint64_t best = prim::warp_max(uint64_t{magnitude_of(x)} << 32 | below);
  const bool finite = (best >> 32) < kInfinity;
  const float m = prim::shuffle(x, simt::kWarp - 1 - static_cast<int>(best & 31u));
  const float d = prim::divide(m, -8.0f);
  const float level = finite ? prim::add(prim::multiply(x, inverse_of(d)), 8.5f) : 0.0f;
  int32_t code = prim::to_int(level);
  if (static_cast<float>(code) > level) --code;
  code = prim::min(code, 15);
  const int32_t high = prim::shuffle_xor(code, 16);
  if (simt::lane() < 16) codes[simt::lane()] = static_cast<uint8_t>(code | high << 4);
  if (simt::lane() == 0) store_as(scale, finite ? prim::to_f16(d) : kHalfNan);
}

// x: [head_dim] in shared memory. The whole warp.
__device__ void append(const KvSide& side, int32_t block, int32_t slot, const float* x,
                       int32_t head_dim) {
  uint8_t* codes = kv_codes(side, block, slot);
  uint8_t* scales = kv_scales(side, block, slot);
  if (kv_quantised(side.type)) {
    for (int g = 0; g < head_dim / kKvGroup; ++g) {
      const float value = x[g * kKvGroup + simt::lane()];
      if (side.type == KvType::q8_0)
        store_q8(value, codes + g * kKvGroup + simt::lane(), scales + g * 2);
      else
        store_q4(value, codes + g * kKvGroup / 2, scales + g * 2);
    }
    return;
  }
  for (int j = simt::lane(); j < head_dim; j += simt::kWarp) {
    if (side.type == KvType::f32) store_as(codes + j * 4, x[j]);
    if (side.type == KvType::f16) store_as(codes + j * 2, prim::to_f16(x[j]));
    if (side.type == KvType::bf16) store_as(codes + j * 2, prim::to_bf16(x[j]));
  }
}

__global__ void __launch_bounds__(kWarps * simt::kWarp) rope_append_kernel(RopeAppendArgs p) {
  auto& smem = simt::shared<RopeAppendSmem>();
  const int64_t row = blockIdx.x;
  const int32_t vector = static_cast<int32_t>(blockIdx.y) * kWarps + simt::warp();
  const int32_t head_dim = p.kv.head_dim;
  if (vector >= p.heads + 2 * p.kv.kv_heads) return;       // whole warps; there is no block barrier
  if (vector < p.heads) {
    float* q = p.q + (row * p.heads + vector) * head_dim;
    store_pairs(norm_rope(p, q, p.q_norm, row), head_dim / 2, q);
    return;
  }
  const int32_t span = p.batch.row_span[row];
  if (span < 0) return;
  const bool is_k = vector < p.heads + p.kv.kv_heads;
  const int32_t kv_head = vector - p.heads - (is_k ? 0 : p.kv.kv_heads);
  const int64_t from = (row * p.kv.kv_heads + kv_head) * head_dim;
  float* head = smem.head[simt::warp()];
  if (is_k) {
    store_pairs(norm_rope(p, p.k + from, p.k_norm, row), head_dim / 2, head);
  } else {
    for (int j = simt::lane(); j < head_dim; j += simt::kWarp) head[j] = p.v[from + j];
  }
  prim::sync_warp();
  const int32_t position = p.batch.positions[row];
  const int32_t page =
      p.batch.pages[p.batch.spans[span].first_page + position / p.kv.page_tokens];
  append(is_k ? k_side(p.kv) : v_side(p.kv), page * p.kv.kv_heads + kv_head,
         position % p.kv.page_tokens, head, head_dim);
}

}  // namespace

simt::Status qk_norm_rope_append(simt::Stream stream, const RopeAppendArgs& args) {
  constexpr int kInvalidValue = 1;               // cudaErrorInvalidValue
  if (args.kv.head_dim > kHeadDimMax || args.kv.head_dim % 2 != 0) return {kInvalidValue};
  if (args.batch.rows == 0) return {};
  const int32_t vectors = args.heads + 2 * args.kv.kv_heads;
  const simt::Config config{.grid = {.x = args.batch.rows, .y = (vectors + kWarps - 1) / kWarps},
                            .block = kWarps * simt::kWarp,
                            .shared_bytes = sizeof(RopeAppendSmem),
                            .stream = stream};
  return simt::launch(config, rope_append_kernel, args);
}

}  // namespace swarm::engine::kernels::cuda
