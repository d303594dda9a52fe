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

TEST_CASE("devices: CUDA versions as people write them") {
  CHECK(cuda_version_text(13000) == "13.0");
  CHECK(cuda_version_text(12040) == "12.4");
}
