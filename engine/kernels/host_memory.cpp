#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/units.h"
#include "engine/kernels/memory.h"

namespace swarm::engine::kernels {

void MemoryPlan::add(std::string name, size_t bytes) {
  const size_t rounded = bytes > SIZE_MAX - kAlignment
                             ? SIZE_MAX
                             : (bytes + kAlignment - 1) / kAlignment * kAlignment;
  items_.push_back({std::move(name), rounded});
}

uint64_t MemoryPlan::total() const { return total_of(""); }

uint64_t MemoryPlan::total_of(std::string_view prefix) const {
  uint64_t sum = 0;
  for (const MemoryItem& item : items_) {
    if (!item.name.starts_with(prefix)) continue;
    sum = item.bytes > UINT64_MAX - sum ? UINT64_MAX : sum + item.bytes;
  }
  return sum;
}

namespace {

class HostMemory final : public Memory {
 public:
  ~HostMemory() override {
    if (base_) munmap(base_, bytes_);
  }

  Result<void> reserve(const MemoryPlan& plan) override {
    SWARM_CHECK(base_ == nullptr);
    items_.assign(plan.items().begin(), plan.items().end());
    bytes_ = plan.total();
    if (bytes_ == 0) return {};
    void* data = MAP_FAILED;
    errno = ENOMEM;
    // Fresh anonymous pages are zero and are only backed once written.
    if (bytes_ != UINT64_MAX) {
      data = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    if (data == MAP_FAILED) {
      return environment_error("cannot map " + format_bytes(bytes_) + " (" +
                               format_bytes(plan.total_of("kv.")) + " of it KV cache): " +
                               std::strerror(errno));
    }
    base_ = static_cast<std::byte*>(data);
    return {};
  }

  std::byte* claim(std::string_view name, size_t bytes) override {
    SWARM_CHECK(next_ < items_.size(), name, bytes);
    const MemoryItem& item = items_[next_++];
    SWARM_CHECK(item.name == name, item.name, name);
    SWARM_CHECK(bytes <= item.bytes, name, bytes, item.bytes);
    std::byte* data = base_ + used_;
    used_ += item.bytes;
    return data;
  }

  void write(std::byte* to, std::span<const std::byte> from) override {
    std::memcpy(to, from.data(), from.size());
  }
  void read(std::span<std::byte> to, const std::byte* from) override {
    std::memcpy(to.data(), from, to.size());
  }
  void copy(std::byte* to, const std::byte* from, size_t bytes, size_t stride,
            int32_t count) override {
    for (int32_t i = 0; i < count; ++i) {
      const size_t at = static_cast<size_t>(i) * stride;
      std::memcpy(to + at, from + at, bytes);
    }
  }

 private:
  std::vector<MemoryItem> items_;
  size_t next_ = 0;
  std::byte* base_ = nullptr;        // one mapping of bytes_
  size_t bytes_ = 0;
  size_t used_ = 0;
};

}  // namespace

std::unique_ptr<Memory> make_host_memory() { return std::make_unique<HostMemory>(); }

}  // namespace swarm::engine::kernels
