// One block per row: the largest magnitude of the row decides its scale (f16), then each element is
// split; the row is read a second time from L1 or L2. Memory-bound; the products that follow are
// some hundred times as long. halves_test.cpp covers widths that are no multiple of a block, zero
// rows, subnormals, infinities.
#include "engine/kernels/cuda/matmul/halves.h"

#include "engine/kernels/cuda/prim/block.h"
#include "engine/kernels/cuda/prim/math.h"
#include "engine/kernels/cuda/prim/types.h"
#include "engine/kernels/cuda/simt/simt.h"

namespace swarm::engine::kernels::cuda {
namespace {

constexpr int kThreads = 256;

struct HalvesSmem {
  float partial[simt::kMaxWarps];
};
static_assert(sizeof(HalvesSmem) == 128);

__device__ float power_of_two(int biased_exponent) {
  return prim::bit_cast<float>(static_cast<uint32_t>(biased_exponent) << 23);
}

// Biased exponent of the factor that brings `largest` to [2^8, 2^9); its inverse is normal, too.
__device__ int factor_exponent(float largest) {
  const int exponent = static_cast<int>(prim::bit_cast<uint32_t>(largest) >> 23);   // no sign
  const int wanted = 127 + 8 + 127 - exponent;
  return wanted < 1 ? 1 : wanted > 253 ? 253 : wanted;
}

__global__ void split_halves_kernel(SplitHalvesArgs p) {
  auto& smem = simt::shared<HalvesSmem>();
  const int64_t row = blockIdx.x;
  const float* x = p.x + row * p.cols;
  float factor = 1.0f;
  if (!p.bf16) {
    float largest = 0.0f;
    for (int c = static_cast<int>(threadIdx.x); c < p.cols; c += kThreads)
      largest = prim::max(largest, x[c] < 0.0f ? -x[c] : x[c]);
    const int exponent = factor_exponent(prim::block_max(largest, smem.partial));
    factor = power_of_two(exponent);
    if (threadIdx.x == 0) p.scale[row] = power_of_two(254 - exponent);
  } else if (threadIdx.x == 0) {
    p.scale[row] = 1.0f;
  }
  for (int c = static_cast<int>(threadIdx.x); c < p.stride; c += kThreads) {
    const float value = c < p.cols ? prim::multiply(x[c], factor) : 0.0f;
    const int64_t at = row * p.stride + c;
    if (p.bf16) {
      const prim::bf16 high = prim::to_bf16(value);
      p.high[at] = high.bits;
      p.low[at] = prim::to_bf16(prim::add(value, -prim::to_float(high))).bits;
    } else {
      const prim::f16 high = prim::to_f16(value);
      p.high[at] = high.bits;
      p.low[at] = prim::to_f16(prim::add(value, -prim::to_float(high))).bits;
    }
  }
}

__global__ void scale_rows_kernel(ScaleRowsArgs p) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + static_cast<int64_t>(threadIdx.x);
  if (i < int64_t{p.rows} * p.cols) p.y[i] = prim::multiply(p.y[i], p.scale[i / p.cols]);
}

}  // namespace

simt::Status split_halves(simt::Stream stream, const SplitHalvesArgs& args) {
  if (args.rows == 0) return {};
  const simt::Config config{.grid = {.x = args.rows}, .block = kThreads,
                            .shared_bytes = sizeof(HalvesSmem), .stream = stream};
  return simt::launch(config, split_halves_kernel, args);
}

simt::Status scale_rows(simt::Stream stream, const ScaleRowsArgs& args) {
  if (args.rows == 0) return {};
  const int64_t count = int64_t{args.rows} * args.cols;
  const simt::Config config{.grid = {.x = (count + kThreads - 1) / kThreads}, .block = kThreads,
                            .stream = stream};
  return simt::launch(config, scale_rows_kernel, args);
}

}  // namespace swarm::engine::kernels::cuda
