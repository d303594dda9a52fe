// engine/kernels/kernels.h — One typed function per op of the forward pass: the seam between
// backends. A Kernels object owns its memory, its threads or its device stream, and its scratch;
// one thread calls it at a time. Pointers to float, int32_t and Weight data in the arguments lie in
// the backend's memory() unless marked host; host pointers are borrowed for the duration of the
// call. All activations are f32, row-major, one row per token.
//
// Life: open, footprint().plan() into the plan of the model, memory().reserve, start(), then for
// every batch begin() and the ops in the order of the forward pass. Calls are asynchronous on an
// accelerator: results are seen by memory().read and by sample().
// Failure: shapes are checked by the caller (model/transformer), misuse is a bug. The CPU cannot
// fail after start(); a lost device throws ErrorException{environment} from any call, for good.
//
// Determinism (CPU; accelerators when asked): the value of an output row depends only on its own
// input row and the weights - never on the number of rows in the call, on threads, or on KV page
// boundaries.
//
// Source of the formulas: reference/engine.md section 1.2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "engine/base/error.h"
#include "engine/formats/block_types.h"
#include "engine/kernels/footprint.h"
#include "engine/kernels/kv_layer.h"
#include "engine/kernels/memory.h"
#include "engine/sample/sampler.h"

namespace swarm::engine::kernels {

// A weight matrix. In the model file, row r is row_bytes bytes at data + r * row_bytes, and blocks
// are only as aligned as the file makes them; after Kernels::place the data are the backend's own.
struct Weight {
  formats::TensorType type = formats::TensorType::f32;
  int32_t rows = 0;                    // output features
  int32_t cols = 0;                    // input features
  size_t row_bytes = 0;
  const std::byte* data = nullptr;

  const std::byte* row(int32_t r) const { return data + static_cast<size_t>(r) * row_bytes; }
  size_t bytes() const { return static_cast<size_t>(rows) * row_bytes; }
};

// `count` matrices of one shape, `stride` bytes apart: the experts of a layer.
struct ExpertWeights {
  Weight first;
  int32_t count = 0;
  size_t stride = 0;

  Weight expert(int32_t e) const {
    Weight w = first;
    w.data += static_cast<size_t>(e) * stride;
    return w;
  }
};

// One output of a linear call: y[t, r] = sum_c weight[r, c] * x[t, c].
struct LinearOutput {
  Weight weight;
  float* y = nullptr;                  // [tokens, weight.rows]
};

// Consecutive rows of the batch that are consecutive positions of one sequence. Position p lives in
// pages[p / page_tokens], slot p % page_tokens.
struct BatchSpan {
  int32_t first_row = 0;
  int32_t count = 0;
  int32_t position = 0;
  std::span<const int32_t> pages;
};

// The rows of one forward pass (host; borrowed until the next begin()).
struct Batch {
  std::span<const int32_t> tokens;     // [rows]
  std::span<const int32_t> positions;  // [rows]
  std::span<const BatchSpan> spans;    // cover all rows in order
  std::span<const int32_t> wanted;     // rows whose logits are asked for, ascending
};

// The largest batch and the widest layers a Kernels object will see: scratch is sized from it.
struct KernelLimits {
  int32_t rows = 0;                    // of one batch
  int32_t spans = 0;
  int32_t wanted = 0;                  // logit rows
  int32_t context = 0;                 // tokens of one sequence
  int32_t page_tokens = 0;
  int32_t hidden = 0;
  int32_t heads = 0;
  int32_t kv_heads = 0;
  int32_t head_dim = 0;
  int32_t ffn = 0;                     // of one expert where there are experts
  int32_t experts = 0;
  int32_t experts_used = 0;
  int32_t vocab = 0;
  bool float_weights = false;          // a matrix outside the experts is f16 or bf16
};

// cos, sin [rows, half] = factor * those of position * inv_freq[j]; in double, then rounded.
struct RopeAngles {
  std::span<const double> inv_freq;    // [half] host
  double factor = 1;                   // of YaRN, on q and k alike (engine.md section 13)
  float* cos = nullptr;
  float* sin = nullptr;
};

struct QkvArgs {
  float* q = nullptr;                  // [rows, heads, head_dim], normed and rotated in place
  float* k = nullptr;                  // [rows, kv_heads, head_dim], normed and rotated in place
  const float* v = nullptr;            // [rows, kv_heads, head_dim]
  const float* q_norm = nullptr;       // [head_dim]
  const float* k_norm = nullptr;
  const float* cos = nullptr;          // [rows, head_dim / 2]
  const float* sin = nullptr;
  float eps = 0;
  int32_t heads = 0;
  KvLayer kv;
};

struct AttentionArgs {
  const float* q = nullptr;            // [rows, heads, head_dim]
  float* out = nullptr;                // [rows, heads, head_dim]
  int32_t heads = 0;
  float scale = 0;                     // 1 / sqrt(head_dim)
  KvLayer kv;
};

struct RouteArgs {
  const float* logits = nullptr;       // [tokens, experts]
  int32_t tokens = 0;
  int32_t experts = 0;
  int32_t used = 0;                    // top-k
  int32_t* ids = nullptr;              // [tokens, used], by falling weight, ties to the lower id
  float* weights = nullptr;            // [tokens, used], sum 1
};

struct FfnArgs {
  const float* x = nullptr;            // [tokens, hidden]
  int32_t tokens = 0;
  Weight gate, up, down;               // [ffn, hidden], [ffn, hidden], [hidden, ffn]
  float* residual = nullptr;           // [tokens, hidden], added to
};

struct ExpertFfnArgs {
  const float* x = nullptr;            // [tokens, hidden]
  int32_t tokens = 0;
  int32_t used = 0;
  const int32_t* ids = nullptr;        // [tokens, used]
  const float* weights = nullptr;      // [tokens, used]
  ExpertWeights gate, up, down;        // per expert [ffn, hidden], [ffn, hidden], [hidden, ffn]
  float* residual = nullptr;           // [tokens, hidden], added to
};

class Kernels {
 public:
  virtual ~Kernels() = default;

  virtual Memory& memory() = 0;
  virtual const Footprint& footprint() const = 0;
  // Claims the scratch that footprint().plan() announced.
  virtual Result<void> start(const KernelLimits& limits) = 0;

  // The weight once it lies in memory(). `to` has placed_bytes(weight) bytes. Backends may repack.
  virtual Weight place(const Weight& weight, std::byte* to) = 0;

  // The batch the following calls are about.
  virtual void begin(const Batch& batch) = 0;

  // out[row] = table row of the token, decoded. Reads one row per token.
  virtual void embed(const Weight& table, float* out) = 0;

  // The same inv_freq in every call: an accelerator reads it once.
  virtual void rope_angles(const RopeAngles& args) = 0;

  // out[i] = x[wanted[i]], rows of `width`.
  virtual void gather_wanted(const float* x, int32_t width, float* out) = 0;

  // sampled[i] = the token chosen from logits row i as sample/sampler.h defines it. logits: [rows,
  // stride], one row per job; unchanged when the call returns. Waits for the result.
  virtual void sample(float* logits, int32_t stride, std::span<const SampleJob> jobs,
                      std::span<Sampled> sampled) = 0;

  // out[t, j] = x[t, j] * weight[j] / sqrt(mean(x[t]^2) + eps). x, out: [tokens, hidden].
  // Memory-bound: 8 bytes per element.
  virtual void rms_norm(const float* x, const float* weight, float eps, int32_t tokens,
                        int32_t hidden, float* out) = 0;

  // Several matrices over one input x [tokens, cols] (all have the same cols), which is quantised
  // at most once per activation format. Bytes: each weight once per call; flops: 2 rows cols
  // tokens.
  virtual void linear(std::span<const LinearOutput> outputs, const float* x, int32_t tokens) = 0;

  // residual[i] += delta[i].
  virtual void add(float* residual, const float* delta, size_t count) = 0;

  // Both: residual += delta, then out = the norm of residual. The same bits as the two calls; an
  // accelerator makes it one pass.
  virtual void add_rms_norm(float* residual, const float* delta, const float* weight, float eps,
                            int32_t tokens, int32_t hidden, float* out) {
    add(residual, delta, static_cast<size_t>(tokens) * static_cast<size_t>(hidden));
    rms_norm(residual, weight, eps, tokens, hidden, out);
  }

  // For every row of the batch: RMS norm per head, RoPE (half split: pairs (j, j + head_dim / 2)),
  // K and V appended to the pages.
  virtual void qk_norm_rope_append(const QkvArgs& args) = 0;

  // Causal softmax attention of every row over the pages of its sequence; query head h uses KV head
  // h / (heads / kv_heads).
  // Reads K and V of a sequence once per KV head and query tile; 4 heads head_dim flops per pair.
  virtual void attention(const AttentionArgs& args) = 0;

  // Softmax over all experts, the `used` largest, renormalised to sum 1.
  virtual void route(const RouteArgs& args) = 0;

  // residual += down(silu(gate x) * (up x)).
  virtual void ffn(const FfnArgs& args) = 0;

  // The same with the chosen experts, weighted; summed in the order of ids. Tokens are grouped per
  // expert, so each chosen expert's weights are read once per call.
  virtual void expert_ffn(const ExpertFfnArgs& args) = 0;

  virtual std::string device_name() const = 0;     // "cpu (avx512, 2 threads)"
};

// isa: auto | reference | avx2 | avx512. auto takes the best this machine can run. threads: 0 = one
// per core. Errors list what exists and what this machine can run.
Result<std::unique_ptr<Kernels>> open_kernels(std::string_view isa, int32_t threads);

// The instruction sets of this build that this machine can run, best first; "reference" is last.
std::span<const std::string_view> available_isas();

}  // namespace swarm::engine::kernels
