// engine/kernels/cpu/activations.h — One batch of input rows in every format the weights of a call
// ask for. Quantises on first demand, over the thread pool. Buffers grow and are reused.
#pragma once

#include <cstdint>

#include "engine/kernels/cpu/isa_table.h"
#include "engine/kernels/cpu/scratch.h"
#include "engine/kernels/cpu/thread_pool.h"

namespace swarm::engine::kernels {

class Activations {
 public:
  Activations(const IsaTable& table, ThreadPool& pool) : table_(table), pool_(pool) {}

  // Begins a new batch of [rows, cols] floats, borrowed until the next call.
  void set(const float* x, int32_t rows, int32_t cols);
  // Makes sure the format exists; cheap when it already does.
  void prepare(ActivationFormat format);
  // Fills the input side of a job whose weights want `format`; prepare(format) came before.
  void describe(ActivationFormat format, DotJob& job) const;

 private:
  struct Buffers {
    QuantRows rows;
    Scratch codes, scales, sums, sums16;
    bool ready = false;
  };
  void allocate(Buffers& buffers, int32_t block);

  const IsaTable& table_;
  ThreadPool& pool_;
  const float* x_ = nullptr;
  int32_t rows_ = 0;
  int32_t cols_ = 0;
  Buffers q8_32_;
  Buffers q8_256_;
};

}  // namespace swarm::engine::kernels
