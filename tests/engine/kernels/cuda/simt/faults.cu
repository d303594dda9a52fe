// One thread per element. The faults are described in faults.h.
#include "tests/engine/kernels/cuda/simt/faults.h"

#include "engine/kernels/cuda/prim/block.h"
#include "engine/kernels/cuda/simt/simt.h"

namespace swarm::test {
namespace {

constexpr int kThreadsMax = 256;

struct Smem {
  float value[kThreadsMax];
};

struct Args {
  Fault fault;
  float* out;
};

// Frames of 1 KiB that cannot be merged: the sum depends on all of them.
__device__ float nested(int depth) {
  volatile float frame[256];
  frame[depth % 256] = static_cast<float>(depth);
  return depth == 0 ? 0.0f : nested(depth - 1) + frame[depth % 256];
}

__global__ void faulty(Args p) {
  auto& smem = simt::shared<Smem>();
  const int i = static_cast<int>(threadIdx.x), n = static_cast<int>(blockDim.x);
  float* out = p.out + int64_t{blockIdx.x} * n;
  if (p.fault != Fault::unwritten_memory || i == 0)
    smem.value[i] = static_cast<float>(i);
  if (p.fault == Fault::overflow && i == n - 1) smem.value[kThreadsMax + i - n + 1] = 1.0f;
  if (p.fault == Fault::missing_warp_barrier)
    static_cast<void>(prim::shuffle(0, 0));                // orders nothing
  else if (p.fault != Fault::missing_barrier)
    simt::sync_threads();
  const int from = p.fault == Fault::missing_warp_barrier ? i ^ 1 : n - 1 - i;
  out[i] = smem.value[from];
  if (p.fault == Fault::divergent_barrier) {
    if (i < n / 2)
      simt::sync_threads();
    else
      simt::sync_threads();
  }
  if (p.fault == Fault::divergent_warp)
    out[i] = i % 2 == 0 ? prim::shuffle(1.0f, 0) : static_cast<float>(prim::ballot(true));
  if (p.fault == Fault::lane_left) {
    if (i == 5) return;
    out[i] = prim::warp_sum(1.0f);
  }
  if (p.fault == Fault::barrier_and_collective) {
    if (i % 32 < 16) simt::sync_threads();
    out[i] = prim::shuffle(1.0f, 0);
  }
#if !SIMT_DEVICE
  if (p.fault == Fault::throwing) throw 1;
#endif
  if (p.fault == Fault::deep_stack) out[i] = nested(2000);
  if (p.fault == Fault::block_race && i == 0) p.out[0] += 1.0f;
}

__global__ void counting(int32_t* out, int rounds) {
  auto& smem = simt::shared<Smem>();
  const int i = static_cast<int>(threadIdx.x), n = static_cast<int>(blockDim.x);
  smem.value[i] = 0.0f;
  for (int round = 0; round < rounds; ++round) {
    simt::sync_threads();
    const float neighbour = smem.value[(i + 1) % n];
    simt::sync_threads();
    smem.value[i] = neighbour + 1.0f;
  }
  simt::sync_threads();
  if (i != 0) return;
  int32_t sum = 0;
  for (int k = 0; k < n; ++k) sum += smem.value[k] == static_cast<float>(rounds) ? 1 : 0;
  out[blockIdx.x] = sum;
}

__global__ void leaving(float* out, int keep) {
  auto& smem = simt::shared<Smem>();
  const int i = static_cast<int>(threadIdx.x);
  if (i >= keep) return;
  smem.value[i] = static_cast<float>(i);
  simt::sync_threads();
  out[i] = smem.value[keep - 1 - i];
}

template <int floats>
struct LargeSmem {
  float value[floats];
};

template <int floats>
__global__ void summing(float* out) {
  auto& smem = simt::shared<LargeSmem<floats>>();
  for (int i = static_cast<int>(threadIdx.x); i < floats; i += static_cast<int>(blockDim.x))
    smem.value[i] = 1.0f;
  simt::sync_threads();
  if (threadIdx.x != 0) return;
  float sum = 0.0f;
  for (int i = 0; i < floats; ++i) sum += smem.value[i];
  *out = sum;
}

__global__ void numbering(int64_t* out) {
  const int64_t block = (int64_t{blockIdx.z} * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  if (threadIdx.x == 0) out[block] = block;
}

}  // namespace

simt::Status run_fault(simt::Stream stream, Fault fault, float* out, int blocks, int threads) {
  const int64_t bytes = sizeof(Smem) - (fault == Fault::wrong_shared_bytes ? 4 : 0);
  const simt::Config config{
      .grid = {.x = blocks}, .block = threads, .shared_bytes = bytes, .stream = stream};
  return simt::launch(config, faulty, Args{fault, out});
}

simt::Status count_barriers(simt::Stream stream, int32_t* out, int blocks, int threads,
                            int rounds) {
  const simt::Config config{.grid = {.x = blocks},
                            .block = threads,
                            .shared_bytes = sizeof(Smem),
                            .stream = stream};
  return simt::launch(config, counting, out, rounds);
}

simt::Status leave_early(simt::Stream stream, float* out, int threads, int keep) {
  const simt::Config config{
      .grid = {}, .block = threads, .shared_bytes = sizeof(Smem), .stream = stream};
  return simt::launch(config, leaving, out, keep);
}

simt::Status large_shared(simt::Stream stream, float* out, bool portable) {
  constexpr int kSmall = 50 * 1024 / 4, kLarge = simt::kSharedBytesMax / 4;
  const int64_t bytes = portable ? kSmall * 4 : kLarge * 4;
  const simt::Config config{.grid = {}, .block = 64, .shared_bytes = bytes, .stream = stream};
  return portable ? simt::launch(config, summing<kSmall>, out)
                  : simt::launch(config, summing<kLarge>, out);
}

simt::Status block_numbers(simt::Stream stream, int64_t* out, const simt::Grid& grid) {
  const simt::Config config{.grid = grid, .block = 32, .shared_bytes = 0, .stream = stream};
  return simt::launch(config, numbering, out);
}

}  // namespace swarm::test
