// engine/model/rope.h — The rotary embedding of a model: how far each pair of elements turns per
// position, plain or stretched by YaRN to contexts longer than those of the training. The same for
// every length of a sequence. Pure, thread-safe.
// Source of the formulas: reference/engine.md sections 1.2 (step 4) and 13.
#pragma once

#include <vector>

#include "engine/model/model_config.h"

namespace swarm::engine::model {

struct Rope {
  std::vector<double> inv_freq;      // [head_dim / 2], radians per position
  double factor = 1;                 // on cos and sin, so its square is on q k
};

Rope make_rope(const ModelConfig& config);

}  // namespace swarm::engine::model
