// engine/kernels/memory.h — Where a backend keeps weights, K and V and activations: host memory for
// the CPU, one arena of the device for an accelerator. Everything is announced in a plan, refused
// or granted as a whole, then claimed piece by piece in the order of the plan. Claimed memory lives
// as long as the Memory object. Only `read` and `write` touch host memory; pointers returned by
// claim() are opaque to everybody but the backend. Not thread-safe (engine thread).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/base/error.h"

namespace swarm::engine::kernels {

struct MemoryItem {
  std::string name;                  // "weights", "kv.k", "activations": one line of the table
  size_t bytes = 0;
};

// What a model needs, in the order in which it is claimed. Sizes are rounded up to kAlignment.
class MemoryPlan {
 public:
  static constexpr size_t kAlignment = 256;

  void add(std::string name, size_t bytes);
  std::span<const MemoryItem> items() const { return items_; }
  uint64_t total() const;            // bytes; saturates at UINT64_MAX
  // Bytes of all items whose name begins with `prefix`.
  uint64_t total_of(std::string_view prefix) const;

 private:
  std::vector<MemoryItem> items_;
};

class Memory {
 public:
  virtual ~Memory() = default;

  // Refused with the numbers when it cannot be had; then nothing was taken. Once per object.
  virtual Result<void> reserve(const MemoryPlan& plan) = 0;
  // The next item of the plan (checked by name and size). Aligned to MemoryPlan::kAlignment.
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
