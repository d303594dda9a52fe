// q [rows, heads, head_dim] f32, K and V paged, any type. A block of 4 warps takes one row, up to 8
// query heads of one KV head and one part of the sequence (128 or 512 positions): tiles of K and V
// become f32 in shared memory, one thread per key computes the logits of all heads, an online
// softmax in f32 follows, and each warp adds up the values of every fourth key. A second kernel
// merges the parts (attention_state.h).
// Bytes: K and V of a row's sequence once per 8 heads; 4 heads head_dim flops per key. 64 keys per
// tile (32 above head size 128) keep three blocks on an SM; shared memory traffic limits it, about
// as fast as DRAM for f16 and slower than that for q8_0 and q4_0.
// nvcc 13, sm_90a, 8 heads: 140, 156, 147 registers for head size 64, 128, other; no spills; shared
// memory 38496, 73312, 75616 bytes.
// attention_test.cpp covers ragged contexts around parts and tiles, all types, pages of 1 to 256.
#include "engine/kernels/cuda/attention/attention_split.h"

#include "engine/kernels/cuda/attention/attention_merge.h"
#include "engine/kernels/cuda/attention/kv_block.h"
#include "engine/kernels/cuda/simt/simt.h"

namespace swarm::engine::kernels::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * simt::kWarp;

// Kernel parameters: a chunk of units.
struct SplitParams {
  PagedAttentionArgs call;
  PartStore store;
  int32_t units_per_span;
  int32_t first_unit;

  // -1 for an empty unit.
  __device__ int32_t row(int32_t unit) const {
    unit += first_unit;
    if (units_per_span == 0) return call.batch.row_span[unit] < 0 ? -1 : unit;
    const SpanView span = call.batch.spans[unit / units_per_span];
    const int32_t i = unit % units_per_span;
    return span.count > kSplitRows || i >= span.count ? -1 : span.first_row + i;
  }
  __device__ static int32_t parts_of(int32_t context) { return split_count(context); }
};

template <int kHeads, int kDim>
struct SplitSmem {
  static constexpr int kTokens = kDim <= 128 ? 64 : 32;
  static constexpr int kStride = kDim + 4;       // threads read 16 bytes of neighbouring keys
  alignas(16) float q[kHeads][kDim];
  float k[kTokens * kStride];                    // at the end: values of each warp
  float v[kTokens * kDim];
  float weight[kTokens][kHeads];
  AttentionState state[kHeads];
  float fade[kHeads];
  int32_t block[kTokens];
  int32_t slot[kTokens];
};
static_assert(sizeof(SplitSmem<8, 64>) == 38496);
static_assert(sizeof(SplitSmem<8, 128>) == 73312);
static_assert(sizeof(SplitSmem<8, 256>) == 75616);

template <class Smem>
__device__ void find_keys(const PagedAttentionArgs& call, int32_t row, int32_t kv_head,
                          int32_t first, int count, Smem& smem) {
  const KvView& kv = call.kv;
  const BatchView& batch = call.batch;
  const int token = static_cast<int>(threadIdx.x);
  if (token >= count) return;
  const int32_t* pages = batch.pages + batch.spans[batch.row_span[row]].first_page;
  const int32_t position = first + token;
  smem.block[token] = pages[position / kv.page_tokens] * kv.kv_heads + kv_head;
  smem.slot[token] = position % kv.page_tokens;
}

template <KvType kType, int kDim, class Smem>
__device__ void load_rows(const KvSide& side, int count, const Smem& smem, float* to, int stride) {
  constexpr int kChunks = kDim / 8;
#pragma unroll 4
  for (int item = static_cast<int>(threadIdx.x); item < count * kChunks; item += kThreads) {
    const int token = item / kChunks, chunk = item % kChunks;
    const uint8_t* codes = kv_codes(side, smem.block[token], smem.slot[token]);
    const uint8_t* scales = kv_scales(side, smem.block[token], smem.slot[token]);
    float values[8];
    kv_elements8<kType>(codes, scales, chunk, values);
    float* at = to + token * stride + chunk * 8;
    store_as(at, Floats4{values[0], values[1], values[2], values[3]});
    store_as(at + 4, Floats4{values[4], values[5], values[6], values[7]});
  }
}

// Any head size: [count][head_dim], and zeros up to a multiple of 4.
template <class Smem>
__device__ void load_elements(const KvSide& side, int head_dim, int count, const Smem& smem,
                              float* to, int stride) {
  const int width = (head_dim + 3) / 4 * 4;
  for (int item = static_cast<int>(threadIdx.x); item < count * width; item += kThreads) {
    const int token = item / width, j = item % width;
    const uint8_t* codes = kv_codes(side, smem.block[token], smem.slot[token]);
    const uint8_t* scales = kv_scales(side, smem.block[token], smem.slot[token]);
    to[token * stride + j] = j < head_dim ? kv_element(side.type, codes, scales, j) : 0.0f;
  }
}

template <int kDim, class Smem>
__device__ void load_tile(const KvSide& side, int head_dim, int count, const Smem& smem, float* to,
                          int stride) {
  if constexpr (kDim > 128) {
    load_elements(side, head_dim, count, smem, to, stride);
  } else {
    switch (side.type) {
      case KvType::f32: return load_rows<KvType::f32, kDim>(side, count, smem, to, stride);
      case KvType::f16: return load_rows<KvType::f16, kDim>(side, count, smem, to, stride);
      case KvType::bf16: return load_rows<KvType::bf16, kDim>(side, count, smem, to, stride);
      case KvType::q8_0: return load_rows<KvType::q8_0, kDim>(side, count, smem, to, stride);
      case KvType::q4_0: return load_rows<KvType::q4_0, kDim>(side, count, smem, to, stride);
    }
  }
}

// weight[token][head] = logit. A thread takes one key and every kGroups-th head.
template <int kHeads, int kDim>
__device__ void score_keys(int head_dim, int count, SplitSmem<kHeads, kDim>& smem) {
  using Smem = SplitSmem<kHeads, kDim>;
  constexpr int kGroups = kThreads / Smem::kTokens;
  constexpr int kMine = (kHeads + kGroups - 1) / kGroups;
  const int token = static_cast<int>(threadIdx.x) % Smem::kTokens;
  const int group = static_cast<int>(threadIdx.x) / Smem::kTokens;
  if (token >= count || group >= kHeads) return;
  const int width = kDim > 128 ? (head_dim + 3) / 4 * 4 : kDim;
  float logit[kMine] = {};
#pragma unroll 4
  for (int j = 0; j < width; j += 4) {
    const auto key = load_as<Floats4>(&smem.k[token * Smem::kStride + j]);
#pragma unroll
    for (int i = 0; i < kMine; ++i) {
      const auto query = load_as<Floats4>(&smem.q[(group + i * kGroups) % kHeads][j]);
#pragma unroll
      for (int e = 0; e < 4; ++e) logit[i] = prim::fma(query.value[e], key.value[e], logit[i]);
    }
  }
#pragma unroll
  for (int i = 0; i < kMine; ++i)
    if (group + i * kGroups < kHeads) smem.weight[token][group + i * kGroups] = logit[i];
}

// Logits become weights; the state takes the tile in. A warp takes every fourth head.
template <int kHeads, int kDim>
__device__ void fold_tile(int count, SplitSmem<kHeads, kDim>& smem) {
  constexpr int kMine = SplitSmem<kHeads, kDim>::kTokens / simt::kWarp;
  for (int head = simt::warp(); head < kHeads; head += kWarps) {
    float logit[kMine];
    float tile_top = kNoLogit;
#pragma unroll
    for (int i = 0; i < kMine; ++i) {
      const int token = simt::lane() + i * simt::kWarp;
      logit[i] = token < count ? smem.weight[token][head] : kNoLogit;
      tile_top = prim::max(tile_top, logit[i]);
    }
    const AttentionState old = smem.state[head];
    const float top = prim::max(old.top, prim::warp_max(tile_top));
    const float base = state_base(top);
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < kMine; ++i) {
      const int token = simt::lane() + i * simt::kWarp;
      const float weight = state_weight(logit[i], base);
      if (token < count) smem.weight[token][head] = weight;
      sum += weight;
    }
    sum = prim::warp_sum(sum);
    const float fade = state_weight(old.top, base);
    prim::sync_warp();                 // all lanes have read the old state
    if (simt::lane() == 0) {
      smem.state[head] = {top, prim::fma(old.total, fade, sum)};
      smem.fade[head] = fade;
    }
  }
}

// Element lane + 32 i of the values of each head, over every fourth key.
template <int kHeads, int kDim>
struct Values {
  static constexpr int kMine = kDim / simt::kWarp;
  float sum[kHeads][kMine] = {};
};

template <int kHeads, int kDim>
__device__ void add_values(int head_dim, int count, const SplitSmem<kHeads, kDim>& smem,
                           Values<kHeads, kDim>& values) {
  constexpr int kMine = Values<kHeads, kDim>::kMine;
#pragma unroll
  for (int h = 0; h < kHeads; ++h)
#pragma unroll
    for (int i = 0; i < kMine; ++i) values.sum[h][i] *= smem.fade[h];
  for (int token = simt::warp(); token < count; token += kWarps) {
    float v[kMine];
#pragma unroll
    for (int i = 0; i < kMine; ++i) {
      const int j = simt::lane() + i * simt::kWarp;
      v[i] = kDim <= 128 || j < head_dim ? smem.v[token * kDim + j] : 0.0f;
    }
#pragma unroll
    for (int h = 0; h < kHeads; ++h)
#pragma unroll
      for (int i = 0; i < kMine; ++i)
        values.sum[h][i] = prim::fma(smem.weight[token][h], v[i], values.sum[h][i]);
  }
}

// Sums of the four warps, in order, to scratch. part: place of (unit, split); heads: of the block.
template <int kHeads, int kDim>
__device__ void store_part(const SplitParams& p, int64_t part, int32_t first_head, int heads,
                           const Values<kHeads, kDim>& values, SplitSmem<kHeads, kDim>& smem) {
  constexpr int kMine = Values<kHeads, kDim>::kMine;
  static_assert(kWarps * kHeads * kDim <= int{sizeof(smem.k) / sizeof(float)});
#pragma unroll
  for (int h = 0; h < kHeads; ++h)
#pragma unroll
    for (int i = 0; i < kMine; ++i)
      smem.k[(simt::warp() * kHeads + h) * kDim + simt::lane() + i * simt::kWarp] =
          values.sum[h][i];
  simt::sync_threads();
  const int head_dim = p.call.kv.head_dim;
  const int64_t at = part * p.call.heads + first_head;
  for (int i = static_cast<int>(threadIdx.x); i < heads * head_dim; i += kThreads) {
    const float* from = &smem.k[i / head_dim * kDim + i % head_dim];
    float sum = from[0];
    for (int w = 1; w < kWarps; ++w) sum += from[w * kHeads * kDim];
    p.store.values[at * head_dim + i] = sum;
  }
  if (static_cast<int>(threadIdx.x) < heads)
    p.store.states[at + threadIdx.x] = smem.state[threadIdx.x];
}

// Grid: (units, kv_heads * chunks of kHeads heads, splits).
template <int kHeads, int kDim>
__global__ void __launch_bounds__(kThreads, 3) attention_split_kernel(SplitParams p) {
  using Smem = SplitSmem<kHeads, kDim>;
  auto& smem = simt::shared<Smem>();
  const PagedAttentionArgs& call = p.call;
  const auto unit = static_cast<int32_t>(blockIdx.x), split = static_cast<int32_t>(blockIdx.z);
  const int32_t row = p.row(unit);
  const int32_t visible = row < 0 ? 0 : call.batch.positions[row] + 1;
  if (split_begin(split) >= visible) return;               // the whole block
  const int32_t end = prim::min(split_begin(split + 1), visible);
  const int32_t group = call.heads / call.kv.kv_heads;
  const int32_t chunks = (group + kHeads - 1) / kHeads;
  const int32_t kv_head = static_cast<int32_t>(blockIdx.y) / chunks;
  const int32_t skipped = static_cast<int32_t>(blockIdx.y) % chunks * kHeads;
  const int32_t first_head = kv_head * group + skipped;
  const int heads = prim::min(kHeads, group - skipped);
  const int head_dim = call.kv.head_dim;

  const float factor = prim::multiply(call.scale, prim::kLog2E);
  const float* q = call.q + (int64_t{row} * call.heads + first_head) * head_dim;
  for (int i = static_cast<int>(threadIdx.x); i < kHeads * kDim; i += kThreads) {
    const int h = i / kDim, j = i % kDim;
    smem.q[h][j] = h < heads && j < head_dim ? q[h * head_dim + j] * factor : 0.0f;
  }
  if (threadIdx.x < kHeads) smem.state[threadIdx.x] = {kNoLogit, 0.0f};

  Values<kHeads, kDim> values;
  for (int32_t first = split_begin(split); first < end; first += Smem::kTokens) {
    const int count = prim::min(Smem::kTokens, end - first);
    find_keys(call, row, kv_head, first, count, smem);
    simt::sync_threads();
    load_tile<kDim>(k_side(call.kv), head_dim, count, smem, smem.k, Smem::kStride);
    load_tile<kDim>(v_side(call.kv), head_dim, count, smem, smem.v, kDim);
    simt::sync_threads();
    score_keys(head_dim, count, smem);
    simt::sync_threads();
    fold_tile(count, smem);
    simt::sync_threads();
    // No barrier is needed here: what this reads is written behind the next tile's barriers.
    add_values(head_dim, count, smem, values);
  }
  store_part(p, int64_t{unit} * p.store.parts + split, first_head, heads, values, smem);
}

template <int kHeads, int kDim>
simt::Status launch_split(simt::Stream stream, const SplitParams& p, int32_t units) {
  const int32_t group = p.call.heads / p.call.kv.kv_heads;
  const int64_t chunks = (group + kHeads - 1) / kHeads;
  const simt::Config config{
      .grid = {.x = units, .y = p.call.kv.kv_heads * chunks, .z = p.store.parts},
      .block = kThreads,
      .shared_bytes = sizeof(SplitSmem<kHeads, kDim>),
      .stream = stream};
  return simt::launch(config, attention_split_kernel<kHeads, kDim>, p);
}

template <int kDim>
simt::Status launch_heads(simt::Stream stream, const SplitParams& p, int32_t units) {
  const int32_t group = p.call.heads / p.call.kv.kv_heads;
  if (group == 1) return launch_split<1, kDim>(stream, p, units);
  if (group == 2) return launch_split<2, kDim>(stream, p, units);
  if (group <= 4) return launch_split<4, kDim>(stream, p, units);
  return launch_split<8, kDim>(stream, p, units);
}

simt::Status launch_units(simt::Stream stream, const SplitParams& p, int32_t units) {
  const int32_t head_dim = p.call.kv.head_dim;
  const simt::Status split = head_dim == 64    ? launch_heads<64>(stream, p, units)
                             : head_dim == 128 ? launch_heads<128>(stream, p, units)
                                               : launch_heads<256>(stream, p, units);
  if (!split.ok()) return split;
  return launch_merge(stream, p, units);
}

}  // namespace

simt::Status attention_split(simt::Stream stream, const AttentionSplitArgs& args) {
  const PagedAttentionArgs& call = args.call;
  const int32_t parts = split_count(call.max_context);
  const int64_t units = units_at_once(call, parts);        // the next ones reuse the scratch
  SplitParams p{.call = call,
                .store = make_store(call, parts),
                .units_per_span = args.units_per_span,
                .first_unit = 0};
  while (p.first_unit < args.units) {
    const int32_t left = args.units - p.first_unit;
    const int32_t some = units < left ? static_cast<int32_t>(units) : left;
    const simt::Status status = launch_units(stream, p, some);
    if (!status.ok()) return status;
    p.first_unit += some;
  }
  return {};
}

}  // namespace swarm::engine::kernels::cuda
