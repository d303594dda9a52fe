#include "engine/model/transformer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/units.h"
#include "engine/kernels/kernels.h"
#include "engine/model/kv_storage.h"
#include "engine/model/weights.h"

namespace swarm::engine::model {
namespace {

using kernels::BatchSpan;
using kernels::Kernels;
using kernels::LinearOutput;

size_t product(int32_t a, int32_t b) { return static_cast<size_t>(a) * static_cast<size_t>(b); }

void grow(std::vector<float>& values, size_t count) {
  if (values.size() < count) values.resize(count);
}

// Activations of one batch; every vector is [tokens, width] and only ever grows.
struct Activations {
  std::vector<float> x;          // residual stream, width hidden
  std::vector<float> h;          // normed input of a sub-block, width hidden
  std::vector<float> q, mixed;   // width heads * head_dim
  std::vector<float> k, v;       // width kv_heads * head_dim
  std::vector<float> delta;      // attention output, width hidden
  std::vector<float> router;     // width experts
  std::vector<float> expert_weights;
  std::vector<int32_t> expert_ids;
  std::vector<float> cos, sin;   // width head_dim / 2
  std::vector<float> logits;     // [rows wanted, vocab]
};

class HostTransformer final : public Transformer {
 public:
  HostTransformer(std::shared_ptr<const formats::GgufFile> file, ModelConfig config,
                  Weights weights, std::unique_ptr<Kernels> kernels, KvStorage kv,
                  const TransformerOptions& options)
      : file_(std::move(file)),
        config_(std::move(config)),
        weights_(std::move(weights)),
        kernels_(std::move(kernels)),
        kv_(std::move(kv)),
        options_(options) {
    // Exact in double: engine.md 1.2 step 4 and section 13.
    for (int32_t j = 0; j < config_.head_dim / 2; ++j) {
      inv_freq_.push_back(std::pow(double{config_.rope_theta}, -2.0 * j / config_.head_dim));
    }
  }

  Logits forward(std::span<const SequenceChunk> chunks) override {
    gather(chunks);
    reserve();
    if (rows_ == 0) return {};
    kernels_->embed(weights_.embedding, tokens_, a_.x.data());
    fill_rope();
    for (int32_t i = 0; i < config_.layers; ++i) {
      attention_block(i);
      if (rows_ == 0) return {};   // nobody wants logits; K and V are stored
      ffn_block(weights_.layers[static_cast<size_t>(i)]);
    }
    return head();
  }

  void copy_page(int32_t from, int32_t to) override { kv_.copy_page(from, to); }
  const ModelConfig& config() const override { return config_; }
  uint64_t weight_bytes() const override { return weights_.bytes; }
  uint64_t kv_bytes() const override { return kv_.bytes(); }
  uint64_t bytes_per_token() const override { return weights_.bytes_per_token; }
  std::string device_name() const override {
    const int32_t threads = kernels_->threads();
    return "cpu (" + std::string(kernels_->isa()) + ", " + std::to_string(threads) +
           (threads == 1 ? " thread)" : " threads)");
  }

 private:
  // Flattens the chunks into one batch of rows and checks what the caller promised.
  void gather(std::span<const SequenceChunk> chunks) {
    tokens_.clear();
    positions_.clear();
    spans_.clear();
    wanted_.clear();
    for (const SequenceChunk& chunk : chunks) {
      if (chunk.tokens.empty()) continue;
      const auto first = static_cast<int32_t>(tokens_.size());
      const auto count = static_cast<int32_t>(chunk.tokens.size());
      const int32_t end = chunk.position + count;
      SWARM_CHECK(chunk.position >= 0, chunk.position);
      SWARM_CHECK(product(static_cast<int32_t>(chunk.pages.size()), options_.page_tokens) >=
                      static_cast<size_t>(end), chunk.pages.size(), end);
      for (const int32_t page : chunk.pages) {
        SWARM_CHECK(page >= 0 && page < options_.page_count, page, options_.page_count);
      }
      for (int32_t i = 0; i < count; ++i) {
        const TokenId token = chunk.tokens[static_cast<size_t>(i)];
        SWARM_CHECK(token >= 0 && token < config_.vocab, token, config_.vocab);
        tokens_.push_back(token);
        positions_.push_back(chunk.position + i);
        const bool last = i + 1 == count;
        if (chunk.logits == LogitsWanted::all || (last && chunk.logits == LogitsWanted::last)) {
          wanted_.push_back(first + i);
        }
      }
      spans_.push_back({.first_row = first, .count = count, .position = chunk.position,
                        .pages = chunk.pages});
    }
    rows_ = static_cast<int32_t>(tokens_.size());
    SWARM_CHECK(rows_ <= options_.batch_tokens_max, rows_, options_.batch_tokens_max);
  }

  void reserve() {
    const auto& c = config_;
    const int32_t wanted = static_cast<int32_t>(wanted_.size());
    grow(a_.x, product(rows_, c.hidden));
    grow(a_.h, product(rows_, c.hidden));
    grow(a_.delta, product(rows_, c.hidden));
    grow(a_.q, product(rows_, c.heads * c.head_dim));
    grow(a_.mixed, product(rows_, c.heads * c.head_dim));
    grow(a_.k, product(rows_, c.kv_heads * c.head_dim));
    grow(a_.v, product(rows_, c.kv_heads * c.head_dim));
    grow(a_.router, product(rows_, c.experts));
    grow(a_.expert_weights, product(rows_, c.experts_used));
    grow(a_.cos, product(rows_, c.head_dim / 2));
    grow(a_.sin, product(rows_, c.head_dim / 2));
    grow(a_.logits, product(wanted, c.vocab));
    const size_t slots = product(rows_, c.experts_used);
    if (a_.expert_ids.size() < slots) a_.expert_ids.resize(slots);
  }

  void fill_rope() {
    const size_t half = inv_freq_.size();
    for (size_t t = 0; t < positions_.size(); ++t) {
      for (size_t j = 0; j < half; ++j) {
        const double angle = positions_[t] * inv_freq_[j];
        a_.cos[t * half + j] = static_cast<float>(std::cos(angle));
        a_.sin[t * half + j] = static_cast<float>(std::sin(angle));
      }
    }
  }

  // x += Wo attention(norm(x)); steps 1-6.
  void attention_block(int32_t index) {
    const LayerWeights& layer = weights_.layers[static_cast<size_t>(index)];
    const auto& c = config_;
    kernels_->rms_norm(a_.x.data(), layer.attn_norm.data(), c.rms_eps, rows_, c.hidden,
                       a_.h.data());
    const LinearOutput qkv[] = {{layer.q, a_.q.data()}, {layer.k, a_.k.data()},
                                {layer.v, a_.v.data()}};
    kernels_->linear(qkv, a_.h.data(), rows_);
    kernels_->qk_norm_rope_append({.q = a_.q.data(), .k = a_.k.data(), .v = a_.v.data(),
                                   .q_norm = layer.q_norm.data(), .k_norm = layer.k_norm.data(),
                                   .cos = a_.cos.data(), .sin = a_.sin.data(), .eps = c.rms_eps,
                                   .heads = c.heads, .spans = spans_, .kv = kv_.layer(index)});
    const bool last = index + 1 == c.layers;
    if (last && wanted_.empty()) {
      rows_ = 0;
      return;
    }
    kernels_->attention({.q = a_.q.data(), .out = a_.mixed.data(), .heads = c.heads,
                         .scale = static_cast<float>(1.0 / std::sqrt(double(c.head_dim))),
                         .spans = spans_, .kv = kv_.layer(index)});
    if (last) keep_wanted_rows();
    const LinearOutput out[] = {{layer.output, a_.delta.data()}};
    kernels_->linear(out, a_.mixed.data(), rows_);
    kernels_->add(a_.x.data(), a_.delta.data(), product(rows_, c.hidden));
  }

  // x += ffn(norm(x)); steps 7-8.
  void ffn_block(const LayerWeights& layer) {
    const auto& c = config_;
    kernels_->rms_norm(a_.x.data(), layer.ffn_norm.data(), c.rms_eps, rows_, c.hidden,
                       a_.h.data());
    if (c.experts == 0) {
      kernels_->ffn({.x = a_.h.data(), .tokens = rows_, .gate = layer.gate, .up = layer.up,
                     .down = layer.down, .residual = a_.x.data()});
      return;
    }
    const LinearOutput router[] = {{layer.router, a_.router.data()}};
    kernels_->linear(router, a_.h.data(), rows_);
    kernels_->route({.logits = a_.router.data(), .tokens = rows_, .experts = c.experts,
                     .used = c.experts_used, .ids = a_.expert_ids.data(),
                     .weights = a_.expert_weights.data()});
    kernels_->expert_ffn({.x = a_.h.data(), .tokens = rows_, .used = c.experts_used,
                          .ids = a_.expert_ids.data(), .weights = a_.expert_weights.data(),
                          .gate = layer.expert_gate, .up = layer.expert_up,
                          .down = layer.expert_down, .residual = a_.x.data()});
  }

  // After the last attention only the rows somebody asked for matter: the rest of the layer and the
  // head (the widest matrix of the model) run on those.
  void keep_wanted_rows() {
    const auto keep = [&](std::vector<float>& values, int32_t width) {
      for (size_t i = 0; i < wanted_.size(); ++i) {   // i <= wanted_[i]: rows only move forward
        std::memmove(values.data() + i * static_cast<size_t>(width),
                     values.data() + product(wanted_[i], width),
                     static_cast<size_t>(width) * sizeof(float));
      }
    };
    keep(a_.x, config_.hidden);
    keep(a_.mixed, config_.heads * config_.head_dim);
    rows_ = static_cast<int32_t>(wanted_.size());
  }

  Logits head() {
    const auto& c = config_;
    kernels_->rms_norm(a_.x.data(), weights_.output_norm.data(), c.rms_eps, rows_, c.hidden,
                       a_.h.data());
    const LinearOutput out[] = {{weights_.head, a_.logits.data()}};
    kernels_->linear(out, a_.h.data(), rows_);
    return {.values = {a_.logits.data(), product(rows_, c.vocab)}, .rows = rows_};
  }

  const std::shared_ptr<const formats::GgufFile> file_;   // the weight views point into it
  const ModelConfig config_;
  const Weights weights_;
  const std::unique_ptr<Kernels> kernels_;
  KvStorage kv_;
  const TransformerOptions options_;
  std::vector<double> inv_freq_;

  // Of the batch in hand:
  std::vector<TokenId> tokens_;
  std::vector<int32_t> positions_;
  std::vector<BatchSpan> spans_;
  std::vector<int32_t> wanted_;
  int32_t rows_ = 0;      // of the batch; after the last attention, those that become logits
  Activations a_;
};

Result<void> check_options(const TransformerOptions& options) {
  const auto range = [](const char* name, int64_t value, int64_t low,
                        int64_t high) -> Result<void> {
    if (value >= low && value <= high) return {};
    return invalid_input(std::string(name) + ": expected " + std::to_string(low) + " to " +
                         std::to_string(high) + ", found " + std::to_string(value));
  };
  SWARM_TRY_VOID(range("page_tokens", options.page_tokens, 1, 65536));
  SWARM_TRY_VOID(range("page_count", options.page_count, 1, INT32_MAX / 65536 * 65536));
  SWARM_TRY_VOID(range("batch_tokens_max", options.batch_tokens_max, 1, 65536));
  SWARM_TRY_VOID(range("threads", options.threads, 0, 1024));
  return {};
}

}  // namespace

Result<std::unique_ptr<Transformer>> Transformer::open(
    std::shared_ptr<const formats::GgufFile> file, const TransformerOptions& options) {
  SWARM_CHECK(file != nullptr);
  SWARM_TRY_VOID(check_options(options));
  SWARM_TRY(auto config, read_model_config(*file));
  SWARM_TRY(auto weights, bind_weights(*file, config));
  SWARM_TRY(auto kernels, kernels::open_kernels(options.isa, options.threads));
  SWARM_TRY(auto kv, KvStorage::make(config, options));
  return std::unique_ptr<Transformer>(std::make_unique<HostTransformer>(
      std::move(file), std::move(config), std::move(weights), std::move(kernels), std::move(kv),
      options));
}

uint64_t kv_bytes_per_token(const ModelConfig& config, KvType k_type, KvType v_type) {
  return product(config.layers, config.kv_heads) *
         (kernels::kv_row_bytes(k_type, config.head_dim) +
          kernels::kv_row_bytes(v_type, config.head_dim));
}

}  // namespace swarm::engine::model
