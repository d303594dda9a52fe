// engine/model/synth.h — Models with random weights, made in memory: named shapes for tests and
// benchmarks that need no download. The same spec gives the same bytes on every platform.
// Weights are bell-shaped with standard deviation 1/sqrt(row length), so activations stay of order
// one through all layers and logits spread by about 3. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "engine/formats/gguf.h"

namespace swarm::engine::model {

struct SynthSpec {
  std::string preset = {};   // see synth_presets()
  std::string type = {};     // a tensor type or a mix of synth_mixes(); "" = the preset's own
  int32_t layers = 0;        // 0 = as many as the preset has
  uint64_t seed = 0;
};

std::vector<std::string> synth_presets();

// Q4_K_M and Q5_K_M as published; IQ2_S_IQ3_S: gate and up IQ2_S, down IQ3_S, attention Q4_K,
// embedding and head Q6_K; MXFP4_MOE: experts MXFP4, all else Q8_0; FP8 as the block-wise
// checkpoints of Hugging Face: embedding and head BF16, all else FP8. Every other type is used for
// all matrices.
std::span<const std::string_view> synth_mixes();

// The file before it is written; the weights are made tensor by tensor when they are needed.
Result<formats::GgufBuilder> build_synthetic(const SynthSpec& spec);
// A requested stop ends it after the tensor at hand, with ErrorKind::cancelled.
Result<std::shared_ptr<const formats::GgufFile>> make_synthetic(const SynthSpec& spec,
                                                                const std::stop_token& stop = {});

// "synth:qwen3moe-tiny:F32:2": the source that names this model.
std::string synth_source(const SynthSpec& spec);

// The tensor type that a mix gives one matrix, or the type itself for a pure one. Rules of
// reference/engine.md section 6.2: part is a tensor's name without block and ".weight", or "embd".
Result<formats::TensorType> type_in_mix(std::string_view mix, std::string_view part, int32_t layer,
                                        int32_t layers);

}  // namespace swarm::engine::model
