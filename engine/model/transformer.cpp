#include "engine/model/transformer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/units.h"
#include "engine/model/kv_storage.h"
#include "engine/model/memory_plan.h"
#include "engine/model/placed_weights.h"
#include "engine/model/rope.h"
#include "engine/model/weights.h"

namespace swarm::engine::model {
namespace {

using kernels::BatchSpan;
using kernels::KernelLimits;
using kernels::Kernels;
using kernels::LinearOutput;

size_t product(int32_t a, int32_t b) { return static_cast<size_t>(a) * static_cast<size_t>(b); }

class PagedTransformer final : public Transformer {
 public:
  PagedTransformer(std::shared_ptr<const formats::GgufFile> file, ModelConfig config,
                   Weights weights, std::unique_ptr<Kernels> kernels, KvStorage kv,
                   const TransformerOptions& options, const KernelLimits& limits)
      : file_(std::move(file)),
        config_(std::move(config)),
        weights_(std::move(weights)),
        kernels_(std::move(kernels)),
        kv_(std::move(kv)),
        options_(options),
        limits_(limits),
        rope_(make_rope(config_)) {}

  // Claims everything of the model in the memory of the backend, or nothing. A device that is lost
  // while the weights are on their way is an error like any other.
  Result<void> claim_memory() try {
    SWARM_TRY(const device::ArenaPlan plan,
              plan_memory(weights_, config_, options_, kernels_->footprint()));
    kernels::Memory& memory = kernels_->memory();
    SWARM_TRY_VOID(memory.reserve(plan));
    const auto claim = [&](const char* group) {
      return memory.claim(std::string(group) + "/all",
                          static_cast<size_t>(plan.group_bytes(group)));
    };
    placed_.lay_out(weights_, *kernels_, claim("weights"));
    kv_.claim(memory);
    a_.lay_out(limits_, claim("activations"));
    return kernels_->start(limits_);
  } catch (const ErrorException& lost) {
    return lost.error();
  }

  int32_t forward(std::span<const SequenceChunk> chunks) override {
    gather(chunks);
    if (rows_ == 0) return 0;
    kernels_->begin({.tokens = tokens_, .positions = positions_, .spans = spans_,
                     .wanted = wanted_});
    x_ = a_.x;
    mixed_ = a_.mixed;
    kernels_->embed(placed_.embedding, x_);
    kernels_->rope_angles({.inv_freq = rope_.inv_freq, .factor = rope_.factor, .cos = a_.cos,
                           .sin = a_.sin});
    for (int32_t i = 0; i < config_.layers; ++i) {
      attention_block(i);
      if (rows_ == 0) return 0;   // nobody wants logits; K and V are stored
      ffn_block(placed_.layers[static_cast<size_t>(i)]);
    }
    head();
    return rows_;
  }

  std::span<const float> logits(int32_t row) override {
    SWARM_CHECK(row >= 0 && row < rows_, row, rows_);
    row_.resize(static_cast<size_t>(config_.vocab));
    const float* from = a_.logits + product(row, config_.vocab);
    kernels_->memory().read(std::as_writable_bytes(std::span(row_)),
                            reinterpret_cast<const std::byte*>(from));
    return row_;
  }

  void sample(std::span<const SampleJob> jobs, std::span<Sampled> sampled) override {
    SWARM_CHECK(std::ssize(jobs) <= rows_, jobs.size(), rows_);
    kernels_->sample(a_.logits, config_.vocab, jobs, sampled);
  }

  void copy_page(int32_t from, int32_t to) override { kv_.copy_page(from, to); }
  const ModelConfig& config() const override { return config_; }
  uint64_t weight_bytes() const override { return weights_.bytes; }
  uint64_t kv_bytes() const override { return kv_.bytes(); }
  uint64_t bytes_per_token() const override { return weights_.bytes_per_token; }
  std::string device_name() const override { return kernels_->device_name(); }

 private:
  // Flattens the chunks into one batch of rows and checks what the caller promised.
  void gather(std::span<const SequenceChunk> chunks) {
    tokens_.clear();
    positions_.clear();
    spans_.clear();
    wanted_.clear();
    for (const SequenceChunk& chunk : chunks) {
      if (!chunk.tokens.empty()) gather_chunk(chunk);
    }
    rows_ = static_cast<int32_t>(tokens_.size());
    SWARM_CHECK(rows_ <= limits_.rows, rows_, limits_.rows);
    SWARM_CHECK(std::ssize(spans_) <= limits_.spans, spans_.size(), limits_.spans);
    SWARM_CHECK(std::ssize(wanted_) <= limits_.wanted, wanted_.size(), limits_.wanted);
  }

  void gather_chunk(const SequenceChunk& chunk) {
    const auto first = static_cast<int32_t>(tokens_.size());
    const auto count = static_cast<int32_t>(chunk.tokens.size());
    const int32_t end = chunk.position + count;
    SWARM_CHECK(chunk.position >= 0, chunk.position);
    SWARM_CHECK(end <= limits_.context, end, limits_.context);
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

  // x += Wo attention(norm(x)), h = norm(x); steps 1-6 and the norm of 7.
  void attention_block(int32_t index) {
    const PlacedLayer& layer = placed_.layers[static_cast<size_t>(index)];
    const auto& c = config_;
    kernels_->rms_norm(x_, layer.attn_norm, c.rms_eps, rows_, c.hidden, a_.h);
    const LinearOutput qkv[] = {{layer.q, a_.q}, {layer.k, a_.k}, {layer.v, a_.v}};
    kernels_->linear(qkv, a_.h, rows_);
    kernels_->qk_norm_rope_append({.q = a_.q, .k = a_.k, .v = a_.v, .q_norm = layer.q_norm,
                                   .k_norm = layer.k_norm, .cos = a_.cos, .sin = a_.sin,
                                   .eps = c.rms_eps, .heads = c.heads, .kv = kv_.layer(index)});
    const bool last = index + 1 == c.layers;
    if (last && wanted_.empty()) {
      rows_ = 0;
      return;
    }
    kernels_->attention({.q = a_.q, .out = a_.mixed, .heads = c.heads,
                         .scale = static_cast<float>(1.0 / std::sqrt(double(c.head_dim))),
                         .kv = kv_.layer(index)});
    if (last) keep_wanted_rows();
    const LinearOutput out[] = {{layer.output, a_.delta}};
    kernels_->linear(out, mixed_, rows_);
    kernels_->add_rms_norm(x_, a_.delta, layer.ffn_norm, c.rms_eps, rows_, c.hidden, a_.h);
  }

  // x += ffn(h); steps 7-8.
  void ffn_block(const PlacedLayer& layer) {
    const auto& c = config_;
    if (c.experts == 0) {
      kernels_->ffn({.x = a_.h, .tokens = rows_, .gate = layer.gate, .up = layer.up,
                     .down = layer.down, .residual = x_});
      return;
    }
    const LinearOutput router[] = {{layer.router, a_.router}};
    kernels_->linear(router, a_.h, rows_);
    kernels_->route({.logits = a_.router, .tokens = rows_, .experts = c.experts,
                     .used = c.experts_used, .ids = a_.expert_ids, .weights = a_.expert_weights});
    kernels_->expert_ffn({.x = a_.h, .tokens = rows_, .used = c.experts_used, .ids = a_.expert_ids,
                          .weights = a_.expert_weights, .gate = layer.expert_gate,
                          .up = layer.expert_up, .down = layer.expert_down, .residual = x_});
  }

  // After the last attention only the rows somebody asked for matter: the rest of the layer and the
  // head (the widest matrix of the model) run on those.
  void keep_wanted_rows() {
    if (std::ssize(wanted_) == rows_) return;
    kernels_->gather_wanted(x_, config_.hidden, a_.wanted_x);
    kernels_->gather_wanted(mixed_, config_.heads * config_.head_dim, a_.wanted_mixed);
    x_ = a_.wanted_x;
    mixed_ = a_.wanted_mixed;
    rows_ = static_cast<int32_t>(wanted_.size());
  }

  void head() {
    const auto& c = config_;
    kernels_->rms_norm(x_, placed_.output_norm, c.rms_eps, rows_, c.hidden, a_.h);
    const LinearOutput out[] = {{placed_.head, a_.logits}};
    kernels_->linear(out, a_.h, rows_);
  }

  const std::shared_ptr<const formats::GgufFile> file_;   // weights_ points into it
  const ModelConfig config_;
  const Weights weights_;
  const std::unique_ptr<Kernels> kernels_;
  KvStorage kv_;
  const TransformerOptions options_;
  const KernelLimits limits_;
  const Rope rope_;
  PlacedWeights placed_;
  Activations a_;

  // Of the batch in hand:
  std::vector<TokenId> tokens_;
  std::vector<int32_t> positions_;
  std::vector<BatchSpan> spans_;
  std::vector<int32_t> wanted_;
  int32_t rows_ = 0;             // of the batch; after the last attention, those that become logits
  float* x_ = nullptr;           // the residual stream of these rows
  float* mixed_ = nullptr;       // their attention output
  std::vector<float> row_;       // what logits() lent
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
  SWARM_TRY_VOID(range("batch_chunks_max", options.batch_chunks_max, 0, 65536));
  SWARM_TRY_VOID(range("logit_rows_max", options.logit_rows_max, 0, 65536));
  SWARM_TRY_VOID(range("context", options.context, 0, INT32_MAX));
  SWARM_TRY_VOID(range("threads", options.threads, 0, 1024));
  return {};
}

}  // namespace

Result<std::unique_ptr<Transformer>> Transformer::open(
    std::shared_ptr<const formats::GgufFile> file, const TransformerOptions& options,
    std::unique_ptr<kernels::Kernels> backend) {
  SWARM_CHECK(file != nullptr);
  SWARM_TRY_VOID(check_options(options));
  SWARM_TRY(auto config, read_model_config(*file));
  if (!backend) {
    SWARM_TRY(backend, kernels::open_kernels(options.isa, options.threads));
  }
  SWARM_TRY(auto weights, bind_weights(*file, config, backend->footprint()));
  SWARM_TRY(auto kv, KvStorage::make(config, options));
  const KernelLimits limits = kernel_limits(weights, config, options);
  auto made = std::make_unique<PagedTransformer>(std::move(file), std::move(config),
                                                 std::move(weights), std::move(backend),
                                                 std::move(kv), options, limits);
  SWARM_TRY_VOID(made->claim_memory());
  return std::unique_ptr<Transformer>(std::move(made));
}

uint64_t kv_bytes_per_token(const ModelConfig& config, KvType k_type, KvType v_type) {
  return product(config.layers, config.kv_heads) *
         (kernels::kv_row_bytes(k_type, config.head_dim) +
          kernels::kv_row_bytes(v_type, config.head_dim));
}

}  // namespace swarm::engine::model
