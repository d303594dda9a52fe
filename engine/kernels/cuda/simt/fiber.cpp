#include "engine/kernels/cuda/simt/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <mutex>
#include <vector>

#include "engine/base/check.h"

#if SIMT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if SIMT_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#if !defined(__x86_64__) && !defined(__aarch64__) && !SIMT_UCONTEXT
#undef SIMT_UCONTEXT
#define SIMT_UCONTEXT 1
#endif
#if SIMT_UCONTEXT
#include <ucontext.h>
#endif

namespace swarm::simt {

// Saves what the calling convention says a callee must keep, and the stack pointer in *save; then
// the same backwards from the stack `to`. On x86-64 by a jump: the processor predicts a return from
// the calls it has seen, which belong to another stack. The floating-point control words are the
// same everywhere.
#if !SIMT_UCONTEXT
extern "C" void swarm_fiber_switch(void** save, void* to);
#if defined(__x86_64__)
asm(R"(
.text
.p2align 4
.type swarm_fiber_switch, @function
swarm_fiber_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  popq %rcx
  jmp *%rcx
.size swarm_fiber_switch, .-swarm_fiber_switch
)");
constexpr size_t kSavedWords = 6;      // below the return address
#else
asm(R"(
.text
.p2align 4
.type swarm_fiber_switch, %function
swarm_fiber_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size swarm_fiber_switch, .-swarm_fiber_switch
)");
constexpr size_t kSavedWords = 20;
constexpr size_t kLinkWord = 11;       // x30
#endif
#endif

struct FiberImpl {
#if SIMT_UCONTEXT
  ucontext_t context = {};
#else
  void* stack_pointer = nullptr;
#endif
  const void* bottom = nullptr;        // of the stack, for AddressSanitizer
  size_t bytes = 0;
  void* fake_stack = nullptr;          // AddressSanitizer's
  void* tsan = nullptr;                // ThreadSanitizer's
  bool tsan_owned = false;
};

#if SIMT_TSAN
namespace {

// ThreadSanitizer's fibers, of which creating one costs about a millisecond, wait here for the next
// Fiber; one list, as there is one such runtime in a process. A fiber that comes back knows no more
// than a new one would: whoever hands it out has acquired what it did.
class TsanFibers {
 public:
  void* take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return __tsan_create_fiber(0);
    void* fiber = free_.back();
    free_.pop_back();
    return fiber;
  }
  void give(void* fiber) {
    const std::lock_guard lock(mutex_);
    free_.push_back(fiber);
  }

 private:
  std::mutex mutex_;
  std::vector<void*> free_;
};

TsanFibers& tsan_fibers() {
  static TsanFibers fibers;
  return fibers;
}

}  // namespace
#endif

Fiber::Fiber() : impl_(std::make_unique<FiberImpl>()) {}

Fiber::~Fiber() {
#if SIMT_TSAN
  if (impl_->tsan_owned) tsan_fibers().give(impl_->tsan);
#endif
}

void Fiber::retire() {
#if SIMT_TSAN
  if (impl_->tsan_owned) __tsan_destroy_fiber(impl_->tsan);
#endif
  impl_->tsan = nullptr;
  impl_->tsan_owned = false;
}

void Fiber::adopt() {
#if SIMT_TSAN
  impl_->tsan = __tsan_get_current_fiber();
#endif
}

void Fiber::start_on(std::byte* stack, size_t bytes, void (*entry)()) {
  impl_->bottom = stack;
  impl_->bytes = bytes;
  impl_->fake_stack = nullptr;
#if SIMT_ASAN
  __asan_unpoison_memory_region(stack, bytes);   // of frames that were abandoned
#endif
#if SIMT_TSAN
  if (impl_->tsan == nullptr) impl_->tsan = tsan_fibers().take();
  impl_->tsan_owned = true;
  __tsan_release(impl_.get());
#endif
#if SIMT_UCONTEXT
  getcontext(&impl_->context);
  impl_->context.uc_stack.ss_sp = stack;
  impl_->context.uc_stack.ss_size = bytes;
  impl_->context.uc_link = nullptr;
  makecontext(&impl_->context, entry, 0);
#else
  // The end of the stack, as if `entry` had been called: 16-aligned before the return address.
  auto** top = reinterpret_cast<void**>(stack + bytes) - 4;
#if defined(__x86_64__)
  top[0] = reinterpret_cast<void*>(entry);
  top[1] = nullptr;                    // where entry would return to: ends a backtrace
  impl_->stack_pointer = top - kSavedWords;
  for (size_t i = 1; i <= kSavedWords; ++i) *(top - i) = nullptr;
#else
  void** frame = top - kSavedWords;
  for (size_t i = 0; i < kSavedWords; ++i) frame[i] = nullptr;
  frame[kLinkWord] = reinterpret_cast<void*>(entry);
  impl_->stack_pointer = frame;
#endif
#endif
}

void Fiber::entered(Fiber& from) {
#if SIMT_TSAN
  __tsan_acquire(impl_.get());
#endif
#if SIMT_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &from.impl_->bottom, &from.impl_->bytes);
#else
  static_cast<void>(from);
#endif
}

namespace {

void switch_to(FiberImpl& from, FiberImpl& to, [[maybe_unused]] bool for_good) {
#if SIMT_ASAN
  __sanitizer_start_switch_fiber(for_good ? nullptr : &from.fake_stack, to.bottom, to.bytes);
#endif
#if SIMT_TSAN
  __tsan_switch_to_fiber(to.tsan, __tsan_switch_to_fiber_no_sync);
#endif
#if SIMT_UCONTEXT
  swapcontext(&from.context, &to.context);
#else
  swarm_fiber_switch(&from.stack_pointer, to.stack_pointer);
#endif
#if SIMT_ASAN
  __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
#endif
}

}  // namespace

void Fiber::enter(Fiber& from) { switch_to(*from.impl_, *impl_, false); }
void Fiber::enter_for_good(Fiber& from) { switch_to(*from.impl_, *impl_, true); }

void Fiber::release_for([[maybe_unused]] void* where, [[maybe_unused]] Fiber& running) {
#if SIMT_TSAN
  __tsan_switch_to_fiber(impl_->tsan, __tsan_switch_to_fiber_no_sync);
  __tsan_release(where);
  __tsan_switch_to_fiber(running.impl_->tsan, __tsan_switch_to_fiber_no_sync);
#endif
}

FiberStacks::FiberStacks(int count, size_t stack_bytes) : count_(count) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  stack_bytes_ = (stack_bytes + page - 1) / page * page;
  stride_ = stack_bytes_ + page;
  void* memory = mmap(nullptr, stride_ * static_cast<size_t>(count), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  SWARM_CHECK(memory != MAP_FAILED, count, stack_bytes);
  memory_ = static_cast<std::byte*>(memory);
  for (int i = 0; i < count; ++i)
    SWARM_CHECK(mprotect(stack(i) - page, page, PROT_NONE) == 0, i);
}

FiberStacks::~FiberStacks() { munmap(memory_, stride_ * static_cast<size_t>(count_)); }

std::byte* FiberStacks::stack(int index) const {
  return memory_ + static_cast<size_t>(index) * stride_ + (stride_ - stack_bytes_);
}

void tsan_release([[maybe_unused]] void* where) {
#if SIMT_TSAN
  __tsan_release(where);
#endif
}
void tsan_acquire([[maybe_unused]] void* where) {
#if SIMT_TSAN
  __tsan_acquire(where);
#endif
}

}  // namespace swarm::simt
