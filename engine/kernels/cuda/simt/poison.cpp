#include <cstring>

#include "engine/kernels/cuda/simt/emulator.h"
#include "engine/kernels/cuda/simt/simt_host.h"

namespace swarm::simt {

void poison(void* memory, size_t bytes, int variant) {
  std::memset(memory, kPoison, bytes);
  // 0x7fff: NaN as f16 and bf16; its pairs are NaN as f32, its bytes as fp8.
  if (variant == 0) return;
  for (size_t i = 1; i < bytes; i += 2) static_cast<uint8_t*>(memory)[i] = 0x7f;
}

}  // namespace swarm::simt
