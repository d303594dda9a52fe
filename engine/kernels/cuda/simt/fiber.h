// engine/kernels/cuda/simt/fiber.h — A stack that can be left and entered again, on one OS thread.
// Three bodies of the switch: x86-64, aarch64, and ucontext elsewhere (or with SIMT_UCONTEXT). The
// sanitizers are told at each switch. ThreadSanitizer sees every fiber as a thread of its own, and
// a switch orders nothing. Compiled without instrumentation. Running off the end of a stack hits a
// guard page and ends the process.
#pragma once

#include <cstddef>
#include <memory>

namespace swarm::simt {

struct FiberImpl;

class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Makes this the context of the calling OS thread: what fibers return to.
  void adopt();
  // Makes this a fresh fiber on a stack; entry must never return. What ran there before is gone.
  void start_on(std::byte* stack, size_t bytes, void (*entry)());
  // First thing in entry: the switch that began the fiber is complete.
  void entered(Fiber& from);
  // Leaves `from`, enters this one; returns when somebody enters `from` again.
  void enter(Fiber& from);
  // As enter(), when `from` has ended.
  void enter_for_good(Fiber& from);
  // ThreadSanitizer: what this fiber, which is not running, did so far is seen by whoever calls
  // tsan_acquire(where). `running` is the one that calls.
  void release_for(void* where, Fiber& running);
  // Forgets a fiber that was left in the middle and will not be entered again.
  void retire();

 private:
  std::unique_ptr<FiberImpl> impl_;
};

// Equal stacks with a guard page below each; memory is used only as far as it is touched.
class FiberStacks {
 public:
  FiberStacks(int count, size_t stack_bytes);
  ~FiberStacks();
  FiberStacks(const FiberStacks&) = delete;
  FiberStacks& operator=(const FiberStacks&) = delete;

  std::byte* stack(int index) const;
  size_t stack_bytes() const { return stack_bytes_; }
  int count() const { return count_; }

 private:
  std::byte* memory_ = nullptr;
  size_t stride_ = 0;
  size_t stack_bytes_ = 0;
  int count_ = 0;
};

// ThreadSanitizer: what the caller did before release(where) is seen by whoever calls
// acquire(where) later. Nothing without it.
void tsan_release(void* where);
void tsan_acquire(void* where);

}  // namespace swarm::simt
