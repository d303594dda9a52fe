// route: one warp per token, a lane keeps logits lane, lane + 32, ... in registers; `used` rounds
// of a warp-wide maximum of (logit, -id) as one ordered 64-bit key. 4 bytes per logit, a few
// hundred instructions per token: far below a millisecond for thousands of tokens.
// group: one block per expert walks all pairs (they fit L2: 256 KiB at 8192 tokens of 8) and ranks
// its own by block scans, so the order is that of the tokens and no atomics are needed.
// combine: one thread per element of the residual; reads `used` rows once.
// nvcc 13, sm_90a: 32 registers at 128 experts (88 at 1024), no spills. moe_route_test.cpp covers
// ties, one expert, all experts, counts that are no multiple of a block.
#include "engine/kernels/cuda/moe_route.h"

#include "engine/kernels/cuda/prim/block.h"
#include "engine/kernels/cuda/prim/math.h"
#include "engine/kernels/cuda/simt/simt.h"

namespace swarm::engine::kernels::cuda {
namespace {

constexpr int kRouteWarps = 4;
constexpr int kThreads = 256;

// Orders like the numbers: larger logit first, then the lower id. 0 is below every key.
__device__ uint64_t key_of(float logit, int id) {
  const uint32_t bits = prim::bit_cast<uint32_t>(logit == 0.0f ? 0.0f : logit);
  const uint32_t ordered = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  return uint64_t{ordered} << 32 | (0xffffffffu - static_cast<uint32_t>(id));
}

template <int kPerLane>
__global__ void route_kernel(RouteKernelArgs p) {
  const int64_t token = int64_t{blockIdx.x} * kRouteWarps + simt::warp();
  const bool exists = token < p.tokens;
  const int64_t row = exists ? token : 0;      // idle warps repeat a row and store nothing
  const float* logits = p.logits + row * p.experts;
  uint64_t keys[kPerLane];
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) {
    const int id = simt::lane() + i * simt::kWarp;
    keys[i] = id < p.experts ? key_of(logits[id], id) : 0;
  }
  float first = 0.0f, sum = 0.0f;
  for (int slot = 0; slot < p.used; ++slot) {
    uint64_t mine = 0;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) mine = prim::max(mine, keys[i]);
    const uint64_t best = prim::warp_max(mine);
    const int id = static_cast<int>(0xffffffffu - static_cast<uint32_t>(best));
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) keys[i] = keys[i] == best ? 0 : keys[i];
    const float logit = logits[id];
    first = slot == 0 ? logit : first;
    const float weight = prim::exp_library(logit - first);
    sum = prim::add(sum, weight);
    if (exists && simt::lane() == 0) {
      p.ids[row * p.used + slot] = id;
      p.weights[row * p.used + slot] = weight;
    }
  }
  prim::sync_warp();
  for (int slot = simt::lane(); exists && slot < p.used; slot += simt::kWarp) {
    float& weight = p.weights[row * p.used + slot];
    weight = prim::divide(weight, sum);
  }
}

struct GroupSmem {
  int32_t partial[simt::kMaxWarps];
};
static_assert(sizeof(GroupSmem) == 128);

__global__ void count_kernel(GroupArgs p) {
  auto& smem = simt::shared<GroupSmem>();
  const int expert = static_cast<int>(blockIdx.x);
  const int64_t pairs = p.tokens * p.used;
  int32_t count = 0;
  for (int64_t i = static_cast<int64_t>(threadIdx.x); i < pairs; i += kThreads) {
    count += p.ids[i] == expert ? 1 : 0;
  }
  count = prim::block_sum(count, smem.partial);
  if (threadIdx.x == 0) p.expert_count[expert] = count;
}

__global__ void place_kernel(GroupArgs p) {
  auto& smem = simt::shared<GroupSmem>();
  const int expert = static_cast<int>(blockIdx.x);
  const int64_t pairs = p.tokens * p.used;
  int32_t before = 0;
  for (int e = static_cast<int>(threadIdx.x); e < expert; e += kThreads) {
    before += p.expert_count[e];
  }
  int32_t next = prim::block_sum(before, smem.partial);
  if (threadIdx.x == 0) {
    p.expert_begin[expert] = next;
    if (expert + 1 == p.experts) p.expert_begin[p.experts] = next + p.expert_count[expert];
  }
  for (int64_t begin = 0; begin < pairs; begin += kThreads) {
    const int64_t i = begin + static_cast<int64_t>(threadIdx.x);
    const bool mine = i < pairs && p.ids[i] == expert;
    int32_t total = 0;
    const int32_t rank = prim::block_exclusive_sum(mine ? 1 : 0, smem.partial, &total);
    if (mine) {
      p.pair_token[next + rank] = static_cast<int32_t>(i / p.used);
      p.pair_of[i] = next + rank;
    }
    next += total;
  }
}

__global__ void combine_kernel(CombineArgs p) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + static_cast<int64_t>(threadIdx.x);
  if (i >= p.tokens * p.hidden) return;
  const int64_t token = i / p.hidden;
  const int64_t column = i % p.hidden;
  float sum = 0.0f;
  for (int slot = 0; slot < p.used; ++slot) {
    const int64_t pair = p.pair_of[token * p.used + slot];
    sum = prim::fma(p.weights[token * p.used + slot], p.down[pair * p.hidden + column], sum);
  }
  p.residual[i] = prim::add(p.residual[i], sum);
}

}  // namespace

simt::Status route_tokens(simt::Stream stream, const RouteKernelArgs& args) {
  const simt::Config config{.grid = {.x = (args.tokens + kRouteWarps - 1) / kRouteWarps},
                            .block = kRouteWarps * simt::kWarp, .stream = stream};
  if (args.experts <= 32) return simt::launch(config, route_kernel<1>, args);
  if (args.experts <= 128) return simt::launch(config, route_kernel<4>, args);
  if (args.experts <= 256) return simt::launch(config, route_kernel<8>, args);
  return simt::launch(config, route_kernel<kExpertsMax / simt::kWarp>, args);
}

simt::Status group_by_expert(simt::Stream stream, const GroupArgs& args) {
  const simt::Config config{.grid = {.x = args.experts}, .block = kThreads,
                            .shared_bytes = sizeof(GroupSmem), .stream = stream};
  const simt::Status counted = simt::launch(config, count_kernel, args);
  return counted.ok() ? simt::launch(config, place_kernel, args) : counted;
}

simt::Status combine_experts(simt::Stream stream, const CombineArgs& args) {
  const simt::Config config{.grid = {.x = (args.tokens * args.hidden + kThreads - 1) / kThreads},
                            .block = kThreads, .stream = stream};
  return simt::launch(config, combine_kernel, args);
}

}  // namespace swarm::engine::kernels::cuda
