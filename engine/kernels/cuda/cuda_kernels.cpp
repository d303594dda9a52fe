#include "engine/kernels/cuda/cuda_kernels.h"

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

#include "engine/kernels/cpu/thread_pool.h"
#include "engine/kernels/cuda/attention/attention.h"
#include "engine/kernels/cuda/attention/rope_append.h"
#include "engine/kernels/cuda/batch_stage.h"
#include "engine/kernels/cuda/blas_products.h"
#include "engine/kernels/cuda/cuda_footprint.h"
#include "engine/kernels/cuda/device_memory.h"
#include "engine/kernels/cuda/elementwise.h"
#include "engine/kernels/cuda/launch.h"
#include "engine/kernels/cuda/matmul/matmul.h"
#include "engine/kernels/cuda/moe_route.h"
#include "engine/kernels/cuda/sampling/sample_stage.h"
#include "engine/kernels/cuda/scratch.h"
#include "engine/kernels/cuda/weights/place_weights.h"

namespace swarm::engine::kernels::cuda {
namespace {

size_t count_of(int32_t value) { return static_cast<size_t>(value); }
size_t product(int64_t a, int64_t b) { return static_cast<size_t>(a) * static_cast<size_t>(b); }

WeightView view_of(const Weight& weight) {
  const auto type = weight_type(weight.type);
  SWARM_CHECK(type.has_value(), static_cast<int>(weight.type));
  return {.type = *type,
          .rows = weight.rows,
          .cols = weight.cols,
          .data = reinterpret_cast<const uint8_t*>(weight.data)};
}

class CudaKernels final : public Kernels {
 public:
  CudaKernels(std::unique_ptr<device::Device> device, std::unique_ptr<device::Stream> stream,
              std::unique_ptr<DeviceMemory> memory, const CudaOptions& options)
      : device_(std::move(device)),
        stream_(std::move(stream)),
        memory_(std::move(memory)),
        options_(options),
        launch_stream_(static_cast<simt::Stream>(stream_->native())) {}

  Memory& memory() override { return *memory_; }

  const Footprint& footprint() const override { return cuda_footprint(); }

  Result<void> start(const KernelLimits& limits) override {
    limits_ = limits;
    each_scratch_region(limits, scratch_, [&](const char* name, auto*& place, size_t count) {
      using T = std::remove_reference_t<decltype(*place)>;
      place = reinterpret_cast<T*>(memory_->claim(name, count * sizeof(T)));
    });
    SWARM_TRY(auto stage, BatchStage::make(*device_, *stream_, limits));
    stage_.emplace(std::move(stage));
    SWARM_TRY(auto sampler, SampleStage::make(*device_, *stream_, limits, scratch_.sample));
    sampler_.emplace(std::move(sampler));
    blas_ = BlasProducts::make(*device_, *stream_, limits, scratch_.blas, blas_rows());
    placers_.reset();
    return memory_->finish();  // weights may still be on their way
  }

  // A few MiB of rows at a time, straight into page-locked memory: the next rows are repacked while
  // those before are on their way.
  Weight place(const Weight& weight, std::byte* to) override {
    const WeightType type = view_of(weight).type;
    Weight placed = weight;
    placed.row_bytes = static_cast<size_t>(placed_row_bytes(type, weight.cols));
    placed.data = to;
    for (int32_t row = 0; row < weight.rows;) {
      const std::span<std::byte> block = memory_->block();
      SWARM_CHECK(placed.row_bytes <= block.size(), placed.row_bytes, block.size());
      const auto count = static_cast<int32_t>(
          std::min<size_t>(block.size() / placed.row_bytes, count_of(weight.rows - row)));
      place_block(type, weight, row, count, block);
      memory_->send(to + count_of(row) * placed.row_bytes, count_of(count) * placed.row_bytes);
      row += count;
    }
    return placed;
  }

  void begin(const Batch& batch) override {
    check_device();
    device_->bind();
    batch_ = stage_->send(batch, scratch_.batch);
  }

  void embed(const Weight& table, float* out) override {
    launch("embed", [&] {
      return cuda::embed(
          launch_stream_,
          {.table = view_of(table), .tokens = batch_.tokens, .out = out, .rows = batch_.rows});
    });
  }

  void rope_angles(const RopeAngles& args) override {
    if (!inv_freq_sent_) {
      memory_->write(reinterpret_cast<std::byte*>(scratch_.inv_freq), std::as_bytes(args.inv_freq));
      inv_freq_sent_ = true;
    }
    launch("rope_angles", [&] {
      return cuda::rope_angles(launch_stream_, {.inv_freq = scratch_.inv_freq,
                                                .factor = args.factor,
                                                .cos = args.cos,
                                                .sin = args.sin,
                                                .half = static_cast<int32_t>(args.inv_freq.size()),
                                                .batch = batch_});
    });
  }

  void gather_wanted(const float* x, int32_t width, float* out) override {
    launch("gather_wanted", [&] {
      return cuda::gather_wanted(launch_stream_,
                                 {.x = x, .out = out, .width = width, .batch = batch_});
    });
  }

  void sample(float* logits, int32_t stride, std::span<const SampleJob> jobs,
              std::span<Sampled> sampled) override {
    check_device();
    sampler_->run(launch_stream_, logits, stride, jobs, sampled);
  }

  void rms_norm(const float* x, const float* weight, float eps, int32_t tokens, int32_t hidden,
                float* out) override {
    launch("rms_norm", [&] {
      return cuda::rms_norm(
          launch_stream_,
          {.x = x, .weight = weight, .out = out, .rows = tokens, .hidden = hidden, .eps = eps});
    });
  }

  void linear(std::span<const LinearOutput> outputs, const float* x, int32_t tokens) override {
    SWARM_CHECK(!outputs.empty());
    const QuantisedRows quantised = quantise_if_needed(outputs, x, tokens);
    for (const LinearOutput& output : outputs) {
      multiply({.weight = view_of(output.weight),
                .x = x,
                .quantised = quantised,
                .y = output.y,
                .rows = tokens});
    }
  }

  void add(float* residual, const float* delta, size_t count) override {
    launch("add", [&] {
      return cuda::add(
          launch_stream_,
          {.residual = residual, .delta = delta, .count = static_cast<int64_t>(count)});
    });
  }

  void add_rms_norm(float* residual, const float* delta, const float* weight, float eps,
                    int32_t tokens, int32_t hidden, float* out) override {
    launch("add_rms_norm", [&] {
      return cuda::rms_norm(launch_stream_, {.x = residual, .weight = weight, .out = out,
                                             .rows = tokens, .hidden = hidden, .eps = eps,
                                             .residual = residual, .delta = delta});
    });
  }

  void qk_norm_rope_append(const QkvArgs& args) override {
    launch("qk_norm_rope_append", [&] {
      return cuda::qk_norm_rope_append(launch_stream_, {.q = args.q,
                                                        .k = args.k,
                                                        .v = args.v,
                                                        .q_norm = args.q_norm,
                                                        .k_norm = args.k_norm,
                                                        .cos = args.cos,
                                                        .sin = args.sin,
                                                        .eps = args.eps,
                                                        .heads = args.heads,
                                                        .batch = batch_,
                                                        .kv = kv_view(args.kv)});
    });
  }

  void attention(const AttentionArgs& args) override {
    const int64_t scratch_bytes = attention_scratch_bytes({.rows = limits_.rows,
                                                           .heads = limits_.heads,
                                                           .head_dim = limits_.head_dim,
                                                           .context = limits_.context});
    launch("attention", [&] {
      return cuda::attention(launch_stream_,
                             {.q = args.q,
                              .out = args.out,
                              .heads = args.heads,
                              .scale = args.scale,
                              .batch = batch_,
                              .kv = kv_view(args.kv),
                              .max_context = stage_->shape().max_context,
                              .longest_span = stage_->shape().longest_span,
                              .deterministic = options_.deterministic,
                              .scratch = reinterpret_cast<uint8_t*>(scratch_.attention),
                              .scratch_bytes = scratch_bytes});
    });
  }

  void route(const RouteArgs& args) override {
    launch("route", [&] {
      return route_tokens(launch_stream_, {.logits = args.logits,
                                           .ids = args.ids,
                                           .weights = args.weights,
                                           .tokens = args.tokens,
                                           .experts = args.experts,
                                           .used = args.used});
    });
  }

  void ffn(const FfnArgs& args) override {
    const LinearOutput both[] = {{args.gate, scratch_.middle}, {args.up, scratch_.up}};
    const QuantisedRows quantised = quantise_if_needed(both, args.x, args.tokens);
    gate_and_up({.weight = view_of(args.gate),
                 .x = args.x,
                 .quantised = quantised,
                 .y = scratch_.middle,
                 .rows = args.tokens},
                view_of(args.up), 0);
    const LinearOutput out[] = {{args.down, scratch_.down}};
    linear(out, scratch_.middle, args.tokens);
    add(args.residual, scratch_.down, product(args.tokens, args.down.rows));
  }

  void expert_ffn(const ExpertFfnArgs& args) override {
    const int32_t pairs = args.tokens * args.used;
    launch("group_by_expert", [&] {
      return group_by_expert(launch_stream_, {.ids = args.ids,
                                              .expert_count = scratch_.expert_count,
                                              .expert_begin = scratch_.expert_begin,
                                              .pair_token = scratch_.pair_token,
                                              .pair_of = scratch_.pair_of,
                                              .tokens = args.tokens,
                                              .experts = args.gate.count,
                                              .used = args.used});
    });
    const LinearOutput both[] = {{args.gate.first, nullptr}, {args.up.first, nullptr}};
    const QuantisedRows x = quantise_if_needed(both, args.x, args.tokens);
    MatmulArgs routed{.weight = view_of(args.gate.first),
                      .expert_bytes = static_cast<int64_t>(args.gate.stride),
                      .x = args.x,
                      .quantised = x,
                      .y = scratch_.middle,
                      .rows = pairs,
                      .expert_begin = scratch_.expert_begin,
                      .pair_token = scratch_.pair_token,
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
    launch("combine_experts", [&] {
      return combine_experts(launch_stream_, {.down = scratch_.down,
                                              .weights = args.weights,
                                              .pair_of = scratch_.pair_of,
                                              .residual = args.residual,
                                              .tokens = args.tokens,
                                              .used = args.used,
                                              .hidden = args.down.first.rows});
    });
  }

  std::string device_name() const override {
    std::string name = device_->info().id() + " (" + device_->info().name;
    if (options_.portable) name += ", portable kernels";
    if (!blas_.name().empty()) name += ", " + blas_.name();
    return name + ")";
  }

 private:
  static KvView kv_view(const KvLayer& kv) {
    return {.k_type = kv.k_type,
            .v_type = kv.v_type,
            .page_tokens = kv.page_tokens,
            .kv_heads = kv.kv_heads,
            .head_dim = kv.head_dim,
            .k = reinterpret_cast<uint8_t*>(kv.k),
            .v = reinterpret_cast<uint8_t*>(kv.v)};
  }

  // Rows first .. first + count - 1 into `block`, on all cores.
  void place_block(WeightType type, const Weight& weight, int32_t first, int32_t count,
                   std::span<std::byte> block) {
    constexpr size_t kTaskBytes = size_t{256} << 10;
    constexpr unsigned kThreadsMax = 16;  // memory is no faster for more
    if (!placers_) {
      const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
      placers_.emplace(static_cast<int32_t>(std::min(cores, kThreadsMax)));
    }
    const auto row_bytes = static_cast<size_t>(placed_row_bytes(type, weight.cols));
    const auto step = static_cast<int32_t>(std::clamp<size_t>(kTaskBytes / row_bytes, 1, 1 << 20));
    placers_->run((count + step - 1) / step, [&](int32_t task, int32_t) {
      const int32_t row = task * step;
      place_rows(type, weight.row(first + row), weight.row_bytes, std::min(step, count - row),
                 weight.cols, block.data() + count_of(row) * row_bytes);
    });
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
    launch("quantize_rows", [&] {
      return quantize_rows(launch_stream_, {.x = x, .rows = rows, .cols = cols, .to = to});
    });
    return to;
  }

  int32_t blas_rows() const {
    if (options_.deterministic || options_.portable) return 0;
    const bool card = device_->info().kind == device::DeviceKind::cuda;
    return options_.blas_rows.value_or(card ? kBlasRows : 0);
  }

  void multiply(MatmulArgs args) {
    if (blas_.takes(args)) return blas_.multiply(args);
    if (options_.deterministic) args.family = Family::gemm;
    launch("matmul", [&] { return matmul(launch_stream_, args); });
  }

  // args.y = silu(gate x) * (up x). One product where the two types allow it.
  void gate_and_up(MatmulArgs args, const WeightView& up, int64_t up_expert_bytes) {
    const bool together = up.type == args.weight.type && up_expert_bytes == args.expert_bytes;
    if (together && !blas_.takes(args)) {
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
    launch("silu_mul", [&] {
      return silu_mul(launch_stream_,
                      {.gate = gate, .up = scratch_.up, .count = int64_t{args.rows} * up.rows});
    });
  }

  template <class Start>
  void launch(const char* kernel, Start start) {
    cuda::launch(*device_, kernel, start);
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
  BlasProducts blas_;
  std::optional<ThreadPool> placers_;  // while weights are loaded
  BatchView batch_;
  bool inv_freq_sent_ = false;
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
