// engine/kernels/cuda/simt/simt.h — The language of kernels: the only header, besides prim/, that a
// .cu file includes. The same source is compiled by nvcc for a card (SIMT_DEVICE 1) and by g++ as
// C++ for the emulator (SIMT_DEVICE 0), where it is tested under sanitizers without a card.
//
//   threadIdx blockIdx blockDim gridDim   .x is the index; blocks have one dimension
//   __global__ __device__ __host__ __constant__ __forceinline__ __launch_bounds__ __restrict__
//   simt::shared<Smem>()                  all shared memory of the block, one struct
//   simt::sync_threads()                  block barrier
//   simt::lane() simt::warp()             index of the thread in its warp, of the warp in its block
//   simt::launch(config, kernel, args...) the only way to start a kernel
//
// There is no static shared array: it would be zero in the emulator and hide missing writes.
// Rules for kernels and an example: engine/kernels/cuda/README.md.
#pragma once

#include <cstdint>
#include <type_traits>

#include "engine/kernels/cuda/simt/stream.h"

#if defined(__CUDACC__)
#define SIMT_DEVICE 1
#define SIMT_SIDE on_device
#else
#define SIMT_DEVICE 0
#define SIMT_SIDE emulated
#endif

// What both compilers emit lives in the inline namespace SIMT_SIDE, so that one test executable can
// hold a kernel twice, for the card and emulated, without the linker mixing the two.

#if !SIMT_DEVICE

#include "engine/kernels/cuda/simt/simt_host.h"

#else

namespace swarm::simt {
inline namespace SIMT_SIDE {

// The caller's source line; the emulator reports it, the device has no use for it.
struct Where {
  __host__ __device__ static constexpr Where here() { return {}; }
};

__device__ inline int lane() { return static_cast<int>(threadIdx.x) & (kWarp - 1); }
__device__ inline int warp() { return static_cast<int>(threadIdx.x) / kWarp; }

__device__ inline void sync_threads(Where = Where::here()) { __syncthreads(); }

template <class Smem>
__device__ inline Smem& shared(Where = Where::here()) {
  static_assert(alignof(Smem) <= 128);
  extern __shared__ __align__(128) unsigned char simt_shared_bytes[];
  return *reinterpret_cast<Smem*>(simt_shared_bytes);
}

// Host side. Asynchronous; says only whether the launch was accepted.
template <class... Params>
Status launch(const Config& config, void (*kernel)(Params...),
              std::type_identity_t<Params>... args) {
  static_assert((sizeof(Params) + ... + 0) <= kParamBytesMax);
  constexpr int64_t kWithoutOptIn = 48 * 1024;
  if (config.stream == nullptr || config.block <= 0 || config.block % kWarp != 0)
    return {static_cast<int>(cudaErrorInvalidConfiguration)};
  if (config.shared_bytes > kWithoutOptIn) {
    const cudaError_t error =
        cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                             cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(config.shared_bytes));
    if (error != cudaSuccess) return {static_cast<int>(error)};
  }
  const dim3 grid(static_cast<unsigned>(config.grid.x), static_cast<unsigned>(config.grid.y),
                  static_cast<unsigned>(config.grid.z));
  kernel<<<grid, static_cast<unsigned>(config.block), static_cast<size_t>(config.shared_bytes),
           config.stream>>>(args...);
  return {static_cast<int>(cudaPeekAtLastError())};   // left for the device layer to take
}

}  // namespace SIMT_SIDE
}  // namespace swarm::simt

#endif
