// engine/kernels/cuda/moe_route.h — Which experts a token goes to, the lists of tokens per expert
// that the grouped products read, and the weighted sum of what the experts answered. Everything
// stays on the device: the host never learns the counts. Semantics: kernels/kernels.h.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/simt/stream.h"

namespace swarm::engine::kernels::cuda {

inline constexpr int32_t kExpertsMax = 1024;

// The `used` largest logits by falling value, ties to the lower id; softmax over these (equal to
// softmax over all, renormalised).
struct RouteKernelArgs {
  const float* logits = nullptr;       // [tokens, experts], finite
  int32_t* ids = nullptr;              // [tokens, used]
  float* weights = nullptr;            // [tokens, used], sum 1
  int64_t tokens = 0;
  int32_t experts = 0;                 // 1 .. kExpertsMax
  int32_t used = 0;                    // 1 .. experts
};
simt::Status route_tokens(simt::Stream stream, const RouteKernelArgs& args);

// Sorts the (token, slot) pairs by expert, in token order within one: the pairs of expert e become
// [expert_begin[e], expert_begin[e + 1]). Two launches.
struct GroupArgs {
  const int32_t* ids = nullptr;        // [tokens, used]
  int32_t* expert_count = nullptr;     // [experts] scratch
  int32_t* expert_begin = nullptr;     // [experts + 1]
  int32_t* pair_token = nullptr;       // [tokens * used] token of a pair
  int32_t* pair_of = nullptr;          // [tokens, used] where the pair of a slot went
  int64_t tokens = 0;
  int32_t experts = 0;
  int32_t used = 0;
};
simt::Status group_by_expert(simt::Stream stream, const GroupArgs& args);

// residual[t] += sum over slots, in their order, of weights[t, s] * down[pair_of[t, s]].
struct CombineArgs {
  const float* down = nullptr;         // [tokens * used, hidden]
  const float* weights = nullptr;      // [tokens, used]
  const int32_t* pair_of = nullptr;    // [tokens, used]
  float* residual = nullptr;           // [tokens, hidden]
  int64_t tokens = 0;
  int32_t used = 0;
  int32_t hidden = 0;
};
simt::Status combine_experts(simt::Stream stream, const CombineArgs& args);

}  // namespace swarm::engine::kernels::cuda
