// See copy_kernels.h. The pipeline has two stages: while one tile is summed the next is under way.
#include "tests/engine/kernels/cuda/prim/copy_kernels.h"

#include "engine/kernels/cuda/prim/async_copy.h"
#include "engine/kernels/cuda/prim/ldmatrix.h"
#include "engine/kernels/cuda/prim/memory.h"
#include "engine/kernels/cuda/simt/simt.h"

namespace swarm::test {
namespace {

constexpr int kTile = 32;

struct PipelineSmem {
  alignas(16) float tile[2][kTile];
};

struct PipelineArgs {
  CopyFault fault;
  const float* in;                     // [tiles, kTile]
  float* out;                          // [kTile]
  int32_t tiles;
};

__global__ void pipeline(PipelineArgs p) {
  auto& smem = simt::shared<PipelineSmem>();
  const int lane = simt::lane();
  float sum = 0.0f;
  if (p.fault == CopyFault::not_shared) prim::copy_async<4>(p.out, p.in);
  if (p.fault == CopyFault::misaligned) prim::copy_async<8>(&smem.tile[0][1], p.in);
  uint32_t r[1];
  if (p.fault == CopyFault::ldmatrix_misaligned) prim::ldmatrix_x1(r, &smem.tile[0][1]);
  if (p.fault == CopyFault::ldmatrix_global) prim::ldmatrix_x1(r, p.in);
  prim::copy_async<4>(&smem.tile[0][lane], p.in + lane);
  prim::copy_async_commit();
  for (int tile = 0; tile < p.tiles; ++tile) {
    const int next = tile + 1;
    if (next < p.tiles) prim::copy_async<4>(&smem.tile[next % 2][lane], p.in + next * kTile + lane);
    prim::copy_async_commit();         // empty at the end, so that the count below holds
    if (p.fault == CopyFault::wait_for_too_few)
      prim::copy_async_wait<2>();
    else if (p.fault != CopyFault::no_wait)
      prim::copy_async_wait<1>();
    simt::sync_threads();
    sum += smem.tile[tile % 2][kTile - 1 - lane];
    simt::sync_threads();
  }
  p.out[lane] = sum;
}

__global__ void last_block(uint32_t* counter, float* out) {
  if (threadIdx.x != 0) return;
  const auto blocks = gridDim.x;
  out[blockIdx.x] = static_cast<float>(blockIdx.x + 1);
  prim::fence();
  const uint32_t before = prim::atomic_add(counter, 1u);
  if (before + 1 != blocks) return;
  prim::fence();
  float sum = 0.0f;
  for (unsigned i = 0; i < blocks; ++i) sum += out[i];
  out[blocks] = sum;
}

}  // namespace

simt::Status run_copy(simt::Stream stream, CopyFault fault, const float* in, float* out,
                      int tiles) {
  const simt::Config config{
      .grid = {}, .block = 32, .shared_bytes = sizeof(PipelineSmem), .stream = stream};
  return simt::launch(config, pipeline, PipelineArgs{fault, in, out, tiles});
}

simt::Status sum_by_last_block(simt::Stream stream, uint32_t* counter, float* out,
                               int blocks) {
  const simt::Config config{
      .grid = {.x = blocks}, .block = 32, .shared_bytes = 0, .stream = stream};
  return simt::launch(config, last_block, counter, out);
}

}  // namespace swarm::test
