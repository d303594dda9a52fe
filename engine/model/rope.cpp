#include "engine/model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace swarm::engine::model {
namespace {

// The pair, as a real number, that turns `turns` times within the original context.
double pair_of(const ModelConfig& config, double turns) {
  const double context = config.yarn.original_context;
  return config.head_dim * std::log(context / (2 * std::numbers::pi * turns)) /
         (2 * std::log(double{config.rope_theta}));
}

// Which share of a pair's frequency is interpolated: none of the pairs that turned often enough in
// training to tell distances by themselves, all of those that did not turn once.
class Ramp {
 public:
  explicit Ramp(const ModelConfig& config)
      : low_(std::max(std::floor(pair_of(config, config.yarn.beta_fast)), 0.0)),
        width_(std::max(std::min(std::ceil(pair_of(config, config.yarn.beta_slow)),
                                 config.head_dim - 1.0) - low_, 0.001)) {}
  double operator()(int32_t pair) const {
    return std::clamp((pair - low_) / width_, 0.0, 1.0);
  }

 private:
  double low_;
  double width_;
};

}  // namespace

Rope make_rope(const ModelConfig& config) {
  Rope rope;
  for (int32_t j = 0; j < config.head_dim / 2; ++j)
    rope.inv_freq.push_back(std::pow(double{config.rope_theta}, -2.0 * j / config.head_dim));
  const Yarn& yarn = config.yarn;
  if (yarn.original_context == 0) return rope;
  const double factor = yarn.factor;
  const Ramp ramp(config);
  for (int32_t j = 0; j < config.head_dim / 2; ++j) {
    const double share = ramp(j);
    rope.inv_freq[static_cast<size_t>(j)] *= (1 - share) + share / factor;
  }
  rope.factor = yarn.attention_factor * (factor > 1 ? 0.1 * std::log(factor) + 1 : 1.0);
  return rope;
}

}  // namespace swarm::engine::model
