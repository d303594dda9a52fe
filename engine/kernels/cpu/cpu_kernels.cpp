#include "engine/kernels/cpu/cpu_kernels.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/kernels/cpu/activations.h"
#include "engine/kernels/cpu/scratch.h"
#include "engine/kernels/cpu/thread_pool.h"
#include "engine/kernels/host_kernels.h"
#include "engine/kernels/kv_rows.h"

namespace swarm::engine::kernels {
namespace {

size_t at(int32_t row, int32_t width) {
  return static_cast<size_t>(row) * static_cast<size_t>(width);
}
int32_t ceil_div(int32_t a, int32_t b) { return (a + b - 1) / b; }

// One matrix of a call with the function that multiplies it.
struct Product {
  DotJob job;
  int32_t rows = 0;
  DotFunction run = nullptr;       // null: decode rows, then the f32 function
  int32_t first_task = 0;
};

// (token, slot) pairs of a batch sorted by expert: the pairs of expert e are
// [begin[e], begin[e + 1]), in token order.
struct ExpertGroups {
  std::vector<int32_t> begin;      // [experts + 1]
  std::vector<int32_t> active;     // experts with at least one pair
  std::vector<int32_t> tokens;     // [pairs] token of the pair
  std::vector<int32_t> pair_of;    // [tokens, used] where the pair of a slot went
};

class CpuKernels final : public HostKernels {
 public:
  CpuKernels(const IsaTable& table, int32_t threads)
      : table_(table),
        pool_(threads),
        input_(table, pool_),
        middle_(table, pool_),
        thread_scratch_(static_cast<size_t>(threads)) {}

  void embed(const Weight& table, float* out) override {
    const std::span<const int32_t> tokens = batch().tokens;
    const auto width = static_cast<size_t>(table.cols);
    for (size_t t = 0; t < tokens.size(); ++t) {
      decode(table.type, table.row(tokens[t]), table.row_bytes, {out + t * width, width});
    }
  }

  void rms_norm(const float* x, const float* weight, float eps, int32_t tokens, int32_t hidden,
                float* out) override {
    constexpr int32_t kRows = 8;
    pool_.run(ceil_div(tokens, kRows), [&](int32_t task, int32_t) {
      const int32_t end = std::min(tokens, (task + 1) * kRows);
      for (int32_t t = task * kRows; t < end; ++t) {
        table_.rms_norm(x + at(t, hidden), weight, eps, hidden, out + at(t, hidden));
      }
    });
  }

  void linear(std::span<const LinearOutput> outputs, const float* x, int32_t tokens) override {
    SWARM_CHECK(!outputs.empty());
    input_.set(x, tokens, outputs[0].weight.cols);
    products_.clear();
    for (const LinearOutput& output : outputs) {
      products_.push_back(product(output.weight, input_));
      DotJob& job = products_.back().job;
      job.tokens = tokens;
      job.y = output.y;
      job.y_stride = static_cast<size_t>(output.weight.rows);
    }
    run_products();
  }

  void add(float* residual, const float* delta, size_t count) override {
    constexpr size_t kFloats = 16384;
    pool_.run(static_cast<int32_t>((count + kFloats - 1) / kFloats), [&](int32_t task, int32_t) {
      const size_t first = static_cast<size_t>(task) * kFloats;
      table_.add(residual + first, delta + first, std::min(kFloats, count - first));
    });
  }

  void qk_norm_rope_append(const QkvArgs& args) override {
    const auto tokens = static_cast<int32_t>(batch().tokens.size());
    constexpr int32_t kRows = 4;
    pool_.run(ceil_div(tokens, kRows), [&](int32_t task, int32_t) {
      const int32_t begin = task * kRows, end = std::min(tokens, begin + kRows);
      for (const BatchSpan& span : batch().spans) {
        const int32_t first = std::max(begin, span.first_row);
        const int32_t last = std::min(end, span.first_row + span.count);
        for (int32_t row = first; row < last; ++row) append_token(args, span, row);
      }
    });
  }

  void attention(const AttentionArgs& args) override {
    const int32_t group = args.heads / args.kv.kv_heads;
    const int32_t tile_tokens = std::max(1, kAttentionRows / group);
    int32_t tiles = 0;
    for (const BatchSpan& span : batch().spans) tiles += ceil_div(span.count, tile_tokens);
    reserve_threads(table_.attention_scratch_bytes(tile_tokens * group, args.kv.head_dim));
    pool_.run(tiles * args.kv.kv_heads, [&](int32_t task, int32_t thread) {
      const int32_t head = task % args.kv.kv_heads;
      // Late tiles see more keys: hand them out first so that threads end together.
      int32_t index = tiles - 1 - task / args.kv.kv_heads;
      for (const BatchSpan& span : batch().spans) {
        const int32_t count = ceil_div(span.count, tile_tokens);
        if (index < count) {
          attend(args, span, index * tile_tokens, tile_tokens, head, thread);
          return;
        }
        index -= count;
      }
    });
  }

  void route(const RouteArgs& args) override {
    constexpr int32_t kRows = 8;
    pool_.run(ceil_div(args.tokens, kRows), [&](int32_t task, int32_t) {
      const int32_t end = std::min(args.tokens, (task + 1) * kRows);
      for (int32_t t = task * kRows; t < end; ++t) route_token(args, t);
    });
  }

  void ffn(const FfnArgs& args) override {
    float* gate = gate_.reserve_of<float>(at(args.tokens, args.gate.rows));
    float* up = up_.reserve_of<float>(at(args.tokens, args.up.rows));
    float* down = down_.reserve_of<float>(at(args.tokens, args.down.rows));
    const LinearOutput both[] = {{args.gate, gate}, {args.up, up}};
    linear(both, args.x, args.tokens);
    silu_mul_rows(gate, up, args.tokens, args.gate.rows);
    const LinearOutput out[] = {{args.down, down}};
    linear(out, gate, args.tokens);
    add(args.residual, down, at(args.tokens, args.down.rows));
  }

  void expert_ffn(const ExpertFfnArgs& args) override {
    const int32_t pairs = args.tokens * args.used;
    const int32_t ffn = args.gate.first.rows, hidden = args.down.first.rows;
    group_by_expert(args);
    float* gate = gate_.reserve_of<float>(at(pairs, ffn));
    float* up = up_.reserve_of<float>(at(pairs, ffn));
    float* down = down_.reserve_of<float>(at(pairs, hidden));

    input_.set(args.x, args.tokens, args.gate.first.cols);
    products_.clear();
    for (const int32_t e : groups_.active) {
      push_expert(args.gate.expert(e), e, input_, groups_.tokens.data(), gate);
      push_expert(args.up.expert(e), e, input_, groups_.tokens.data(), up);
    }
    run_products();
    silu_mul_rows(gate, up, pairs, ffn);

    middle_.set(gate, pairs, ffn);
    products_.clear();
    for (const int32_t e : groups_.active) {
      push_expert(args.down.expert(e), e, middle_, pair_ids(pairs), down);
    }
    run_products();
    combine(args, down, hidden);
  }

  std::string device_name() const override {
    const int32_t threads = pool_.threads();
    return "cpu (" + std::string(table_.name) + ", " + std::to_string(threads) +
           (threads == 1 ? " thread)" : " threads)");
  }

 private:
  static void decode(formats::TensorType type, const std::byte* row, size_t bytes,
                     std::span<float> out) {
    const auto done = formats::dequantize(type, {row, bytes}, out);
    SWARM_CHECK(done.has_value(), bytes);
  }

  void reserve_threads(size_t bytes) {
    for (Scratch& scratch : thread_scratch_) scratch.reserve(bytes);
  }

  Product product(const Weight& weight, Activations& input) {
    Product made;
    DotKernel kernel = table_.find_dot(weight.type);
    made.run = kernel.run;
    input.prepare(kernel.activations);
    input.describe(kernel.activations, made.job);
    made.job.type = weight.type;
    made.job.weight = weight.data;
    made.job.row_bytes = weight.row_bytes;
    made.rows = weight.rows;
    return made;
  }

  // Runs every product of the list; a task is a strip of rows of one matrix.
  void run_products() {
    // Strips of about this many weights: small enough to share out, large enough to be worth it.
    constexpr int64_t kStripWeights = 1 << 17;
    int32_t tasks = 0;
    size_t scratch = kDotScratchBytes;
    int32_t strip_rows = table_.row_tile;
    for (Product& p : products_) {
      const auto wanted = static_cast<int32_t>(kStripWeights / std::max(1, p.job.cols));
      strip_rows = std::max(strip_rows, wanted / table_.row_tile * table_.row_tile);
      if (!p.run) scratch = std::max(scratch, at(table_.row_tile, p.job.cols) * sizeof(float));
    }
    for (Product& p : products_) {
      p.first_task = tasks;
      tasks += ceil_div(p.rows, strip_rows);
    }
    reserve_threads(scratch);
    pool_.run(tasks, [&](int32_t task, int32_t thread) {
      const auto next = std::upper_bound(
          products_.begin(), products_.end(), task,
          [](int32_t value, const Product& p) { return value < p.first_task; });
      const Product& p = *(next - 1);
      const int32_t begin = (task - p.first_task) * strip_rows;
      run_strip(p, begin, std::min(p.rows, begin + strip_rows),
                thread_scratch_[static_cast<size_t>(thread)].data());
    });
  }

  void run_strip(const Product& p, int32_t begin, int32_t end, std::byte* scratch) const {
    if (p.run) {
      p.run(p.job, begin, end, scratch);
      return;
    }
    // Any decodable type: a few rows at a time become f32 in scratch.
    const auto f32 = table_.find_dot(formats::TensorType::f32).run;
    const auto cols = static_cast<size_t>(p.job.cols);
    DotJob job = p.job;
    job.type = formats::TensorType::f32;
    job.weight = scratch;
    job.row_bytes = cols * sizeof(float);
    for (int32_t row = begin; row < end; row += table_.row_tile) {
      const int32_t count = std::min(table_.row_tile, end - row);
      for (int32_t r = 0; r < count; ++r) {
        decode(p.job.type, p.job.weight + static_cast<size_t>(row + r) * p.job.row_bytes,
               p.job.row_bytes, {reinterpret_cast<float*>(scratch) + at(r, p.job.cols), cols});
      }
      job.y = p.job.y + row;
      f32(job, 0, count, nullptr);
    }
  }

  void append_token(const QkvArgs& args, const BatchSpan& span, int32_t row) const {
    const KvLayer& kv = args.kv;
    const int32_t position = span.position + row - span.first_row;
    const int32_t page = span.pages[static_cast<size_t>(position / kv.page_tokens)];
    const float* cos = args.cos + at(row, kv.head_dim / 2);
    const float* sin = args.sin + at(row, kv.head_dim / 2);
    const auto norm_rope = [&](float* x, const float* weight) {
      table_.rms_norm(x, weight, args.eps, kv.head_dim, x);
      rope(x, cos, sin, kv.head_dim / 2);
    };
    for (int32_t h = 0; h < args.heads; ++h) {
      norm_rope(args.q + at(row * args.heads + h, kv.head_dim), args.q_norm);
    }
    for (int32_t h = 0; h < kv.kv_heads; ++h) {
      float* k = args.k + at(row * kv.kv_heads + h, kv.head_dim);
      norm_rope(k, args.k_norm);
      const float* v = args.v + at(row * kv.kv_heads + h, kv.head_dim);
      const int32_t slot = position % kv.page_tokens;
      const auto width = static_cast<size_t>(kv.head_dim);
      store_kv(kv.k_type, {k, width}, kv.k, kv.k_place(page, h, slot));
      store_kv(kv.v_type, {v, width}, kv.v, kv.v_place(page, h, slot));
    }
  }

  // Pairs (j, j + half): engine.md 1.2 step 4.
  static void rope(float* x, const float* cos, const float* sin, int32_t half) {
    for (int32_t j = 0; j < half; ++j) {
      const float a = x[j], b = x[j + half];
      x[j] = a * cos[j] - b * sin[j];
      x[j + half] = a * sin[j] + b * cos[j];
    }
  }

  void store_kv(KvType type, std::span<const float> x, std::byte* base, KvPlace place) const {
    if (type == KvType::f16) {
      table_.to_f16(x.data(), static_cast<int32_t>(x.size()),
                    reinterpret_cast<uint16_t*>(base + place.codes));
    } else {
      store_kv_row(type, x, base, place);
    }
  }

  void attend(const AttentionArgs& args, const BatchSpan& span, int32_t first, int32_t tile_tokens,
              int32_t kv_head, int32_t thread) const {
    const int32_t group = args.heads / args.kv.kv_heads;
    const size_t offset = at((span.first_row + first) * args.heads + kv_head * group,
                             args.kv.head_dim);
    AttentionTile tile;
    tile.q = args.q + offset;
    tile.out = args.out + offset;
    tile.token_stride = at(args.heads, args.kv.head_dim);
    tile.tokens = std::min(tile_tokens, span.count - first);
    tile.group = group;
    tile.position = span.position + first;
    tile.kv_head = kv_head;
    tile.scale = args.scale;
    tile.pages = span.pages.data();
    tile.kv = args.kv;
    table_.attention(tile, thread_scratch_[static_cast<size_t>(thread)].data());
  }

  // Top-k by repeated selection: ties go to the lower id.
  static void route_token(const RouteArgs& args, int32_t token) {
    const float* g = args.logits + at(token, args.experts);
    int32_t* ids = args.ids + at(token, args.used);
    float* weights = args.weights + at(token, args.used);
    for (int32_t s = 0; s < args.used; ++s) {
      int32_t best = -1;
      for (int32_t e = 0; e < args.experts; ++e) {
        const bool taken = std::find(ids, ids + s, e) != ids + s;
        if (!taken && (best < 0 || g[e] > g[best])) best = e;
      }
      ids[s] = best;
    }
    // Softmax over the chosen logits equals softmax over all, renormalised (engine.md 1.2 step 7).
    float sum = 0;
    for (int32_t s = 0; s < args.used; ++s) sum += weights[s] = std::exp(g[ids[s]] - g[ids[0]]);
    for (int32_t s = 0; s < args.used; ++s) weights[s] /= sum;
  }

  void silu_mul_rows(float* gate, const float* up, int32_t rows, int32_t width) {
    constexpr int32_t kRows = 8;
    pool_.run(ceil_div(rows, kRows), [&](int32_t task, int32_t) {
      const int32_t end = std::min(rows, (task + 1) * kRows);
      for (int32_t r = task * kRows; r < end; ++r) {
        table_.silu_mul(gate + at(r, width), up + at(r, width), width);
      }
    });
  }

  void group_by_expert(const ExpertFfnArgs& args) {
    const auto pairs = static_cast<size_t>(args.tokens) * static_cast<size_t>(args.used);
    auto& begin = groups_.begin;
    begin.assign(static_cast<size_t>(args.gate.count) + 1, 0);
    for (size_t i = 0; i < pairs; ++i) ++begin[static_cast<size_t>(args.ids[i]) + 1];
    groups_.active.clear();
    for (size_t e = 0; e + 1 < begin.size(); ++e) {
      if (begin[e + 1] > 0) groups_.active.push_back(static_cast<int32_t>(e));
      begin[e + 1] += begin[e];
    }
    next_.assign(begin.begin(), begin.end());
    groups_.tokens.resize(pairs);
    groups_.pair_of.resize(pairs);
    for (size_t i = 0; i < pairs; ++i) {
      const int32_t pair = next_[static_cast<size_t>(args.ids[i])]++;
      groups_.pair_of[i] = pair;
      groups_.tokens[static_cast<size_t>(pair)] =
          static_cast<int32_t>(i / static_cast<size_t>(args.used));
    }
  }

  // 0, 1, 2, ...: the input rows of the second product are the pairs themselves.
  const int32_t* pair_ids(int32_t pairs) {
    for (auto i = static_cast<int32_t>(ids_.size()); i < pairs; ++i) ids_.push_back(i);
    return ids_.data();
  }

  // The product of one expert over its pairs; x_rows[pair] is the input row, output row = pair.
  void push_expert(const Weight& weight, int32_t expert, Activations& input, const int32_t* x_rows,
                   float* y) {
    const int32_t begin = groups_.begin[static_cast<size_t>(expert)];
    products_.push_back(product(weight, input));
    DotJob& job = products_.back().job;
    job.x_rows = x_rows + begin;
    job.tokens = groups_.begin[static_cast<size_t>(expert) + 1] - begin;
    job.y = y + at(begin, weight.rows);
    job.y_stride = static_cast<size_t>(weight.rows);
  }

  // residual += sum over slots of weight * down, in slot order.
  void combine(const ExpertFfnArgs& args, const float* down, int32_t hidden) {
    constexpr int32_t kRows = 4;
    reserve_threads(static_cast<size_t>(hidden) * sizeof(float));
    pool_.run(ceil_div(args.tokens, kRows), [&](int32_t task, int32_t thread) {
      auto* sum = reinterpret_cast<float*>(thread_scratch_[static_cast<size_t>(thread)].data());
      const int32_t end = std::min(args.tokens, (task + 1) * kRows);
      for (int32_t t = task * kRows; t < end; ++t) {
        std::fill_n(sum, hidden, 0.0f);
        for (int32_t s = 0; s < args.used; ++s) {
          const size_t slot = at(t, args.used) + static_cast<size_t>(s);
          table_.add_scaled(sum, down + at(groups_.pair_of[slot], hidden), args.weights[slot],
                            hidden);
        }
        table_.add(args.residual + at(t, hidden), sum, static_cast<size_t>(hidden));
      }
    });
  }

  const IsaTable& table_;
  ThreadPool pool_;
  Activations input_;       // of linear() and of gate and up
  Activations middle_;      // of down
  std::vector<Scratch> thread_scratch_;
  Scratch gate_, up_, down_;
  std::vector<Product> products_;
  ExpertGroups groups_;
  std::vector<int32_t> next_;
  std::vector<int32_t> ids_;
};

}  // namespace

std::unique_ptr<Kernels> make_cpu_kernels(const IsaTable& table, int32_t threads) {
  return std::make_unique<CpuKernels>(table, threads);
}

}  // namespace swarm::engine::kernels
