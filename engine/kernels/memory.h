// engine/kernels/memory.h — Where a backend keeps weights, K and V and activations: host memory for
// the CPU, one arena of the device for an accelerator. Everything is announced in a plan
// (device/arena.h), refused or granted as a whole, then claimed by name. Claimed memory lives as
// long as the Memory object. Only `read` and `write` touch host memory; pointers returned by
// claim() are opaque to everybody but the backend. Not thread-safe (engine thread).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "engine/base/error.h"
#include "engine/device/arena.h"

namespace swarm::engine::kernels {

class Memory {
 public:
  virtual ~Memory() = default;

  // Refused with the numbers when it cannot be had; then nothing was taken. Once per object.
  virtual Result<void> reserve(const device::ArenaPlan& plan) = 0;
  // A region of the plan, of exactly this size, aligned to device::kAlignment.
  virtual std::byte* claim(std::string_view name, size_t bytes) = 0;

  // Host to backend and back. write() may return before the copy is done but `from` may be reused;
  // read() waits for everything issued before it.
  virtual void write(std::byte* to, std::span<const std::byte> from) = 0;
  virtual void read(std::span<std::byte> to, const std::byte* from) = 0;
  // `count` pieces of `bytes`, `stride` bytes apart on both sides, within the backend, in order
  // with the kernels. The pieces of source and target do not overlap.
  virtual void copy(std::byte* to, const std::byte* from, size_t bytes, size_t stride,
                    int32_t count) = 0;
};

// Anonymous memory of this machine: zero, and only backed once touched.
std::unique_ptr<Memory> make_host_memory();

}  // namespace swarm::engine::kernels
