// engine/kernels/cuda/simt/block_runner.h — Runs one block of an emulated grid: a fiber per CUDA
// thread, the block barrier, warp collectives and the detection of broken rules. One per OS thread
// and used by it alone; stacks are reused from block to block. Compiled without instrumentation,
// and keeps its state in types of its own, so that sanitizers look at kernels and not at this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/kernels/cuda/simt/emulator.h"
#include "engine/kernels/cuda/simt/fiber.h"
#include "engine/kernels/cuda/simt/simt.h"

namespace swarm::simt {

// What is the same for all blocks of a launch.
struct GridRun {
  Config config;
  std::function<void()> body;          // of one CUDA thread
  EmulatorOptions options;
  mutable char order = 0;              // its address stands for fence()
};

struct Failure {
  std::string message;                 // empty: none
  Where where;
};

class BlockRunner {
 public:
  BlockRunner();
  ~BlockRunner();
  BlockRunner(const BlockRunner&) = delete;
  BlockRunner& operator=(const BlockRunner&) = delete;

  // `block` counts x fastest. Returns what went wrong, if anything.
  Failure run(const GridRun& grid, int64_t block);
  uint64_t switches() const { return switches_; }

  // Called by the fiber that runs now.
  void sync_threads(Where where);
  const LaneWords* gather(const LaneWords& mine, const char* what, Where where, bool orders_memory);
  void* shared_memory(size_t bytes, Where where);
  bool is_shared(const void* pointer, size_t bytes, size_t alignment) const;
  void* grid_order() const { return &grid_->order; }
  void async_push(const AsyncCopy& copy);
  void async_commit();
  bool async_pop(int groups_left, AsyncCopy& copy);
  // A broken rule: note it, end the full expression (temporaries must not leak), then abandon.
  void note(std::string message, Where where);
  [[noreturn]] void abandon();

 private:
  // What a thread does, in words for reports: derived, so that a switch writes little.
  enum class Doing : uint8_t { runs, waits_at_barrier, waits_in_collective, ended };
  struct QueuedCopy {
    AsyncCopy copy;
    int64_t group = 0;
  };
  struct Thread {
    Fiber fiber;
    int64_t group = 0;                 // of asynchronous copies, the open one
    std::deque<QueuedCopy> copies;
  };
  struct Warp {
    LaneWords words[2][kWarp];         // alternating: a slow lane still reads the older ones
    uint32_t live = 0;                 // bits, one per lane: has not ended
    uint32_t ready = 0;                // can go on
    uint32_t at_barrier = 0;           // neither of the two: waits in the collective
    int phase = 0;
    int arrived = 0;
    const char* what = "";             // the collective
    Where where;
    char order[2] = {};                // addresses that stand for the two phases' sync_warp
  };

  void prepare(const GridRun& grid, int64_t block);
  void schedule(Order order);
  bool pass_over_warp(int warp, Order order);
  void resume(int thread);
  Doing doing(int thread) const;
  void yield();
  void release_barrier();
  [[noreturn]] static void entry();
  void report_deadlock();
  std::string waiting_threads() const;
  std::string thread_name() const;
  uint64_t random();

  const GridRun* grid_ = nullptr;
  int block_threads_ = 0;
  int current_ = 0;                    // thread that runs
  int live_ = 0;
  int at_barrier_ = 0;
  Where barrier_;
  int barrier_phase_ = 0;
  char barrier_order_[2] = {};         // addresses that stand for the barrier, alternating
  char end_order_ = 0;
  Failure failure_;
  uint64_t random_state_ = 0;
  uint64_t switches_ = 0;
  Fiber scheduler_;
  std::unique_ptr<FiberStacks> stacks_;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<std::unique_ptr<Warp>> warps_;
  std::byte* shared_ = nullptr;        // exactly config.shared_bytes, red-zoned by the sanitizer
};

// The runner whose fiber calls, nullptr outside of kernels.
BlockRunner* current_runner();

}  // namespace swarm::simt
