#include "engine/kernels/reference/reference.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/base/check.h"
#include "engine/kernels/host_kernels.h"
#include "engine/kernels/kv_rows.h"

namespace swarm::engine::kernels {
namespace {

size_t at(int32_t row, int32_t width) {
  return static_cast<size_t>(row) * static_cast<size_t>(width);
}

void decode_row(const Weight& weight, int32_t row, std::span<float> out) {
  const auto done = formats::dequantize(weight.type, {weight.row(row), weight.row_bytes}, out);
  SWARM_CHECK(done.has_value(), row, weight.cols);
}

double dot(const float* a, const float* b, int32_t count) {
  double sum = 0;
  for (int32_t i = 0; i < count; ++i) sum += double{a[i]} * double{b[i]};
  return sum;
}

float silu(float z) { return static_cast<float>(double{z} / (1.0 + std::exp(-double{z}))); }

void norm_row(const float* x, const float* weight, float eps, int32_t count, float* out) {
  const double mean = dot(x, x, count) / count;
  const double factor = 1.0 / std::sqrt(mean + double{eps});
  for (int32_t j = 0; j < count; ++j) out[j] = static_cast<float>(x[j] * factor * weight[j]);
}

// Pairs (j, j + half): engine.md 1.2 step 4.
void rope_row(float* x, const float* cos, const float* sin, int32_t head_dim) {
  const int32_t half = head_dim / 2;
  for (int32_t j = 0; j < half; ++j) {
    const float a = x[j];
    const float b = x[j + half];
    x[j] = a * cos[j] - b * sin[j];
    x[j + half] = a * sin[j] + b * cos[j];
  }
}

class ReferenceKernels final : public HostKernels {
 public:
  void embed(const Weight& table, float* out) override {
    const std::span<const int32_t> tokens = batch().tokens;
    for (size_t t = 0; t < tokens.size(); ++t) {
      const size_t width = static_cast<size_t>(table.cols);
      decode_row(table, tokens[t], {out + t * width, width});
    }
  }

  void rms_norm(const float* x, const float* weight, float eps, int32_t tokens, int32_t hidden,
                float* out) override {
    for (int32_t t = 0; t < tokens; ++t) {
      norm_row(x + at(t, hidden), weight, eps, hidden, out + at(t, hidden));
    }
  }

  void linear(std::span<const LinearOutput> outputs, const float* x, int32_t tokens) override {
    for (const LinearOutput& output : outputs) {
      multiply(output.weight, x, tokens, output.y);
    }
  }

  void add(float* residual, const float* delta, size_t count) override {
    for (size_t i = 0; i < count; ++i) residual[i] += delta[i];
  }

  void qk_norm_rope_append(const QkvArgs& args) override {
    for (const BatchSpan& span : batch().spans) {
      for (int32_t i = 0; i < span.count; ++i) append_token(args, span, i);
    }
  }

  void attention(const AttentionArgs& args) override {
    for (const BatchSpan& span : batch().spans) {
      for (int32_t i = 0; i < span.count; ++i) {
        for (int32_t h = 0; h < args.heads; ++h) attend(args, span, i, h);
      }
    }
  }

  void route(const RouteArgs& args) override {
    std::vector<std::pair<double, int32_t>> ranked(static_cast<size_t>(args.experts));
    for (int32_t t = 0; t < args.tokens; ++t) {
      const float* g = args.logits + at(t, args.experts);
      for (int32_t e = 0; e < args.experts; ++e) {
        ranked[static_cast<size_t>(e)] = {-double{g[e]}, e};
      }
      std::sort(ranked.begin(), ranked.end());
      // Softmax over the chosen logits equals softmax over all, renormalised.
      double sum = 0;
      for (int32_t s = 0; s < args.used; ++s) {
        sum += std::exp(ranked[0].first - ranked[static_cast<size_t>(s)].first);
      }
      for (int32_t s = 0; s < args.used; ++s) {
        const auto& [negated, id] = ranked[static_cast<size_t>(s)];
        args.ids[at(t, args.used) + static_cast<size_t>(s)] = id;
        args.weights[at(t, args.used) + static_cast<size_t>(s)] =
            static_cast<float>(std::exp(ranked[0].first - negated) / sum);
      }
    }
  }

  void ffn(const FfnArgs& args) override {
    for (int32_t t = 0; t < args.tokens; ++t) {
      swiglu(args.gate, args.up, args.down, args.x + at(t, args.gate.cols), 1.0f,
             args.residual + at(t, args.down.rows));
    }
  }

  void expert_ffn(const ExpertFfnArgs& args) override {
    for (int32_t t = 0; t < args.tokens; ++t) {
      std::vector<float> sum(static_cast<size_t>(args.down.first.rows));
      for (int32_t s = 0; s < args.used; ++s) {
        const size_t slot = at(t, args.used) + static_cast<size_t>(s);
        const int32_t e = args.ids[slot];
        swiglu(args.gate.expert(e), args.up.expert(e), args.down.expert(e),
               args.x + at(t, args.gate.first.cols), args.weights[slot], sum.data());
      }
      add(args.residual + at(t, args.down.first.rows), sum.data(), sum.size());
    }
  }

  std::string device_name() const override { return "cpu (reference, 1 thread)"; }

 private:
  static void multiply(const Weight& weight, const float* x, int32_t tokens, float* y) {
    std::vector<float> row(static_cast<size_t>(weight.cols));
    for (int32_t r = 0; r < weight.rows; ++r) {
      decode_row(weight, r, row);
      for (int32_t t = 0; t < tokens; ++t) {
        y[at(t, weight.rows) + static_cast<size_t>(r)] =
            static_cast<float>(dot(row.data(), x + at(t, weight.cols), weight.cols));
      }
    }
  }

  static void append_token(const QkvArgs& args, const BatchSpan& span, int32_t i) {
    const KvLayer& kv = args.kv;
    const int32_t row = span.first_row + i;
    const float* cos = args.cos + at(row, kv.head_dim / 2);
    const float* sin = args.sin + at(row, kv.head_dim / 2);
    for (int32_t h = 0; h < args.heads; ++h) {
      float* q = args.q + at(row * args.heads + h, kv.head_dim);
      norm_row(q, args.q_norm, args.eps, kv.head_dim, q);
      rope_row(q, cos, sin, kv.head_dim);
    }
    const int32_t position = span.position + i;
    const int32_t page = span.pages[static_cast<size_t>(position / kv.page_tokens)];
    for (int32_t h = 0; h < kv.kv_heads; ++h) {
      float* k = args.k + at(row * kv.kv_heads + h, kv.head_dim);
      const float* v = args.v + at(row * kv.kv_heads + h, kv.head_dim);
      norm_row(k, args.k_norm, args.eps, kv.head_dim, k);
      rope_row(k, cos, sin, kv.head_dim);
      const int32_t slot = position % kv.page_tokens;
      const auto width = static_cast<size_t>(kv.head_dim);
      store_kv_row(kv.k_type, {k, width}, kv.k, kv.k_place(page, h, slot));
      store_kv_row(kv.v_type, {v, width}, kv.v, kv.v_place(page, h, slot));
    }
  }

  static void attend(const AttentionArgs& args, const BatchSpan& span, int32_t i, int32_t head) {
    const KvLayer& kv = args.kv;
    const int32_t visible = span.position + i + 1;
    const int32_t kv_head = head / (args.heads / kv.kv_heads);
    const float* q = args.q + at((span.first_row + i) * args.heads + head, kv.head_dim);
    float* out = args.out + at((span.first_row + i) * args.heads + head, kv.head_dim);
    const auto page = [&](int32_t p) {
      return span.pages[static_cast<size_t>(p / kv.page_tokens)];
    };

    std::vector<float> row(static_cast<size_t>(kv.head_dim));
    std::vector<double> scores(static_cast<size_t>(visible));
    for (int32_t p = 0; p < visible; ++p) {
      load_kv_row(kv.k_type, kv.k, kv.k_place(page(p), kv_head, p % kv.page_tokens), row);
      scores[static_cast<size_t>(p)] = dot(q, row.data(), kv.head_dim) * double{args.scale};
    }
    const double top = *std::max_element(scores.begin(), scores.end());
    double sum = 0;
    for (double& score : scores) sum += score = std::exp(score - top);
    std::vector<double> mixed(static_cast<size_t>(kv.head_dim));
    for (int32_t p = 0; p < visible; ++p) {
      load_kv_row(kv.v_type, kv.v, kv.v_place(page(p), kv_head, p % kv.page_tokens), row);
      for (size_t j = 0; j < mixed.size(); ++j) mixed[j] += scores[static_cast<size_t>(p)] * row[j];
    }
    for (size_t j = 0; j < mixed.size(); ++j) out[j] = static_cast<float>(mixed[j] / sum);
  }

  // y += factor * down(silu(gate x) * (up x)) for one token.
  static void swiglu(const Weight& gate, const Weight& up, const Weight& down, const float* x,
                     float factor, float* y) {
    std::vector<float> g(static_cast<size_t>(gate.rows));
    std::vector<float> u(static_cast<size_t>(up.rows));
    std::vector<float> d(static_cast<size_t>(down.rows));
    multiply(gate, x, 1, g.data());
    multiply(up, x, 1, u.data());
    for (size_t j = 0; j < g.size(); ++j) g[j] = silu(g[j]) * u[j];
    multiply(down, g.data(), 1, d.data());
    for (size_t j = 0; j < d.size(); ++j) y[j] += factor * d[j];
  }
};

}  // namespace

std::unique_ptr<Kernels> make_reference_kernels() { return std::make_unique<ReferenceKernels>(); }

}  // namespace swarm::engine::kernels
