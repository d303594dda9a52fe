// tests/engine/kernels/cuda/model/emulated_device.h — The CUDA backend without a card: the host
// device with the kernel emulator in its streams, in a thread order of the test's choice. The
// backend keeps the emulator alive.
#pragma once

#include <memory>

#include "engine/kernels/cuda/cuda_kernels.h"
#include "engine/kernels/cuda/simt/emulator.h"

namespace swarm::test {

// Options of a host device whose streams run kernels in the emulator.
engine::device::HostOptions emulated_host(const simt::EmulatorOptions& order = {});
std::unique_ptr<engine::device::Device> make_emulated_device(
    const simt::EmulatorOptions& order = {});

std::unique_ptr<engine::kernels::Kernels> open_emulated(
    const simt::EmulatorOptions& order = {},
    const engine::kernels::cuda::CudaOptions& options = {});

}  // namespace swarm::test
