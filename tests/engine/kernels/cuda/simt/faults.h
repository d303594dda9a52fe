// tests/engine/kernels/cuda/simt/faults.h — Kernels with one planted fault each, and small correct
// ones, to show that the emulator sees the first kind and accepts the second.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/simt/stream.h"

namespace swarm::test {

enum class Fault : uint8_t {
  none,                  // reverses `threads` numbers through shared memory
  missing_barrier,       // the same without the barrier
  missing_warp_barrier,  // lanes talk through shared memory with a shuffle in between only
  overflow,              // writes one element past its shared memory
  unwritten_memory,      // reads shared memory that nobody wrote
  divergent_barrier,     // two barriers, one per half of the block
  divergent_warp,        // shuffle in one branch, ballot in the other
  lane_left,             // a lane returns before a warp collective
  barrier_and_collective,  // half of a warp at a barrier, half in a shuffle: a deadlock
  wrong_shared_bytes,    // launched for less shared memory than it uses
  throwing,              // an exception
  block_race,            // every block adds to the same element without an atomic
  deep_stack,            // needs more stack than a fiber has
};

// out: [blocks, threads].
simt::Status run_fault(simt::Stream stream, Fault fault, float* out, int blocks, int threads);

// out[i] = number of threads of block i that arrived at the last of `rounds` barriers.
simt::Status count_barriers(simt::Stream stream, int32_t* out, int blocks, int threads, int rounds);

// Threads whose index is not below `keep` return before the barrier, which then needs the others.
simt::Status leave_early(simt::Stream stream, float* out, int threads, int keep);

// Fills and sums `bytes` of shared memory: 50 KiB (more than a card gives without asking) or, when
// `portable` is false, the most that any card has.
simt::Status large_shared(simt::Stream stream, float* out, bool portable);

// out[i] = linear index of the block from all three grid coordinates.
simt::Status block_numbers(simt::Stream stream, int64_t* out, const simt::Grid& grid);

}  // namespace swarm::test
