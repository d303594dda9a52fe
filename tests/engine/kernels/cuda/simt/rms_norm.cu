// x: [tokens, hidden] bf16; weight: [hidden] f32; y as x. One block per token: a strided sum of
// squares, a block sum, a second pass that scales. Memory-bound: reads x twice (the second time
// from the cache), writes y once. simt_test.cpp covers hidden below, at and above the block size.
#include "tests/engine/kernels/cuda/simt/rms_norm.h"

#include "engine/kernels/cuda/prim/block.h"
#include "engine/kernels/cuda/prim/math.h"
#include "engine/kernels/cuda/simt/simt.h"

namespace swarm::test {
namespace {

struct RmsNormSmem {
  float partial[simt::kMaxWarps];
};
static_assert(sizeof(RmsNormSmem) == 128);

__global__ void rms_norm_kernel(RmsNormArgs p) {
  auto& smem = simt::shared<RmsNormSmem>();
  const prim::bf16* x = p.x + int64_t{blockIdx.x} * p.row_stride;
  const int first = static_cast<int>(threadIdx.x), step = static_cast<int>(blockDim.x);
  float sum = 0.0f;
  for (int i = first; i < p.hidden; i += step) {
    const float value = prim::to_float(x[i]);
    sum += value * value;
  }
  sum = prim::block_sum(sum, smem.partial);
  const float scale = prim::rsqrt(sum / static_cast<float>(p.hidden) + p.eps);
  for (int i = first; i < p.hidden; i += step)
    p.y[int64_t{blockIdx.x} * p.hidden + i] =
        prim::to_bf16(prim::to_float(x[i]) * scale * p.weight[i]);
}

}  // namespace

simt::Status rms_norm(simt::Stream stream, const RmsNormArgs& args, int threads) {
  const simt::Config config{.grid = {.x = args.tokens},
                            .block = threads,
                            .shared_bytes = sizeof(RmsNormSmem),
                            .stream = stream};
  return simt::launch(config, rms_norm_kernel, args);
}

}  // namespace swarm::test
