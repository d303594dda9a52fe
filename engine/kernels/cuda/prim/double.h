// engine/kernels/cuda/prim/double.h — Functions of doubles for the few places where f32 is not
// enough: angles of RoPE, weights of the sampler. "Library": CUDA's or the C library's function,
// within 2 ulp of the true value in double, so the same f32 after rounding but for rare ties.
#pragma once

#include "engine/kernels/cuda/simt/simt.h"

#if !SIMT_DEVICE
#include <cmath>
#endif

namespace swarm::prim {
inline namespace SIMT_SIDE {

#if SIMT_DEVICE
__device__ inline double sin_double(double a) { return ::sin(a); }
__device__ inline double cos_double(double a) { return ::cos(a); }
#else
inline double sin_double(double a) { return std::sin(a); }
inline double cos_double(double a) { return std::cos(a); }
#endif

}  // namespace SIMT_SIDE
}  // namespace swarm::prim
