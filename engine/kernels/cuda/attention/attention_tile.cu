// q [rows, heads, kDim] f32, K and V paged. A block of 4 warps takes 64 queries - rows of one span
// times the heads of one KV head - and walks over tiles of 64 keys that begin at multiples of 64:
// cp.async brings the next tile in its stored form while this one is multiplied; what is not f16 is
// turned into it in shared memory; q K^T and weights V are mma.m16n8k16, 16 queries per warp, with
// an online softmax in f32 in between. Keys behind a query's position weigh exactly 0, so a query's
// bits depend on nothing but its own inputs. Beyond 2048 keys a row is cut at absolute positions
// into parts for several blocks (grid.z), which attention_merge.h puts together: a few new rows
// behind a long context still fill a card.
// Flops: 4 heads kDim per visible pair, tiles on the diagonal in full; bytes: K and V up to the
// last row once per 64 queries, mostly from L2. 64 x 64 keeps q, logits and sums in registers;
// limited by shared memory reads (each warp reads all of K and V for 16 queries).
// nvcc 13, sm_90a: 250 registers (235 when K and V are not quantised) for head size 128, 203 (194)
// for 64; no spills; shared memory 70656 and 37888 bytes.
// attention_tile_test.cpp: ragged spans and groups, all pairs of types, pages of 1 to 256 tokens.
#include "engine/kernels/cuda/attention/attention_tile.h"

#include "engine/kernels/cuda/attention/attention_merge.h"
#include "engine/kernels/cuda/attention/attention_tile_memory.h"
#include "engine/kernels/cuda/prim/ldmatrix.h"
#include "engine/kernels/cuda/prim/mma.h"
#include "engine/kernels/cuda/simt/simt.h"

namespace swarm::engine::kernels::cuda {
namespace {

static_assert(kTileWarps * 16 == kTileQueries);

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
                           float (&logit)[kTileKeys / 8][4]) {
  constexpr int kRow = Operand<kDim, true>::kRow;
#pragma unroll
  for (int n = 0; n < kTileKeys / 8; ++n) {
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
                          float (&logit)[kTileKeys / 8][4]) {
#pragma unroll
  for (int n = 0; n < kTileKeys / 8; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i)
      if (first + n * 8 + prim::mma_column(i) > mine.position[i / 2]) logit[n][i] = kNoLogit;
}

// Logits become weights; state and sums are scaled to the new top.
template <int kDim>
__device__ void fold_keys(Queries<kDim>& mine, float (&logit)[kTileKeys / 8][4]) {
  float fade[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float top = mine.top[r];
#pragma unroll
    for (int n = 0; n < kTileKeys / 8; ++n)
      top = prim::max(top, prim::max(logit[n][2 * r], logit[n][2 * r + 1]));
    top = prim::warp_max<4>(top);
    const float base = state_base(top);
    float sum = 0.0f;
#pragma unroll
    for (int n = 0; n < kTileKeys / 8; ++n)
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
__device__ void add_values(Queries<kDim>& mine, const float (&weight)[kTileKeys / 8][4],
                           const uint8_t* tile) {
  constexpr int kRow = Operand<kDim, true>::kRow;
#pragma unroll
  for (int step = 0; step < kTileKeys / 16; ++step) {
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

// Kernel parameters: some tiles of the batch.
struct TileParams {
  PagedAttentionArgs call;
  PartStore store;                     // parts == 0: whole rows go to call.out
  int32_t rows_per_tile;
  int32_t first_tile;

  __device__ Rows rows(int32_t tile) const {
    return find_rows(call.batch, rows_per_tile, first_tile + tile);
  }
  // For the merge: unit = tile * rows_per_tile + row of the tile.
  __device__ int32_t row(int32_t unit) const {
    const Rows tile = rows(unit / rows_per_tile);
    const int32_t i = unit % rows_per_tile;
    return i < tile.count ? tile.span.first_row + tile.first + i : -1;
  }
  __device__ static int32_t parts_of(int32_t context) { return tile_parts(context); }
};

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

// A part of the rows that see keys of it; key_begin: its first.
template <int kDim>
__device__ void store_part(const TileParams& p, const Queries<kDim>& mine, int32_t kv_head,
                           int32_t key_begin) {
  const int32_t group = p.call.heads / p.call.kv.kv_heads;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const float total = prim::warp_sum<4>(mine.total[r]);
    if (mine.position[r] < key_begin) continue;  // no collectives below
    const int index = simt::warp() * 16 + simt::lane() / 4 + 8 * r;
    const int64_t unit = int64_t{blockIdx.x} * p.rows_per_tile + index / group;
    const int64_t at = (unit * p.store.parts + blockIdx.z) * p.call.heads + kv_head * group +
                       index % group;
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n)
#pragma unroll
      for (int i = 0; i < 2; ++i)
        p.store.values[at * kDim + n * 8 + simt::lane() % 4 * 2 + i] = mine.sum[n][2 * r + i];
    if (simt::lane() % 4 == 0) p.store.states[at] = {mine.top[r], total};
  }
}

// Grid: (tiles of rows, kv_heads, parts).
template <int kDim, bool kKDirect, bool kVDirect>
__global__ void __launch_bounds__(kTileThreads, 2) attention_tile_kernel(TileParams p) {
  auto& smem = simt::shared<TileSmem<kDim, kKDirect, kVDirect>>();
  const PagedAttentionArgs& call = p.call;
  const auto kv_head = static_cast<int32_t>(blockIdx.y);
  const Rows rows = p.rows(static_cast<int32_t>(blockIdx.x));
  const int32_t begin = rows.span.position + rows.first;   // position of the first row
  const auto part = static_cast<int32_t>(blockIdx.z);
  const bool whole = p.store.parts == 0;
  const int32_t key_begin = whole ? 0 : tile_part_begin(part);
  // Behind the keys that any row sees, or behind the part.
  const int32_t end = whole ? begin + rows.count
                            : prim::min(begin + rows.count, tile_part_begin(part + 1));
  if (rows.count == 0 || key_begin >= end) return;         // the whole block
  const KvSide k = k_side(call.kv), v = v_side(call.kv);
  const bool converts = k.type != KvType::f16 || v.type != KvType::f16;

  const auto find = [&](int32_t first) {
    find_keys(call, rows.span, kv_head, first, end, smem.places[first / kTileKeys % 2]);
  };
  const auto copy = [&](int32_t first) {
    const int stage = first / kTileKeys % 2, count = prim::min(kTileKeys, end - first);
    if (count > 0) {
      copy_keys<kDim, kKDirect>(k, smem.places[stage], count, smem.k.stage(stage));
      copy_keys<kDim, kVDirect>(v, smem.places[stage], count, smem.v.stage(stage));
    }
    prim::copy_async_commit();         // also when there is nothing: groups are counted
  };

  Queries<kDim> mine;
  load_queries(call, rows, kv_head, mine);
  find(key_begin);
  find(key_begin + kTileKeys);
  simt::sync_threads();
  copy(key_begin);
  for (int32_t first = key_begin; first < end; first += kTileKeys) {
    const int stage = first / kTileKeys % 2;
    copy(first + kTileKeys);
    prim::copy_async_wait<1>();
    simt::sync_threads();              // everybody's copies are there; places[stage] are free
    find(first + 2 * kTileKeys);
    convert(k, smem.k, stage);
    convert(v, smem.v, stage);
    if (converts) simt::sync_threads();
    float logit[kTileKeys / 8][4];
    score_keys(mine, smem.k.tile(stage), logit);
    if (first + kTileKeys > begin) mask_keys(mine, first, logit);
    fold_keys(mine, logit);
    add_values(mine, logit, smem.v.tile(stage));
    simt::sync_threads();              // tiles and stages are free
  }
  if (whole)
    store_rows(mine, call.out);
  else
    store_part(p, mine, kv_head, key_begin);
}

template <int kDim, bool kKDirect, bool kVDirect>
simt::Status launch_tile(simt::Stream stream, const PagedAttentionArgs& call) {
  TileParams p{.call = call,
               .store = {},
               .rows_per_tile = kTileQueries / (call.heads / call.kv.kv_heads),
               .first_tile = 0};
  // Each span adds at most one tile that is not full.
  const int32_t tiles = call.batch.rows / p.rows_per_tile + call.batch.span_count;
  const int32_t parts = tile_parts(call.max_context);
  int64_t at_once = tiles;
  if (parts > 1) {
    at_once = units_at_once(call, parts) / p.rows_per_tile;
    p.store = make_store(call, parts);
  }
  constexpr int kInvalidValue = 1;               // cudaErrorInvalidValue
  if (at_once == 0) return {kInvalidValue};
  while (p.first_tile < tiles) {
    const int32_t left = tiles - p.first_tile;
    const int32_t some = at_once < left ? static_cast<int32_t>(at_once) : left;
    const simt::Config config{.grid = {.x = some, .y = call.kv.kv_heads, .z = parts},
                              .block = kTileThreads,
                              .shared_bytes = sizeof(TileSmem<kDim, kKDirect, kVDirect>),
                              .stream = stream};
    simt::Status status =
        simt::launch(config, attention_tile_kernel<kDim, kKDirect, kVDirect>, p);
    if (status.ok() && parts > 1) status = launch_merge(stream, p, int64_t{some} * p.rows_per_tile);
    if (!status.ok()) return status;
    p.first_tile += some;
  }
  return {};
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
         args.kv.v_type != KvType::f32 && args.heads / args.kv.kv_heads <= kTileQueries;
}

simt::Status attention_tile(simt::Stream stream, const PagedAttentionArgs& args) {
  return args.kv.head_dim == 64 ? launch_types<64>(stream, args) : launch_types<128>(stream, args);
}

}  // namespace swarm::engine::kernels::cuda
