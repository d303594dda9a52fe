// engine/kernels/cuda/simt/emulator.h — The emulator as tests see it: a stream that runs kernels on
// the host. One OS thread runs one block; inside it every CUDA thread is a fiber that runs until it
// waits. An Emulator owns its OS threads and fiber stacks; one thread calls it at a time; launch()
// on its stream returns when the grid has run. What it finds - a barrier in divergent code, a
// deadlock, a wrong launch shape - ends the launch and goes to check_failed(), so a test that
// installs a throwing handler can catch it, and the Emulator is usable afterwards.
//
// A test instrument, not a backend: memory order is too strong, time means nothing.
//
// tests/engine/kernels/cuda/card implements this header a second time, with a stream of a card, so
// that kernel tests run on hardware as they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "engine/kernels/cuda/simt/stream.h"

namespace swarm::simt {

// Which waiting thread goes on first. A kernel whose result depends on it has a missing barrier.
enum class Order : uint8_t { forward, reverse, random };

struct EmulatorOptions {
  Order order = Order::forward;
  uint64_t seed = 1;                   // of Order::random
  int threads = 0;                     // OS threads; 0 = as many as the machine has cores
};

// A stream of an Emulator. `defer` receives each launch as work to run now or to keep (a graph that
// is being captured); without it a launch runs at once. Owned by whoever makes it; the Emulator
// outlives it.
class Emulator;
struct EmulatedStream {
  Emulator& emulator;
  std::function<void(std::function<void()> work)> defer;

  Stream handle() { return reinterpret_cast<Stream>(this); }
};

class Emulator {
 public:
  explicit Emulator(const EmulatorOptions& options = {});
  ~Emulator();
  Emulator(const Emulator&) = delete;
  Emulator& operator=(const Emulator&) = delete;

  Stream stream();
  const EmulatorOptions& options() const { return options_; }
  uint64_t switches() const;           // fibers resumed since construction

  class Pool;
  Pool& pool() { return *pool_; }      // for simt_host.cpp

 private:
  EmulatorOptions options_;
  EmulatedStream stream_{*this, {}};
  std::unique_ptr<Pool> pool_;
};

// Fills memory with a pattern that is NaN as f32, f64, f16, bf16, e4m3 and e5m2. Two patterns
// (variant 0 and 1), so that integers that nobody wrote differ between two runs.
void poison(void* memory, size_t bytes, int variant);

// Builds with a sanitizer look for what any one order shows: bounds, undefined behaviour, races.
// Kernel tests there run one order, and may take fewer shapes; identical bits of several orders are
// the business of the other builds.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kInstrumented = true;
#else
inline constexpr bool kInstrumented = false;
#endif
inline constexpr int kOrders = 4;
int orders_at_most();                  // kOrders; fewer where a card is asked to hurry

// Calls run(stream, name) once per order, for tests that demand identical bits.
template <class Run>
void for_each_order(Run&& run, int orders = kInstrumented ? 1 : orders_at_most()) {
  const EmulatorOptions kEach[kOrders] = {{.order = Order::random, .seed = 7},
                                          {.order = Order::forward},
                                          {.order = Order::reverse},
                                          {.order = Order::random, .seed = 8, .threads = 1}};
  const char* kNames[kOrders] = {"random 7", "forward", "reverse", "random 8, one OS thread"};
  for (int i = 0; i < orders; ++i) {
    Emulator emulator(kEach[i]);
    run(emulator.stream(), std::string(kNames[i]));
  }
}

// Every order in every build: for tests of the emulator and its primitives.
template <class Run>
void for_all_orders(Run&& run) {
  for_each_order(std::forward<Run>(run), kOrders);
}

}  // namespace swarm::simt
