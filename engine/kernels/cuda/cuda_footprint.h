// engine/kernels/cuda/cuda_footprint.h — What the CUDA backend needs for a model. Host arithmetic
// in every build, with or without CUDA: `swarm model fit --memory 24GiB` answers anywhere.
#pragma once

#include "engine/kernels/footprint.h"

namespace swarm::engine::kernels::cuda {

// Weights are repacked into planes (weights/weight_types.h), rows padded to 16 bytes.
const Footprint& cuda_footprint();

}  // namespace swarm::engine::kernels::cuda
