// Compiled for its instruction set (CMakeLists.txt); called only where the machine has it.
// Everything but the table has internal linkage, so that no function of this file can be taken for
// a copy of the same function elsewhere.
#include "engine/kernels/cpu/isa_table.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <type_traits>

namespace swarm::engine::kernels {
namespace {

#include "engine/kernels/cpu/simd_avx2.inl"

#include "engine/kernels/cpu/ops.inl"

#include "engine/kernels/cpu/dot_types.inl"

#include "engine/kernels/cpu/dot_float.inl"

#include "engine/kernels/cpu/dot_direct.inl"

#include "engine/kernels/cpu/dot_tiled.inl"

#include "engine/kernels/cpu/attention.inl"

#include "engine/kernels/cpu/table.inl"

constexpr IsaTable kTable = make_table("avx2");

}  // namespace

const IsaTable* avx2_table() { return &kTable; }

}  // namespace swarm::engine::kernels
#else
namespace swarm::engine::kernels {
const IsaTable* avx2_table() { return nullptr; }
}  // namespace swarm::engine::kernels
#endif
