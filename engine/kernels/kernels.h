// engine/kernels/kernels.h — One typed function per op of the forward pass: the seam between
// backends. A Kernels object owns its threads and scratch memory; one thread calls it at a time.
// Nothing can fail after open_kernels(): shapes are checked by the caller (model/transformer),
// misuse is a bug. Scratch grows to the largest call seen and is then reused; pointers in the
// arguments are borrowed for the duration of the call. All activations are f32, row-major, one row
// per token.
//
// Determinism (every backend here): the value of an output row depends only on its own input row
// and the weights - never on the number of rows in the call, on threads, or on KV page boundaries.
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
#include "engine/kernels/kv_layer.h"

namespace swarm::engine::kernels {

// A weight matrix where it lies in the model file: row r is row_bytes bytes at data + r *
// row_bytes. Blocks are only as aligned as the file makes them.
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

struct QkvArgs {
  float* q = nullptr;                  // [tokens, heads, head_dim], normed and rotated in place
  float* k = nullptr;                  // [tokens, kv_heads, head_dim], normed and rotated in place
  const float* v = nullptr;            // [tokens, kv_heads, head_dim]
  const float* q_norm = nullptr;       // [head_dim]
  const float* k_norm = nullptr;
  const float* cos = nullptr;          // [tokens, head_dim / 2]
  const float* sin = nullptr;
  float eps = 0;
  int32_t heads = 0;
  std::span<const BatchSpan> spans;
  KvLayer kv;
};

struct AttentionArgs {
  const float* q = nullptr;            // [tokens, heads, head_dim]
  float* out = nullptr;                // [tokens, heads, head_dim]
  int32_t heads = 0;
  float scale = 0;                     // 1 / sqrt(head_dim)
  std::span<const BatchSpan> spans;
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

  // out[t] = table row tokens[t], decoded. Reads one row per token.
  virtual void embed(const Weight& table, std::span<const int32_t> tokens, float* out) = 0;

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

  // RMS norm per head, RoPE (half split: pairs (j, j + head_dim / 2)), K and V appended to the
  // pages.
  virtual void qk_norm_rope_append(const QkvArgs& args) = 0;

  // Causal softmax attention over the pages; query head h uses KV head h / (heads / kv_heads).
  // Reads K and V of a sequence once per KV head and query tile; 4 heads head_dim flops per pair.
  virtual void attention(const AttentionArgs& args) = 0;

  // Softmax over all experts, the `used` largest, renormalised to sum 1.
  virtual void route(const RouteArgs& args) = 0;

  // residual += down(silu(gate x) * (up x)).
  virtual void ffn(const FfnArgs& args) = 0;

  // The same with the chosen experts, weighted; summed in the order of ids. Tokens are grouped per
  // expert, so each chosen expert's weights are read once per call.
  virtual void expert_ffn(const ExpertFfnArgs& args) = 0;

  virtual std::string_view isa() const = 0;        // "reference", "avx2", "avx512"
  virtual int32_t threads() const = 0;
};

// isa: auto | reference | avx2 | avx512. auto takes the best this machine can run. threads: 0 = one
// per core. Errors list what exists and what this machine can run.
Result<std::unique_ptr<Kernels>> open_kernels(std::string_view isa, int32_t threads);

// The instruction sets of this build that this machine can run, best first; "reference" is last.
std::span<const std::string_view> available_isas();

// refused with the list of what exists unless every backend can multiply with this type.
Result<void> check_weight_type(formats::TensorType type, std::string_view tensor_name);

}  // namespace swarm::engine::kernels
