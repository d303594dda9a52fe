// q [rows, heads, kDim] f32, K and V paged. A block of 4 warps takes 64 queries - rows of one span
// times the heads of one KV head - and walks over tiles of 64 keys that begin at multiples of 64:
// cp.async brings the next tile in its stored form while this one is multiplied; what is not f16 is
// turned into it in shared memory; q K^T and weights V are mma.m16n8k16, 16 queries per warp, with
// an online softmax in f32 in between. Keys behind a query's position weigh exactly 0, so a query's
// bits depend on nothing but its own inputs.
// Flops: 4 heads kDim per visible pair, tiles on the diagonal in full; bytes: K and V up to the
// last row once per 64 queries, mostly from L2. 64 x 64 keeps q, logits and sums in registers;
// limited by shared memory reads (each warp reads all of K and V for 16 queries).
// nvcc 13, sm_90a: 248 registers (234 when K and V are not quantised) for head size 128, 204 (192)
// for 64; no spills; shared memory 70656 and 37888 bytes.
// attention_tile_test.cpp: ragged spans and groups, all pairs of types, pages of 1 to 256 tokens.
#include "engine/kernels/cuda/attention_tile.h"

#include "engine/kernels/cuda/attention_state.h"
#include "engine/kernels/cuda/kv_block.h"
#include "engine/kernels/cuda/prim/async_copy.h"
#include "engine/kernels/cuda/prim/ldmatrix.h"
#include "engine/kernels/cuda/prim/mma.h"
#include "engine/kernels/cuda/simt/simt.h"

namespace swarm::engine::kernels::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * simt::kWarp;
constexpr int kQueries = kWarps * 16;
constexpr int kKeys = 64;

// Shared memory of K or V. Direct (f16, bf16): two stages of the tile, bf16 is converted in place.
// Otherwise the f16 tile, then two stages of codes and scales as stored.
template <int kDim, bool kDirect>
struct Operand {
  static constexpr int kRow = (kDim + 8) * 2;    // bytes; + 8 keeps ldmatrix free of bank conflicts
  static constexpr int kTile = kKeys * kRow;
  static constexpr int kCodes = kKeys * kDim;    // of one stage, enough for q8_0
  static constexpr int kScaleRow = kDim / kKvGroup * 2;
  static constexpr int kRaw = kCodes + kKeys * kScaleRow;
  static_assert(kTile + 2 * kRaw <= 2 * kTile && kRaw % 16 == 0);

  alignas(16) uint8_t bytes[2 * kTile];

  __device__ uint8_t* stage(int i) { return bytes + (kDirect ? i * kTile : kTile + i * kRaw); }
  __device__ uint8_t* tile(int i) { return bytes + (kDirect ? i * kTile : 0); }
};

// Where the keys of a tile lie.
struct KeyPlaces {
  int32_t block[kKeys];
  int32_t slot[kKeys];
};

template <int kDim, bool kKDirect, bool kVDirect>
struct TileSmem {
  Operand<kDim, kKDirect> k;
  Operand<kDim, kVDirect> v;
  KeyPlaces places[2];
};
static_assert(sizeof(TileSmem<64, true, true>) == 37888);
static_assert(sizeof(TileSmem<128, false, false>) == 70656);

// Rows of one span that make a tile.
struct Rows {
  SpanView span;
  int32_t first = 0;                   // within the span
  int32_t count = 0;                   // 0: nothing to do
};

// Tile `index` of the batch; the last rows of a span, which see most keys, begin first.
__device__ Rows find_rows(const BatchView& batch, int32_t rows_per_tile, int32_t index) {
  for (int32_t s = 0; s < batch.span_count; ++s) {
    const SpanView span = batch.spans[s];
    if (span.count <= kSplitRows) continue;
    const int32_t tiles = (span.count + rows_per_tile - 1) / rows_per_tile;
    if (index < tiles) {
      const int32_t first = (tiles - 1 - index) * rows_per_tile;
      return {span, first, prim::min(rows_per_tile, span.count - first)};
    }
    index -= tiles;
  }
  return {};
}

__device__ void find_keys(const PagedAttentionArgs& call, const SpanView& span, int32_t kv_head,
                          int32_t first, int32_t end, KeyPlaces& places) {
  const int token = static_cast<int>(threadIdx.x);
  const int32_t position = first + token;
  if (token >= kKeys || position >= end) return;
  const int32_t page = call.batch.pages[span.first_page + position / call.kv.page_tokens];
  places.block[token] = page * call.kv.kv_heads + kv_head;
  places.slot[token] = position % call.kv.page_tokens;
}

// Starts the copy of `count` keys; the rest of the tile becomes zero.
template <int kDim, bool kDirect>
__device__ void copy_keys(const KvSide& side, const KeyPlaces& places, int count, uint8_t* stage) {
  using Memory = Operand<kDim, kDirect>;
  const int pieces = kDirect ? kDim / 8 : side.code_row / 16;
  const int row = kDirect ? Memory::kRow : side.code_row;
  const bool aligned = kDirect || side.page_tokens * (side.code_row + side.scale_row) % 16 == 0;
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x); i < kKeys * pieces; i += kThreads) {
    const int token = i / pieces, piece = i % pieces;
    const bool valid = token < count;
    const uint8_t* from = valid ? kv_codes(side, places.block[token], places.slot[token]) +
                                      piece * 16 : side.data;
    uint8_t* to = stage + token * row + piece * 16;
    if (aligned) {
      prim::copy_async<16>(to, from, valid);
    } else {
      for (int w = 0; w < 16; w += 4) prim::copy_async<4>(to + w, from + w, valid);
    }
  }
  if constexpr (!kDirect) {
    constexpr int kWords = Memory::kScaleRow / 4;
    for (int i = static_cast<int>(threadIdx.x); i < kKeys * kWords; i += kThreads) {
      const int token = i / kWords, word = i % kWords;
      const bool valid = token < count;
      const uint8_t* from = valid ? kv_scales(side, places.block[token], places.slot[token]) +
                                        word * 4 : side.data;
      prim::copy_async<4>(stage + Memory::kCodes + token * Memory::kScaleRow + word * 4, from,
                          valid);
    }
  }
}

template <KvType kType, int kDim>
__device__ void convert_as(const KvSide& side, const uint8_t* raw, uint8_t* tile) {
  using Memory = Operand<kDim, false>;
  constexpr int kChunks = kDim / 8;
#pragma unroll 2
  for (int i = static_cast<int>(threadIdx.x); i < kKeys * kChunks; i += kThreads) {
    const int token = i / kChunks, chunk = i % kChunks;
    float x[8];
    kv_elements8<kType>(raw + token * side.code_row,
                        raw + Memory::kCodes + token * Memory::kScaleRow, chunk, x);
    Words4 packed;
    for (int w = 0; w < 4; ++w)
      packed.word[w] = prim::pack(prim::to_f16(x[2 * w]), prim::to_f16(x[2 * w + 1]));
    store_as(tile + token * Memory::kRow + chunk * 16, packed);
  }
}

template <int kDim>
__device__ void convert_bf16(uint8_t* tile) {
  constexpr int kChunks = kDim / 8;
#pragma unroll 2
  for (int i = static_cast<int>(threadIdx.x); i < kKeys * kChunks; i += kThreads) {
    uint8_t* at = tile + i / kChunks * Operand<kDim, true>::kRow + i % kChunks * 16;
    auto part = load_as<Words4>(at);
    for (uint32_t& word : part.word) {
      const float low = prim::to_float(prim::bf16{static_cast<uint16_t>(word)});
      const float high = prim::to_float(prim::bf16{static_cast<uint16_t>(word >> 16)});
      word = prim::pack(prim::to_f16(low), prim::to_f16(high));
    }
    store_as(at, part);
  }
}

template <int kDim, bool kDirect>
__device__ void convert(const KvSide& side, Operand<kDim, kDirect>& memory, int stage) {
  if constexpr (kDirect) {
    if (side.type == KvType::bf16) convert_bf16<kDim>(memory.tile(stage));
  } else {
    if (side.type == KvType::q8_0)
      convert_as<KvType::q8_0, kDim>(side, memory.stage(stage), memory.tile(stage));
    else
      convert_as<KvType::q4_0, kDim>(side, memory.stage(stage), memory.tile(stage));
  }
}

// The 16 queries of a warp. Index 0 and 1 of arrays of 2: query lane / 4 and lane / 4 + 8.
template <int kDim>
struct Queries {
  uint32_t q[kDim / 16][4];            // operand A, times scale and log2 e
  float sum[kDim / 8][4] = {};         // accumulators: weights times V
  float top[2] = {kNoLogit, kNoLogit};
  float total[2] = {};                 // of this lane's keys
  int32_t position[2];                 // -1: no query
  int64_t at[2];                       // of the query in q and out
};

template <int kDim>
__device__ void load_queries(const PagedAttentionArgs& call, const Rows& rows, int32_t kv_head,
                             Queries<kDim>& mine) {
  const int32_t group = call.heads / call.kv.kv_heads;
  const float factor = prim::multiply(call.scale, prim::kLog2E);
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int index = simt::warp() * 16 + simt::lane() / 4 + 8 * i;
    const int32_t row = index / group;
    const bool valid = row < rows.count;
    mine.position[i] = valid ? rows.span.position + rows.first + row : -1;
    mine.at[i] = (int64_t{rows.span.first_row + rows.first + row} * call.heads + kv_head * group +
                  index % group) * kDim;
#pragma unroll
    for (int step = 0; step < kDim / 16; ++step)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float* from = call.q + mine.at[i] + step * 16 + half * 8 + simt::lane() % 4 * 2;
        const float x = valid ? from[0] * factor : 0.0f, y = valid ? from[1] * factor : 0.0f;
        mine.q[step][half * 2 + i] = prim::pack(prim::to_f16(x), prim::to_f16(y));
      }
  }
}

// logit[n] = accumulator of keys 8 n .. 8 n + 7.
template <int kDim>
__device__ void score_keys(const Queries<kDim>& mine, const uint8_t* tile,
                           float (&logit)[kKeys / 8][4]) {
  constexpr int kRow = Operand<kDim, true>::kRow;
#pragma unroll
  for (int n = 0; n < kKeys / 8; ++n) {
    for (float& value : logit[n]) value = 0.0f;
#pragma unroll
    for (int step = 0; step < kDim / 16; step += 2) {
      uint32_t k[4];                   // two operands B
      prim::ldmatrix_x4(k, tile + (n * 8 + simt::lane() % 8) * kRow + step * 32 +
                               simt::lane() / 8 * 16);
      prim::mma_m16n8k16<prim::f16>(logit[n], mine.q[step], {k[0], k[1]});
      prim::mma_m16n8k16<prim::f16>(logit[n], mine.q[step + 1], {k[2], k[3]});
    }
  }
}

template <int kDim>
__device__ void mask_keys(const Queries<kDim>& mine, int32_t first,
                          float (&logit)[kKeys / 8][4]) {
#pragma unroll
  for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i)
      if (first + n * 8 + prim::mma_column(i) > mine.position[i / 2]) logit[n][i] = kNoLogit;
}

// Logits become weights; state and sums are scaled to the new top.
template <int kDim>
__device__ void fold_keys(Queries<kDim>& mine, float (&logit)[kKeys / 8][4]) {
  float fade[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float top = mine.top[r];
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n)
      top = prim::max(top, prim::max(logit[n][2 * r], logit[n][2 * r + 1]));
    top = prim::warp_max<4>(top);
    const float base = state_base(top);
    float sum = 0.0f;
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
      for (int i = 2 * r; i < 2 * r + 2; ++i) {
        logit[n][i] = state_weight(logit[n][i], base);
        sum += logit[n][i];
      }
    fade[r] = state_weight(mine.top[r], base);
    mine.total[r] = prim::fma(mine.total[r], fade[r], sum);
    mine.top[r] = top;
  }
#pragma unroll
  for (int n = 0; n < kDim / 8; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) mine.sum[n][i] *= fade[i / 2];
}

// The accumulators of two blocks of 8 keys are, as f16, operand A of a product over 16 keys.
template <int kDim>
__device__ void add_values(Queries<kDim>& mine, const float (&weight)[kKeys / 8][4],
                           const uint8_t* tile) {
  constexpr int kRow = Operand<kDim, true>::kRow;
#pragma unroll
  for (int step = 0; step < kKeys / 16; ++step) {
    uint32_t weights[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float* pair = &weight[2 * step + i / 2][i % 2 * 2];
      weights[i] = prim::pack(prim::to_f16(pair[0]), prim::to_f16(pair[1]));
    }
    const int key = step * 16 + simt::lane() / 8 % 2 * 8 + simt::lane() % 8;
#pragma unroll
    for (int n = 0; n < kDim / 8; n += 2) {
      uint32_t v[4];                   // operands B of dimensions 8 n .. and 8 n + 8 ..
      prim::ldmatrix_x4_trans(v, tile + key * kRow + n * 16 + simt::lane() / 16 * 16);
      prim::mma_m16n8k16<prim::f16>(mine.sum[n], weights, {v[0], v[1]});
      prim::mma_m16n8k16<prim::f16>(mine.sum[n + 1], weights, {v[2], v[3]});
    }
  }
}

template <int kDim>
__device__ void store_rows(const Queries<kDim>& mine, float* out) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const float total = prim::warp_sum<4>(mine.total[r]);
    if (mine.position[r] < 0) continue;          // no collectives below
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n)
#pragma unroll
      for (int i = 0; i < 2; ++i)      // + 0: tiles without visible keys may have changed -0
        out[mine.at[r] + n * 8 + simt::lane() % 4 * 2 + i] =
            prim::add(prim::divide(mine.sum[n][2 * r + i], total), 0.0f);
  }
}

// Grid: (tiles of rows, kv_heads).
template <int kDim, bool kKDirect, bool kVDirect>
__global__ void __launch_bounds__(kThreads, 2) attention_tile_kernel(PagedAttentionArgs call) {
  auto& smem = simt::shared<TileSmem<kDim, kKDirect, kVDirect>>();
  const int32_t group = call.heads / call.kv.kv_heads;
  const auto kv_head = static_cast<int32_t>(blockIdx.y);
  const Rows rows = find_rows(call.batch, kQueries / group, static_cast<int32_t>(blockIdx.x));
  if (rows.count == 0) return;                             // the whole block
  const int32_t begin = rows.span.position + rows.first;   // position of the first row
  const int32_t end = begin + rows.count;                  // keys that any row sees
  const KvSide k = k_side(call.kv), v = v_side(call.kv);
  const bool converts = k.type != KvType::f16 || v.type != KvType::f16;

  const auto find = [&](int32_t first) {
    find_keys(call, rows.span, kv_head, first, end, smem.places[first / kKeys % 2]);
  };
  const auto copy = [&](int32_t first) {
    const int stage = first / kKeys % 2, count = prim::min(kKeys, end - first);
    if (count > 0) {
      copy_keys<kDim, kKDirect>(k, smem.places[stage], count, smem.k.stage(stage));
      copy_keys<kDim, kVDirect>(v, smem.places[stage], count, smem.v.stage(stage));
    }
    prim::copy_async_commit();         // also when there is nothing: groups are counted
  };

  Queries<kDim> mine;
  load_queries(call, rows, kv_head, mine);
  find(0);
  find(kKeys);
  simt::sync_threads();
  copy(0);
  for (int32_t first = 0; first < end; first += kKeys) {
    const int stage = first / kKeys % 2;
    copy(first + kKeys);
    prim::copy_async_wait<1>();
    simt::sync_threads();              // everybody's copies are there; places[stage] are free
    find(first + 2 * kKeys);
    convert(k, smem.k, stage);
    convert(v, smem.v, stage);
    if (converts) simt::sync_threads();
    float logit[kKeys / 8][4];
    score_keys(mine, smem.k.tile(stage), logit);
    if (first + kKeys > begin) mask_keys(mine, first, logit);
    fold_keys(mine, logit);
    add_values(mine, logit, smem.v.tile(stage));
    simt::sync_threads();              // tiles and stages are free
  }
  store_rows(mine, call.out);
}

template <int kDim, bool kKDirect, bool kVDirect>
simt::Status launch_tile(simt::Stream stream, const PagedAttentionArgs& call) {
  const int32_t rows_per_tile = kQueries / (call.heads / call.kv.kv_heads);
  // Each span adds at most one tile that is not full.
  const int64_t tiles = call.batch.rows / rows_per_tile + call.batch.span_count;
  const simt::Config config{.grid = {.x = tiles, .y = call.kv.kv_heads},
                            .block = kThreads,
                            .shared_bytes = sizeof(TileSmem<kDim, kKDirect, kVDirect>),
                            .stream = stream};
  return simt::launch(config, attention_tile_kernel<kDim, kKDirect, kVDirect>, call);
}

template <int kDim>
simt::Status launch_types(simt::Stream stream, const PagedAttentionArgs& call) {
  const bool k_direct = !kv_quantised(call.kv.k_type), v_direct = !kv_quantised(call.kv.v_type);
  if (k_direct && v_direct) return launch_tile<kDim, true, true>(stream, call);
  if (k_direct) return launch_tile<kDim, true, false>(stream, call);
  if (v_direct) return launch_tile<kDim, false, true>(stream, call);
  return launch_tile<kDim, false, false>(stream, call);
}

}  // namespace

bool attention_tile_supports(const PagedAttentionArgs& args) {
  return (args.kv.head_dim == 64 || args.kv.head_dim == 128) && args.kv.k_type != KvType::f32 &&
         args.kv.v_type != KvType::f32 && args.heads / args.kv.kv_heads <= kQueries;
}

simt::Status attention_tile(simt::Stream stream, const PagedAttentionArgs& args) {
  return args.kv.head_dim == 64 ? launch_types<64>(stream, args) : launch_types<128>(stream, args);
}

}  // namespace swarm::engine::kernels::cuda
