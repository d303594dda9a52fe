// emulator.h for a card: every "order" is a run of its own, so tests that demand identical bits
// check that the card repeats itself. Launches block (CUDA_LAUNCH_BLOCKING, card_main.cpp).
#include <cuda_runtime_api.h>

#include "engine/base/check.h"
#include "engine/kernels/cuda/simt/emulator.h"

namespace swarm::simt {

class Emulator::Pool {
 public:
  Pool() {
    const cudaError_t error = cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking);
    SWARM_CHECK(error == cudaSuccess, cudaGetErrorString(error));
  }
  ~Pool() { static_cast<void>(cudaStreamDestroy(stream_)); }
  Stream stream() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

Emulator::Emulator(const EmulatorOptions& options)
    : options_(options), pool_(std::make_unique<Pool>()) {}
Emulator::~Emulator() = default;

Stream Emulator::stream() { return pool_->stream(); }
uint64_t Emulator::switches() const { return 0; }

}  // namespace swarm::simt
