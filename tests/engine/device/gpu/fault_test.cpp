// A kernel that faults on a real card: the device is lost with the driver's reason and stays so.
// An executable of its own, because the CUDA context of the process is gone afterwards.
#include <cuda_runtime_api.h>
#include <doctest/doctest.h>

#include "engine/device/device.h"

namespace swarm::test {
const void* fault_kernel();
}

using namespace swarm;
using namespace swarm::engine::device;

TEST_CASE("cuda: a faulting kernel loses the device, with the reason") {
  auto device = Device::open_cuda(0).value();
  auto stream = device->make_stream().value();
  auto memory = device->allocate<uint32_t>(16, "memory").value();
  auto seen = device->allocate_pinned<uint32_t>(16, "seen").value();
  seen.span()[0] = 7;
  uint32_t* pointer = memory.span().kernel_pointer();
  void* arguments[] = {&pointer};
  cudaLaunchKernel(test::fault_kernel(), dim3(1), dim3(1), arguments, 0,
                   static_cast<cudaStream_t>(stream.native()));
  device->launched("write_nowhere");
  const auto waited = stream.synchronize();
  REQUIRE(waited.has_error());
  CHECK(waited.error().kind == ErrorKind::environment);
  CHECK_MESSAGE(device->lost_reason().find("cudaErrorIllegalAddress") != std::string::npos,
                device->lost_reason());
  stream.copy(seen.span(), memory.span());
  CHECK(stream.synchronize().has_error());
  CHECK(seen.span()[0] == 7);
  CHECK(device->allocate<uint32_t>(1, "more").has_error());
}
