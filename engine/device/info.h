// engine/device/info.h — What there is to compute on: the CUDA devices of this machine, what this
// build was made for, and the choice that engine.device stands for. Plain data; nothing here fails:
// a machine without a card, a driver or CUDA in the build has an empty list and a reason.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"

namespace swarm::engine::device {

enum class DeviceKind : uint8_t { host, cuda };

struct DeviceInfo {
  DeviceKind kind = DeviceKind::host;
  int32_t index = 0;
  std::string name = {};                      // "NVIDIA H100 80GB HBM3"
  int32_t compute_major = 0;                  // compute capability, 9.0
  int32_t compute_minor = 0;
  uint64_t memory_bytes = 0;
  std::optional<uint64_t> memory_free_bytes;  // when asked for, and the card lets itself be used
  int32_t multiprocessors = 0;
  uint64_t l2_bytes = 0;
  uint64_t shared_bytes_max = 0;              // of one block, after opting in

  std::string id() const;                     // "cuda:0", "host:0"
};

struct CudaDevices {
  bool built = false;                         // this build has CUDA
  std::string architectures = {};             // it was compiled for: "80 90a 120"
  int32_t runtime_version = 0;                // 13000 = 13.0; 0 = not in this build
  int32_t driver_version = 0;                 // newest CUDA the driver can run; 0 = no driver
  std::vector<DeviceInfo> devices;
  std::string reason = {};                    // why the list is empty; "" when it is not
};

// free_memory asks each card, which makes a context there (hundreds of MiB, some 0.1 s each).
enum class FreeMemory : uint8_t { skip, ask };
CudaDevices list_cuda_devices(FreeMemory free_memory = FreeMemory::skip);

// Why a list is empty. found has the versions; other is what the driver said.
enum class NoDevices : uint8_t { no_device, driver_too_old, other };
std::string no_devices_text(NoDevices why, const CudaDevices& found, const std::string& other);
// A card that this build was not compiled for.
Error no_kernels_error(const DeviceInfo& info, std::string_view architectures);

// "13.0" of 13000.
std::string cuda_version_text(int32_t version);

// What engine.device means here. nullopt = the CPU. "auto" takes cuda:0 if there is one, "cuda:N"
// is an error where it does not exist (kind environment, with what there is instead).
Result<std::optional<int32_t>> choose_device(std::string_view wanted, const CudaDevices& cuda);

}  // namespace swarm::engine::device
