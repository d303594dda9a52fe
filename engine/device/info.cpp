#include "engine/device/info.h"

#include <charconv>

namespace swarm::engine::device {

std::string DeviceInfo::id() const {
  return (kind == DeviceKind::cuda ? "cuda:" : "host:") + std::to_string(index);
}

std::string cuda_version_text(int32_t version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string no_devices_text(NoDevices why, const CudaDevices& found, const std::string& other) {
  if (found.driver_version == 0) return "no NVIDIA driver";
  switch (why) {
    case NoDevices::no_device: return "no CUDA device (or CUDA_VISIBLE_DEVICES hides it)";
    case NoDevices::driver_too_old:
      return "the NVIDIA driver is too old: it runs CUDA " +
             cuda_version_text(found.driver_version) + ", this build needs " +
             cuda_version_text(found.runtime_version);
    case NoDevices::other: break;
  }
  return other;
}

Error no_kernels_error(const DeviceInfo& info, std::string_view architectures) {
  return environment_error("no kernels for " + info.id() + " (" + info.name +
                           ", compute capability " + std::to_string(info.compute_major) + "." +
                           std::to_string(info.compute_minor) + "): this build has " +
                           std::string(architectures) +
                           "; configure with -DSWARM_CUDA_ARCHITECTURES=native, or take "
                           "engine.device cpu");
}

Result<std::optional<int32_t>> choose_device(std::string_view wanted, const CudaDevices& cuda) {
  using Choice = std::optional<int32_t>;
  if (wanted == "cpu") return Choice();
  if (wanted == "auto") return cuda.devices.empty() ? Choice() : Choice(cuda.devices[0].index);
  int32_t index = -1;
  if (wanted.starts_with("cuda:")) {
    const char* const end = wanted.data() + wanted.size();
    const auto parsed = std::from_chars(wanted.data() + 5, end, index);
    if (parsed.ec != std::errc() || parsed.ptr != end) index = -1;
  }
  if (index < 0)
    return invalid_input("engine.device: expected auto, cpu or cuda:N, found \"" +
                         std::string(wanted) + "\"");
  for (const DeviceInfo& info : cuda.devices)
    if (info.index == index) return Choice(index);
  std::string there = cuda.reason;
  if (const size_t count = cuda.devices.size(); count > 0)
    there = "there are " + std::to_string(count) + ", cuda:0 to cuda:" + std::to_string(count - 1);
  return environment_error("no device \"" + std::string(wanted) + "\": " + there);
}

}  // namespace swarm::engine::device
