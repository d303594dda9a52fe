// Builds without CUDA: nothing to list, nothing to open.
#include "engine/device/blas_impl.h"

namespace swarm::engine::device {

CudaDevices list_cuda_devices(FreeMemory) {
  return {.devices = {}, .reason = "this build has no CUDA"};
}

Result<std::unique_ptr<Backend>> make_cuda_backend(int32_t index) {
  return environment_error("no device \"cuda:" + std::to_string(index) +
                           "\": this build has no CUDA");
}

Result<std::unique_ptr<Blas>> open_cublas(Device&, Stream&, DeviceSpan<std::byte>) {
  return environment_error("cuBLAS: this build has no CUDA");
}

Result<std::string> blas_library() {
  return environment_error("cuBLAS: this build has no CUDA");
}

}  // namespace swarm::engine::device
