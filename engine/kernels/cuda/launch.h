// engine/kernels/cuda/launch.h — The one way from host code of the backend to the entry point of a
// kernel.
// Nothing runs on a lost device: what a kernel would read may never have arrived. A launch that is
// refused loses it, and the reason names the kernel. Never fails itself; whoever waits next hears.
#pragma once

#include <string_view>

#include "engine/device/device.h"

namespace swarm::engine::kernels::cuda {

// start(): enqueues, returns simt::Status.
template <class Start>
void launch(device::Device& device, std::string_view kernel, Start start) {
  if (!device.lost()) device.launched(kernel, start().cuda_error);
}

}  // namespace swarm::engine::kernels::cuda
