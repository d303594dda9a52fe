// tests/engine/kernels/cuda/kv_pairs.h — Which pairs of KV types a build tests. K and V are read by
// the same code, one after the other, so a sanitizer that sees every type on both sides, and direct
// reading beside converted reading, has seen all there is. The other builds take every pair.
#pragma once

#include "engine/kernels/cuda/simt/emulator.h"
#include "engine/kernels/kv_type.h"

namespace swarm::test {

inline bool of_this_build(engine::kernels::KvType k, engine::kernels::KvType v) {
  using T = engine::kernels::KvType;
  return !simt::kInstrumented || k == v || (k == T::f16 && v == T::q8_0) ||
         (k == T::q8_0 && v == T::f16);
}

}  // namespace swarm::test
