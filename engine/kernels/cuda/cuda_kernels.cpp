#include "engine/kernels/cuda/cuda_kernels.h"

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/kernels/cuda/attention.h"
#include "engine/kernels/cuda/batch_stage.h"
#include "engine/kernels/cuda/device_memory.h"
#include "engine/kernels/cuda/elementwise.h"
#include "engine/kernels/cuda/matmul.h"
#include "engine/kernels/cuda/moe_route.h"
#include "engine/kernels/cuda/place_weights.h"
#include "engine/kernels/cuda/rope_append.h"
#include "engine/kernels/cuda/sample_stage.h"

namespace swarm::engine::kernels::cuda {
namespace {

size_t product(int64_t a, int64_t b) { return static_cast<size_t>(a) * static_cast<size_t>(b); }

// Scratch of the ops, in the arena; sized for the largest batch.
struct Scratch {
  std::byte* batch = nullptr;
  std::byte* quantised = nullptr;      // activations of the product in hand, as codes
  std::byte* attention = nullptr;
  double* inv_freq = nullptr;          // [head_dim / 2]
  float* middle = nullptr;             // [pairs, ffn]
  float* up = nullptr;                 // [pairs, ffn], where gate and up cannot share a product
  float* down = nullptr;               // [pairs, hidden]
  int32_t* expert_count = nullptr;
  int32_t* expert_begin = nullptr;
  int32_t* pair_token = nullptr;
  int32_t* pair_of = nullptr;
  SampleMemory sample;
};

// A region of the scratch: where its pointer lives, its name, its size.
template <class Visit>
void each_region(const KernelLimits& l, Scratch& s, Visit visit) {
  const int64_t pairs = int64_t{l.rows} * std::max(1, l.experts_used);
  const int32_t widest = std::max(l.hidden, l.heads * l.head_dim);
  const size_t quantised = std::max(quantised_bytes(l.rows, widest), quantised_bytes(pairs, l.ffn));
  const auto attention = static_cast<size_t>(attention_scratch_bytes(
      {.rows = l.rows, .heads = l.heads, .head_dim = l.head_dim, .context = l.context}));
  visit("scratch/batch", s.batch, BatchStage::bytes_for(l));
  visit("scratch/quantised", s.quantised, quantised);
  visit("scratch/attention", s.attention, attention);
  visit("scratch/inv_freq", s.inv_freq, static_cast<size_t>(l.head_dim / 2));
  visit("scratch/middle", s.middle, product(pairs, l.ffn));
  visit("scratch/up", s.up, product(pairs, l.ffn));
  visit("scratch/down", s.down, product(pairs, l.hidden));
  visit("scratch/expert_count", s.expert_count, static_cast<size_t>(l.experts));
  visit("scratch/expert_begin", s.expert_begin, static_cast<size_t>(l.experts) + 1);
  visit("scratch/pair_token", s.pair_token, static_cast<size_t>(pairs));
  visit("scratch/pair_of", s.pair_of, static_cast<size_t>(pairs));
  visit("scratch/sample_jobs", s.sample.jobs, SampleMemory::job_bytes(l));
  visit("scratch/sample_results", s.sample.results, static_cast<size_t>(l.wanted));
  visit("scratch/sample", s.sample.scratch, SampleMemory::scratch_bytes(l));
}

WeightView view_of(const Weight& weight) {
  const auto type = weight_type(weight.type);
  SWARM_CHECK(type.has_value(), static_cast<int>(weight.type));
  return {.type = *type, .rows = weight.rows, .cols = weight.cols,
          .data = reinterpret_cast<const uint8_t*>(weight.data)};
}

class CudaKernels final : public Kernels {
 public:
  CudaKernels(std::unique_ptr<device::Device> device, std::unique_ptr<device::Stream> stream,
              std::unique_ptr<DeviceMemory> memory, const CudaOptions& options)
      : device_(std::move(device)), stream_(std::move(stream)), memory_(std::move(memory)),
        options_(options),
        launch_stream_(static_cast<simt::Stream>(stream_->native())) {}

  Memory& memory() override { return *memory_; }

  void plan(const KernelLimits& limits, device::ArenaPlan& plan) const override {
    Scratch unused;
    each_region(limits, unused, [&](const char* name, auto*& place, size_t count) {
      plan.add(name, count, sizeof(*place));
    });
  }

  Result<void> start(const KernelLimits& limits) override {
    limits_ = limits;
    each_region(limits, scratch_, [&](const char* name, auto*& place, size_t count) {
      using T = std::remove_reference_t<decltype(*place)>;
      place = reinterpret_cast<T*>(memory_->claim(name, count * sizeof(T)));
    });
    SWARM_TRY(auto stage, BatchStage::make(*device_, *stream_, limits));
    stage_.emplace(std::move(stage));
    SWARM_TRY(auto sampler, SampleStage::make(*device_, *stream_, limits, scratch_.sample));
    sampler_.emplace(std::move(sampler));
    return {};
  }

  size_t placed_bytes(const Weight& weight) const override {
    return cuda::placed_bytes(view_of(weight).type, weight.rows, weight.cols);
  }

  Weight place(const Weight& weight, std::byte* to) override {
    const WeightType type = view_of(weight).type;
    Weight placed = weight;
    placed.row_bytes = static_cast<size_t>(placed_row_bytes(type, weight.cols));
    placed.data = to;
    // A few MiB of rows at a time: repacked here while the copies before are on their way.
    constexpr size_t kChunkBytes = size_t{4} << 20;
    const auto rows_at_once = static_cast<int32_t>(
        std::clamp<size_t>(kChunkBytes / placed.row_bytes, 1, static_cast<size_t>(weight.rows)));
    repacked_.resize(static_cast<size_t>(rows_at_once) * placed.row_bytes);
    for (int32_t row = 0; row < weight.rows; row += rows_at_once) {
      const int32_t count = std::min(rows_at_once, weight.rows - row);
      place_rows(type, weight.row(row), weight.row_bytes, count, weight.cols, repacked_.data());
      const size_t bytes = static_cast<size_t>(count) * placed.row_bytes;
      memory_->write(to + static_cast<size_t>(row) * placed.row_bytes,
                     std::span(repacked_).first(bytes));
    }
    return placed;
  }

  void begin(const Batch& batch) override {
    check_device();
    device_->bind();
    batch_ = stage_->send(batch, scratch_.batch);
  }

  void embed(const Weight& table, float* out) override {
    launched("embed", cuda::embed(launch_stream_, {.table = view_of(table), .tokens = batch_.tokens,
                                                   .out = out, .rows = batch_.rows}));
  }

  void rope_angles(std::span<const double> inv_freq, float* cos, float* sin) override {
    if (!inv_freq_sent_) {
      memory_->write(reinterpret_cast<std::byte*>(scratch_.inv_freq), std::as_bytes(inv_freq));
      inv_freq_sent_ = true;
    }
    launched("rope_angles", cuda::rope_angles(launch_stream_,
                                              {.inv_freq = scratch_.inv_freq, .cos = cos,
                                               .sin = sin,
                                               .half = static_cast<int32_t>(inv_freq.size()),
                                               .batch = batch_}));
  }

  void gather_wanted(const float* x, int32_t width, float* out) override {
    launched("gather_wanted", cuda::gather_wanted(launch_stream_, {.x = x, .out = out,
                                                                   .width = width,
                                                                   .batch = batch_}));
  }

  void sample(float* logits, int32_t stride, std::span<const SampleJob> jobs,
              std::span<Sampled> sampled) override {
    check_device();
    sampler_->run(launch_stream_, logits, stride, jobs, sampled);
  }

  void rms_norm(const float* x, const float* weight, float eps, int32_t tokens, int32_t hidden,
                float* out) override {
    launched("rms_norm", cuda::rms_norm(launch_stream_, {.x = x, .weight = weight, .out = out,
                                                         .rows = tokens, .hidden = hidden,
                                                         .eps = eps}));
  }

  void linear(std::span<const LinearOutput> outputs, const float* x, int32_t tokens) override {
    SWARM_CHECK(!outputs.empty());
    const QuantisedRows quantised = quantise_if_needed(outputs, x, tokens);
    for (const LinearOutput& output : outputs) {
      multiply({.weight = view_of(output.weight), .x = x, .quantised = quantised, .y = output.y,
                .rows = tokens});
    }
  }

  void add(float* residual, const float* delta, size_t count) override {
    launched("add", cuda::add(launch_stream_, {.residual = residual, .delta = delta,
                                               .count = static_cast<int64_t>(count)}));
  }

  void qk_norm_rope_append(const QkvArgs& args) override {
    launched("qk_norm_rope_append",
             cuda::qk_norm_rope_append(launch_stream_,
                                       {.q = args.q, .k = args.k, .v = args.v,
                                        .q_norm = args.q_norm, .k_norm = args.k_norm,
                                        .cos = args.cos, .sin = args.sin, .eps = args.eps,
                                        .heads = args.heads, .batch = batch_,
                                        .kv = kv_view(args.kv)}));
  }

  void attention(const AttentionArgs& args) override {
    const int64_t scratch_bytes = attention_scratch_bytes(
        {.rows = limits_.rows, .heads = limits_.heads, .head_dim = limits_.head_dim,
         .context = limits_.context});
    launched("attention",
             cuda::attention(launch_stream_,
                             {.q = args.q, .out = args.out, .heads = args.heads,
                              .scale = args.scale, .batch = batch_, .kv = kv_view(args.kv),
                              .max_context = stage_->shape().max_context,
                              .longest_span = stage_->shape().longest_span,
                              .deterministic = options_.deterministic,
                              .scratch = reinterpret_cast<uint8_t*>(scratch_.attention),
                              .scratch_bytes = scratch_bytes}));
  }

  void route(const RouteArgs& args) override {
    launched("route", route_tokens(launch_stream_,
                                   {.logits = args.logits, .ids = args.ids,
                                    .weights = args.weights, .tokens = args.tokens,
                                    .experts = args.experts, .used = args.used}));
  }

  void ffn(const FfnArgs& args) override {
    const LinearOutput both[] = {{args.gate, scratch_.middle}, {args.up, scratch_.up}};
    const QuantisedRows quantised = quantise_if_needed(both, args.x, args.tokens);
    gate_and_up({.weight = view_of(args.gate), .x = args.x, .quantised = quantised,
                 .y = scratch_.middle, .rows = args.tokens}, view_of(args.up), 0);
    const LinearOutput out[] = {{args.down, scratch_.down}};
    linear(out, scratch_.middle, args.tokens);
    add(args.residual, scratch_.down, product(args.tokens, args.down.rows));
  }

  void expert_ffn(const ExpertFfnArgs& args) override {
    const int32_t pairs = args.tokens * args.used;
    launched("group_by_expert",
             group_by_expert(launch_stream_,
                             {.ids = args.ids, .expert_count = scratch_.expert_count,
                              .expert_begin = scratch_.expert_begin,
                              .pair_token = scratch_.pair_token, .pair_of = scratch_.pair_of,
                              .tokens = args.tokens, .experts = args.gate.count,
                              .used = args.used}));
    const LinearOutput both[] = {{args.gate.first, nullptr}, {args.up.first, nullptr}};
    const QuantisedRows x = quantise_if_needed(both, args.x, args.tokens);
    MatmulArgs routed{.weight = view_of(args.gate.first),
                      .expert_bytes = static_cast<int64_t>(args.gate.stride),
                      .x = args.x, .quantised = x, .y = scratch_.middle, .rows = pairs,
                      .expert_begin = scratch_.expert_begin, .pair_token = scratch_.pair_token,
                      .experts = args.gate.count};
    gate_and_up(routed, view_of(args.up.first), static_cast<int64_t>(args.up.stride));
    const LinearOutput out[] = {{args.down.first, nullptr}};
    routed.weight = view_of(args.down.first);
    routed.expert_bytes = static_cast<int64_t>(args.down.stride);
    routed.quantised = quantise_if_needed(out, scratch_.middle, pairs);
    routed.x = scratch_.middle;
    routed.y = scratch_.down;
    routed.pair_token = nullptr;
    multiply(routed);
    launched("combine_experts",
             combine_experts(launch_stream_,
                             {.down = scratch_.down, .weights = args.weights,
                              .pair_of = scratch_.pair_of, .residual = args.residual,
                              .tokens = args.tokens, .used = args.used,
                              .hidden = args.down.first.rows}));
  }

  std::string device_name() const override {
    return device_->info().id() + " (" + device_->info().name + ")";
  }

 private:
  static KvView kv_view(const KvLayer& kv) {
    return {.k_type = kv.k_type, .v_type = kv.v_type, .page_tokens = kv.page_tokens,
            .kv_heads = kv.kv_heads, .head_dim = kv.head_dim,
            .k = reinterpret_cast<uint8_t*>(kv.k), .v = reinterpret_cast<uint8_t*>(kv.v)};
  }

  // The codes of x [rows, cols], when one of the matrices multiplies codes.
  QuantisedRows quantise_if_needed(std::span<const LinearOutput> outputs, const float* x,
                                   int32_t rows) {
    const bool needed = std::ranges::any_of(outputs, [](const LinearOutput& output) {
      return is_integer(view_of(output.weight).type);
    });
    if (!needed) return {};
    const int32_t cols = outputs[0].weight.cols;
    const QuantisedRows to = quantised_rows(scratch_.quantised, rows, cols);
    launched("quantize_rows", quantize_rows(launch_stream_, {.x = x, .rows = rows, .cols = cols,
                                                             .to = to}));
    return to;
  }

  void multiply(MatmulArgs args) {
    if (options_.deterministic) args.family = Family::gemm;
    launched("matmul", matmul(launch_stream_, args));
  }

  // args.y = silu(gate x) * (up x). One product where the two types allow it.
  void gate_and_up(MatmulArgs args, const WeightView& up, int64_t up_expert_bytes) {
    if (up.type == args.weight.type && up_expert_bytes == args.expert_bytes) {
      args.up = up.data;
      multiply(args);
      return;
    }
    multiply(args);
    float* gate = args.y;
    args.weight = up;
    args.expert_bytes = up_expert_bytes;
    args.y = scratch_.up;
    multiply(args);
    launched("silu_mul", silu_mul(launch_stream_, {.gate = gate, .up = scratch_.up,
                                                   .count = int64_t{args.rows} * up.rows}));
  }

  // After every launch: one that was refused loses the device.
  void launched(const char* kernel, simt::Status status) {
    if (!status.ok()) {
      device_->declare_lost(std::string(kernel) + ": the launch was refused (CUDA error " +
                            std::to_string(status.cuda_error) + ")");
    }
  }

  void check_device() {
    if (device_->lost()) throw ErrorException(device_->lost_error());
  }

  const std::unique_ptr<device::Device> device_;
  const std::unique_ptr<device::Stream> stream_;
  const std::unique_ptr<DeviceMemory> memory_;
  const CudaOptions options_;
  const simt::Stream launch_stream_;
  KernelLimits limits_;
  Scratch scratch_;
  std::optional<BatchStage> stage_;
  std::optional<SampleStage> sampler_;
  BatchView batch_;
  bool inv_freq_sent_ = false;
  std::vector<std::byte> repacked_;    // only while weights are placed
};

}  // namespace

Result<std::unique_ptr<Kernels>> open_cuda_kernels(std::unique_ptr<device::Device> device,
                                                   const CudaOptions& options) {
  device->bind();
  SWARM_TRY(auto made, device->make_stream());
  auto stream = std::make_unique<device::Stream>(std::move(made));
  SWARM_TRY(auto memory, DeviceMemory::make(*device, *stream, options.reserve_bytes));
  return std::unique_ptr<Kernels>(std::make_unique<CudaKernels>(
      std::move(device), std::move(stream), std::move(memory), options));
}

}  // namespace swarm::engine::kernels::cuda
