// tests/engine/kernels/cuda/prim/copy_kernels.h — Kernels about asynchronous copies and fences,
// correct ones and such with a planted fault.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/simt/stream.h"

namespace swarm::test {

enum class CopyFault : uint8_t {
  none,
  no_wait,             // reads at once
  wait_for_too_few,    // leaves the group that it reads under way
  not_shared,          // copies to global memory
  misaligned,          // destination between two words
  ldmatrix_misaligned,
  ldmatrix_global,
};

// Sums tiles of 32 numbers, `tiles` of them, double-buffered: out[lane] = sum over tiles. One warp.
simt::Status run_copy(simt::Stream stream, CopyFault fault, const float* in, float* out, int tiles);

// The last block to finish adds up what all blocks wrote: out[blocks] = sum of out[0..blocks).
// counter is 0 before. Without its fences ThreadSanitizer would complain.
simt::Status sum_by_last_block(simt::Stream stream, uint32_t* counter, float* out,
                               int blocks);

}  // namespace swarm::test
