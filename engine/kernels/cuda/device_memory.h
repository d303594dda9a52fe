// engine/kernels/cuda/device_memory.h — kernels::Memory on a device: one arena, staged copies.
// Borrows device and stream. One thread.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "engine/device/arena.h"
#include "engine/device/staging.h"
#include "engine/kernels/memory.h"

namespace swarm::engine::kernels::cuda {

class DeviceMemory final : public Memory {
 public:
  static Result<std::unique_ptr<DeviceMemory>> make(device::Device& device,
                                                    device::Stream& stream,
                                                    uint64_t reserve_bytes);
  DeviceMemory(device::Device& device, device::Stream& stream, device::Staging staging,
               uint64_t reserve_bytes);

  Result<void> reserve(const device::ArenaPlan& plan) override;
  std::byte* claim(std::string_view name, size_t bytes) override;
  void write(std::byte* to, std::span<const std::byte> from) override;
  void read(std::span<std::byte> to, const std::byte* from) override;
  void copy(std::byte* to, const std::byte* from, size_t bytes, size_t stride,
            int32_t count) override;

  // For bytes that are made here: written into page-locked memory, then sent (Staging). They have
  // arrived after finish(). Throws when the device is lost.
  std::span<std::byte> block();
  void send(std::byte* to, size_t bytes) {
    staging_.send(device::DeviceSpan<std::byte>(to, bytes));
  }
  Result<void> finish() { return staging_.finish(); }

 private:
  device::Device& device_;
  device::Stream& stream_;
  device::Staging staging_;
  uint64_t reserve_bytes_;
  std::optional<device::Arena> arena_;
};

}  // namespace swarm::engine::kernels::cuda
