// engine/kernels/cuda/simt/stream.h — What a caller of kernels needs: a stream, a launch shape, a
// result. Plain C++ without CUDA headers; the same types in every build, so a header that declares
// kernel entry points includes this file and nothing more.
#pragma once

#include <cstdint>

struct CUstream_st;                    // what cudaStream_t points to

namespace swarm::simt {

// Equals cudaStream_t. In the emulated build it is the handle of an EmulatedStream (emulator.h),
// whose Emulator decides in which order threads run. Borrowed: its owner outlives the launches.
using Stream = CUstream_st*;

inline constexpr int kWarp = 32;                        // lanes per warp
inline constexpr int kThreadsMax = 1024;                // threads per block
inline constexpr int kMaxWarps = kThreadsMax / kWarp;
inline constexpr int kSharedBytesPortable = 99 * 1024;  // per block on every supported card
inline constexpr int kSharedBytesMax = 227 * 1024;      // per block on sm_90 and sm_100
inline constexpr int kParamBytesMax = 4096;             // all arguments of one kernel

// Every extent is at least 1: a caller with nothing to do does not launch.
struct Grid {
  int64_t x = 1;                       // at most 2^31 - 1
  int64_t y = 1;                       // at most 65535
  int64_t z = 1;                       // at most 65535
};

// Blocks have one dimension. shared_bytes is sizeof the kernel's Smem, 0 when it has none.
struct Config {
  Grid grid = {};
  int block = 0;                       // threads per block, a multiple of kWarp
  int64_t shared_bytes = 0;
  Stream stream = nullptr;             // must be set: nothing runs on the null stream
};

// Outcome of asking for a launch: 0 or a cudaError_t. An error here, or later on the stream, is
// sticky; the device layer keeps the policy. Never an error in the emulated build: there a broken
// rule is a bug and ends in check_failed().
struct [[nodiscard]] Status {
  int cuda_error = 0;
  bool ok() const { return cuda_error == 0; }
};

}  // namespace swarm::simt
