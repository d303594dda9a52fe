// A kernel that writes where nothing is.
#include <cstdint>

namespace swarm::test {

__global__ void write_nowhere(uint32_t* out) { out[uint64_t{1} << 40] = 1; }

const void* fault_kernel() { return reinterpret_cast<const void*>(&write_nowhere); }

}  // namespace swarm::test
