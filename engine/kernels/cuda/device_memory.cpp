#include "engine/kernels/cuda/device_memory.h"

#include <utility>

namespace swarm::engine::kernels::cuda {

using device::DeviceSpan;

Result<std::unique_ptr<DeviceMemory>> DeviceMemory::make(device::Device& device,
                                                         device::Stream& stream,
                                                         uint64_t reserve_bytes) {
  SWARM_TRY(auto staging, device::Staging::make(device, stream));
  return std::make_unique<DeviceMemory>(device, stream, std::move(staging), reserve_bytes);
}

DeviceMemory::DeviceMemory(device::Device& device, device::Stream& stream,
                           device::Staging staging, uint64_t reserve_bytes)
    : device_(device), stream_(stream), staging_(std::move(staging)),
      reserve_bytes_(reserve_bytes) {}

Result<void> DeviceMemory::reserve(const device::ArenaPlan& plan) {
  SWARM_CHECK(!arena_);
  SWARM_TRY(auto arena, device::Arena::open(device_, stream_, plan, reserve_bytes_));
  arena_.emplace(std::move(arena));
  return {};
}

std::byte* DeviceMemory::claim(std::string_view name, size_t bytes) {
  SWARM_CHECK(arena_.has_value(), name);
  const DeviceSpan<std::byte> region = arena_->get<std::byte>(name);
  SWARM_CHECK(region.size() == bytes, name, region.size(), bytes);
  return region.kernel_pointer();
}

void DeviceMemory::write(std::byte* to, std::span<const std::byte> from) {
  const auto done = staging_.upload(DeviceSpan<std::byte>(to, from.size()), from);
  if (!done) throw ErrorException(done.error());
}

void DeviceMemory::read(std::span<std::byte> to, const std::byte* from) {
  const auto done = staging_.download(to, DeviceSpan<const std::byte>(from, to.size()));
  if (!done) throw ErrorException(done.error());
}

void DeviceMemory::copy(std::byte* to, const std::byte* from, size_t bytes, size_t stride,
                        int32_t count) {
  for (int32_t i = 0; i < count; ++i) {
    const size_t at = static_cast<size_t>(i) * stride;
    stream_.copy(DeviceSpan<std::byte>(to + at, bytes),
                 DeviceSpan<const std::byte>(from + at, bytes));
  }
}

std::span<std::byte> DeviceMemory::block() {
  auto block = staging_.block();
  if (!block) throw ErrorException(block.error());
  return *block;
}

}  // namespace swarm::engine::kernels::cuda
