// engine/kernels/cuda/simt/simt_host.h — The kernel language for a host compiler: included by
// simt.h only. Declares what a kernel sees inside the emulator; emulator.h is the side that tests
// use. Everything here is called by a CUDA thread, which is a fiber; a broken rule ends the launch
// and is reported by launch() through check_failed() with the source lines of the kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string_view>
#include <type_traits>

#include "engine/kernels/cuda/simt/stream.h"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __launch_bounds__(...)

// Set by the scheduler at each switch.
struct uint3 {
  unsigned x, y, z;
};
extern constinit thread_local uint3 threadIdx;
extern constinit thread_local uint3 blockIdx;
extern constinit thread_local uint3 blockDim;
extern constinit thread_local uint3 gridDim;

namespace swarm::simt {
inline namespace emulated {

// The source line of a call. As the default of a last parameter it is the line of the caller, and
// primitives hand theirs on, so that reports name the kernel and not the primitive.
struct Where {
  const char* file = "";
  int line = 0;
  static constexpr Where here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

inline int lane() { return static_cast<int>(threadIdx.x) & (kWarp - 1); }
inline int warp() { return static_cast<int>(threadIdx.x) / kWarp; }

// Opens when all live threads of the block wait at this line.
void sync_threads(Where where = Where::here());
// Opens when all lanes of the warp wait at this line. Orders memory, as __syncwarp() does.
void sync_warp(Where where = Where::here());

// Reports a broken rule and ends the launch. The fiber never continues.
[[noreturn]] void fail(std::string_view message, Where where);

void* shared_memory(size_t bytes, Where where);
template <class Smem>
Smem& shared(Where where = Where::here()) {
  static_assert(alignof(Smem) <= 128);
  static_assert(std::is_trivially_copyable_v<Smem>);
  return *static_cast<Smem*>(shared_memory(sizeof(Smem), where));
}

// --- for prim/ ---------------------------------------------------------------------------------

// What one lane shows to the others.
struct alignas(16) LaneWords {
  uint32_t word[8] = {};
};

// Publishes, waits for the whole warp at the same `what` and line, and returns the 32 lanes' words,
// valid until this lane's next collective. Orders nothing else: memory needs sync_warp().
const LaneWords* gather(const LaneWords& mine, const char* what, Where where);

// The value that `source` (taken modulo 32) holds.
template <class T>
T exchange(T value, int source, const char* what, Where where) {
  static_assert(sizeof(T) <= sizeof(LaneWords) && std::is_trivially_copyable_v<T>);
  LaneWords mine;
  std::memcpy(mine.word, &value, sizeof(T));
  const LaneWords* all = gather(mine, what, where);
  std::memcpy(&value, all[source & (kWarp - 1)].word, sizeof(T));
  return value;
}

// values[i]: what lane first + i holds.
template <class T, int count>
void exchange_all(T value, int first, T (&values)[count], const char* what, Where where) {
  static_assert(sizeof(T) <= sizeof(LaneWords) && std::is_trivially_copyable_v<T>);
  LaneWords mine;
  std::memcpy(mine.word, &value, sizeof(T));
  const LaneWords* all = gather(mine, what, where);
  for (int i = 0; i < count; ++i) std::memcpy(&values[i], all[first + i].word, sizeof(T));
}

// Reports, unless `bytes` at `pointer` lie in the block's shared memory, aligned to `alignment`.
void expect_shared(const void* pointer, size_t bytes, size_t alignment, const char* what,
                   Where where);

// Orders this thread's memory accesses before it and after it, for all threads of the grid.
void fence();

// A copy that this thread asked for and that has not happened yet (prim/async_copy.h).
struct AsyncCopy {
  void* to = nullptr;
  const void* from = nullptr;
  int bytes = 0;                       // written at `to`
  int valid = 0;                       // read at `from`; the rest becomes zero
};
void async_push(const AsyncCopy& copy);
void async_commit();
// Takes the oldest copy that must be complete when at most `groups_left` committed groups may be
// under way (-1: also what was never committed). False when there is none.
bool async_pop(int groups_left, AsyncCopy& copy);

// Filled into memory whose content must not be relied on: NaN in every floating-point format.
inline constexpr uint8_t kPoison = 0xff;

// --- launch ------------------------------------------------------------------------------------

// `body` runs once per CUDA thread.
void run_grid(const Config& config, std::function<void()> body);

// Returns when the whole grid has run, or has been kept for later by the stream.
template <class... Params>
Status launch(const Config& config, void (*kernel)(Params...),
              std::type_identity_t<Params>... args) {
  static_assert((sizeof(Params) + ... + 0) <= kParamBytesMax);
  run_grid(config, [kernel, args...] { kernel(args...); });
  return {};
}

}  // namespace emulated
}  // namespace swarm::simt
