// See add_one.h. One thread per value.
#include "tests/engine/device/add_one.h"

#include "engine/kernels/cuda/simt/simt.h"

namespace swarm::test {
namespace {

constexpr int kBlock = 64;

__global__ void add_one_kernel(int32_t* values, int32_t count) {
  const int32_t i = static_cast<int32_t>(blockIdx.x) * kBlock + static_cast<int32_t>(threadIdx.x);
  if (i < count) values[i] += 1;
}

}  // namespace

simt::Status add_one(simt::Stream stream, int32_t* values, int32_t count) {
  const simt::Config config{
      .grid = {.x = (count + kBlock - 1) / kBlock}, .block = kBlock, .stream = stream};
  return simt::launch(config, add_one_kernel, values, count);
}

}  // namespace swarm::test
