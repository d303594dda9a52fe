// The list of devices, and what engine.device makes of it. Runs in builds with and without CUDA, on
// machines with and without a card.
#include <doctest/doctest.h>

#include "engine/device/device.h"

using namespace swarm;
using namespace swarm::engine::device;

namespace {

CudaDevices cards(int32_t count) {
  CudaDevices out{.devices = {}, .reason = count == 0 ? "no NVIDIA driver" : ""};
  for (int32_t i = 0; i < count; ++i)
    out.devices.push_back({.kind = DeviceKind::cuda, .index = i, .memory_free_bytes = {}});
  return out;
}

std::string choice(std::string_view wanted, int32_t count) {
  const auto chosen = choose_device(wanted, cards(count));
  if (!chosen) return chosen.error().message;
  return *chosen ? "cuda:" + std::to_string(**chosen) : "cpu";
}

}  // namespace

TEST_CASE("devices: engine.device chooses among what is there") {
  CHECK(choice("auto", 0) == "cpu");
  CHECK(choice("auto", 2) == "cuda:0");
  CHECK(choice("cpu", 2) == "cpu");
  CHECK(choice("cuda:1", 2) == "cuda:1");
  CHECK(choice("cuda:2", 2) == "no device \"cuda:2\": there are 2, cuda:0 to cuda:1");
  CHECK(choice("cuda:0", 0) == "no device \"cuda:0\": no NVIDIA driver");
  for (const char* bad : {"", "cuda", "cuda:", "cuda:-1", "cuda:1x", "cuda:99999999999", "gpu"}) {
    CAPTURE(bad);
    CHECK(choice(bad, 2) ==
          "engine.device: expected auto, cpu or cuda:N, found \"" + std::string(bad) + "\"");
  }
  CHECK(choose_device("cuda:7", cards(1)).error().kind == ErrorKind::environment);
  CHECK(choose_device("cuda7", cards(1)).error().kind == ErrorKind::invalid_input);
}

TEST_CASE("devices: the list of this machine is not empty or says why") {
  const CudaDevices found = list_cuda_devices();
  CHECK(found.devices.empty() == !found.reason.empty());
  CHECK(found.built == (found.runtime_version != 0));
  CHECK(found.built == !found.architectures.empty());
  for (const DeviceInfo& info : found.devices) CHECK(info.memory_bytes > 0);
}

TEST_CASE("devices: a card that is not there cannot be opened") {
  const auto opened = Device::open_cuda(999);
  REQUIRE(opened.has_error());
  CHECK(opened.error().kind == ErrorKind::environment);
  CHECK(opened.error().message.find("no device \"cuda:999\": ") == 0);
}

TEST_CASE("devices: what is missing is said: driver, newer driver, device, kernels") {
  const CudaDevices none{.runtime_version = 13000, .driver_version = 0, .devices = {}};
  CHECK(no_devices_text(NoDevices::other, none, "x") == "no NVIDIA driver");
  const CudaDevices old{.runtime_version = 13000, .driver_version = 12040, .devices = {}};
  CHECK(no_devices_text(NoDevices::driver_too_old, old, "x") ==
        "the NVIDIA driver is too old: it runs CUDA 12.4, this build needs 13.0");
  CHECK(no_devices_text(NoDevices::no_device, old, "x") ==
        "no CUDA device (or CUDA_VISIBLE_DEVICES hides it)");
  CHECK(no_devices_text(NoDevices::other, old, "unknown error") == "unknown error");
  const Error wrong = no_kernels_error({.kind = DeviceKind::cuda, .index = 1, .name = "Old Card",
                                        .compute_major = 7, .compute_minor = 5,
                                        .memory_free_bytes = {}}, "80 90a 120");
  CHECK(wrong.kind == ErrorKind::environment);
  CHECK(wrong.message == "no kernels for cuda:1 (Old Card, compute capability 7.5): this build has "
                         "80 90a 120; configure with -DSWARM_CUDA_ARCHITECTURES=native, or take "
                         "engine.device cpu");
}

TEST_CASE("devices: CUDA versions as people write them") {
  CHECK(cuda_version_text(13000) == "13.0");
  CHECK(cuda_version_text(12040) == "12.4");
}
