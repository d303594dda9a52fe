#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/units.h"
#include "engine/kernels/memory.h"

namespace swarm::engine::kernels {
namespace {

class HostMemory final : public Memory {
 public:
  ~HostMemory() override {
    if (base_) munmap(base_, bytes_);
  }

  Result<void> reserve(const device::ArenaPlan& plan) override {
    SWARM_CHECK(base_ == nullptr);
    regions_.assign(plan.regions().begin(), plan.regions().end());
    bytes_ = plan.bytes();
    if (bytes_ == 0) return {};
    // Fresh anonymous pages are zero and are only backed once written.
    void* data = plan.overflows() ? MAP_FAILED
                                  : mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) {
      const int reason = plan.overflows() ? ENOMEM : errno;
      return environment_error("cannot map " + format_bytes(bytes_) + " (" +
                               format_bytes(plan.group_bytes("kv")) + " of it KV cache): " +
                               std::strerror(reason));
    }
    base_ = static_cast<std::byte*>(data);
    return {};
  }

  std::byte* claim(std::string_view name, size_t bytes) override {
    const auto found = std::find_if(regions_.begin(), regions_.end(),
                                    [&](const auto& region) { return region.name == name; });
    SWARM_CHECK(found != regions_.end(), name);
    SWARM_CHECK(found->bytes == bytes, name, found->bytes, bytes);
    return base_ + found->offset;
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
  std::vector<device::ArenaRegion> regions_;
  std::byte* base_ = nullptr;        // one mapping of bytes_
  size_t bytes_ = 0;
};

}  // namespace

std::unique_ptr<Memory> make_host_memory() { return std::make_unique<HostMemory>(); }

}  // namespace swarm::engine::kernels
