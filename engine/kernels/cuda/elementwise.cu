// Memory-bound ops over f32 rows: one pass, neighbouring threads on neighbouring elements.
// rms_norm: one block per row; the row is read twice, the second time from L1 or L2 (8 KiB at
// hidden 2048), so 8 bytes per element reach memory and 4 flops are done on each (16 bytes with a
// delta, 4 fewer than in two passes). Others: one
// thread per element. nvcc 13, sm_90a: at most 32 registers, no spills (the double sine keeps 40
// bytes of stack). elementwise_test.cpp covers widths that are no multiple of a block.
#include "engine/kernels/cuda/elementwise.h"

#include "engine/kernels/cuda/prim/block.h"
#include "engine/kernels/cuda/prim/double.h"
#include "engine/kernels/cuda/prim/math.h"
#include "engine/kernels/cuda/simt/simt.h"

namespace swarm::engine::kernels::cuda {
namespace {

constexpr int kThreads = 256;

int64_t blocks_for(int64_t count) { return (count + kThreads - 1) / kThreads; }

__device__ int64_t global_index() {
  return int64_t{blockIdx.x} * kThreads + static_cast<int64_t>(threadIdx.x);
}

struct RmsNormSmem {
  float partial[simt::kMaxWarps];
};
static_assert(sizeof(RmsNormSmem) == 128);

__global__ void rms_norm_kernel(RmsNormArgs p) {
  auto& smem = simt::shared<RmsNormSmem>();
  const int64_t row = int64_t{blockIdx.x} * p.hidden;
  const float* x = p.x + row;
  float* out = p.out + row;
  float sum = 0.0f;
  for (int j = static_cast<int>(threadIdx.x); j < p.hidden; j += kThreads) {
    float value = x[j];
    if (p.delta != nullptr) {
      value = prim::add(value, p.delta[row + j]);
      p.residual[row + j] = value;     // this thread alone reads it again
    }
    sum = prim::fma(value, value, sum);
  }
  const float mean =
      prim::divide(prim::block_sum(sum, smem.partial), static_cast<float>(p.hidden));
  const float factor = prim::divide(1.0f, prim::sqrt(prim::add(mean, p.eps)));
  for (int j = static_cast<int>(threadIdx.x); j < p.hidden; j += kThreads) {
    out[j] = prim::multiply(prim::multiply(x[j], factor), p.weight[j]);
  }
}

__global__ void add_kernel(AddArgs p) {
  const int64_t i = global_index();
  if (i < p.count) p.residual[i] = prim::add(p.residual[i], p.delta[i]);
}

__global__ void silu_mul_kernel(SiluMulArgs p) {
  const int64_t i = global_index();
  if (i >= p.count) return;
  const float gate = p.gate[i];
  const float silu = prim::divide(gate, prim::add(1.0f, prim::exp_library(-gate)));
  p.gate[i] = prim::multiply(silu, p.up[i]);
}

__global__ void rope_angles_kernel(RopeAnglesArgs p) {
  const int64_t i = global_index();
  if (i >= int64_t{p.batch.rows} * p.half) return;
  const double angle = p.batch.positions[i / p.half] * p.inv_freq[i % p.half];
  p.cos[i] = static_cast<float>(p.factor * prim::cos_double(angle));
  p.sin[i] = static_cast<float>(p.factor * prim::sin_double(angle));
}

__global__ void gather_wanted_kernel(GatherWantedArgs p) {
  const int64_t i = global_index();
  if (i >= int64_t{p.batch.wanted_count} * p.width) return;
  p.out[i] = p.x[int64_t{p.batch.wanted[i / p.width]} * p.width + i % p.width];
}

}  // namespace

simt::Status rms_norm(simt::Stream stream, const RmsNormArgs& args) {
  const simt::Config config{.grid = {.x = args.rows}, .block = kThreads,
                            .shared_bytes = sizeof(RmsNormSmem), .stream = stream};
  return simt::launch(config, rms_norm_kernel, args);
}

simt::Status add(simt::Stream stream, const AddArgs& args) {
  const simt::Config config{.grid = {.x = blocks_for(args.count)}, .block = kThreads,
                            .stream = stream};
  return simt::launch(config, add_kernel, args);
}

simt::Status silu_mul(simt::Stream stream, const SiluMulArgs& args) {
  const simt::Config config{.grid = {.x = blocks_for(args.count)}, .block = kThreads,
                            .stream = stream};
  return simt::launch(config, silu_mul_kernel, args);
}

simt::Status rope_angles(simt::Stream stream, const RopeAnglesArgs& args) {
  const simt::Config config{.grid = {.x = blocks_for(int64_t{args.batch.rows} * args.half)},
                            .block = kThreads, .stream = stream};
  return simt::launch(config, rope_angles_kernel, args);
}

simt::Status gather_wanted(simt::Stream stream, const GatherWantedArgs& args) {
  const simt::Config config{
      .grid = {.x = blocks_for(int64_t{args.batch.wanted_count} * args.width)},
      .block = kThreads, .stream = stream};
  return simt::launch(config, gather_wanted_kernel, args);
}

}  // namespace swarm::engine::kernels::cuda
