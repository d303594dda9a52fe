// Weight products in the shapes of Qwen3-30B-A3B: hidden 2048, 128 experts of 768, 8 per token.
#include <algorithm>
#include <numeric>
#include <set>

#include "engine/base/rng.h"
#include "engine/kernels/cuda/elementwise.h"
#include "engine/kernels/cuda/matmul/matmul.h"
#include "tests/bench/card/card_bench.h"

namespace swarm::bench {
namespace {

namespace cuda = engine::kernels::cuda;
using cuda::WeightType;

struct NamedType {
  const char* name;
  WeightType type;
};
constexpr NamedType kTypes[] = {
    {"q4_k", WeightType::q4_k},   {"q6_k", WeightType::q6_k},   {"q5_k", WeightType::q5_k},
    {"q8_0", WeightType::q8_0},   {"iq2_s", WeightType::iq2_s}, {"iq3_s", WeightType::iq3_s},
    {"mxfp4", WeightType::mxfp4}, {"fp8", WeightType::fp8},     {"bf16", WeightType::bf16}};

// The experts of each pair, sorted; and how many different ones.
struct Routing {
  std::vector<int32_t> expert_begin;
  std::vector<int32_t> pair_token;
  int32_t distinct = 0;
};

// One token takes 8 neighbours, others with each `instance`, so that instances share nothing; more
// tokens choose at random.
Routing route(int32_t tokens, int32_t experts, int32_t used, int instance) {
  Rng rng(static_cast<uint64_t>(instance) + 1);
  std::vector<std::vector<int32_t>> of_expert(static_cast<size_t>(experts));
  for (int32_t t = 0; t < tokens; ++t) {
    std::set<int32_t> chosen;
    while (static_cast<int32_t>(chosen.size()) < used) {
      const auto next = static_cast<int32_t>(chosen.size());
      chosen.insert(tokens == 1 ? (instance * used + next) % experts
                                : static_cast<int32_t>(rng.below(static_cast<uint64_t>(experts))));
    }
    for (const int32_t e : chosen) of_expert[static_cast<size_t>(e)].push_back(t);
  }
  Routing out{.expert_begin = {0}, .pair_token = {}};
  for (const std::vector<int32_t>& list : of_expert) {
    out.pair_token.insert(out.pair_token.end(), list.begin(), list.end());
    out.expert_begin.push_back(static_cast<int32_t>(out.pair_token.size()));
    out.distinct += !list.empty();
  }
  return out;
}

struct Input {
  const float* x;
  cuda::QuantisedRows quantised;
};

Input make_input(CardBench& bench, int32_t rows, int32_t cols) {
  const auto x = bench.random(static_cast<size_t>(rows) * static_cast<size_t>(cols) * 4);
  const auto memory = bench.random(cuda::quantised_bytes(rows, cols));
  const Input out{.x = x.as<const float>().kernel_pointer(),
                  .quantised = cuda::quantised_rows(memory.kernel_pointer(), rows, cols)};
  const auto stream = static_cast<simt::Stream>(bench.stream().native());
  bench.device().launched(
      "quantize_rows",
      cuda::quantize_rows(stream, {.x = out.x, .rows = rows, .cols = cols, .to = out.quantised})
          .cuda_error);
  return out;
}

void bench_dense(CardBench& bench, const NamedType& type, int32_t rows, int32_t cols,
                 int32_t tokens) {
  const std::string name = "matmul/" + std::string(type.name) + "/" + std::to_string(rows) + "x" +
                           std::to_string(cols) + "/" + std::to_string(tokens);
  if (!bench.wanted(name)) return;
  const auto matrix = static_cast<size_t>(rows) *
                      static_cast<size_t>(cuda::placed_row_bytes(type.type, cols));
  const int copies = bench.copies(static_cast<double>(matrix));
  const auto weights = bench.random(matrix * static_cast<size_t>(copies));
  const Input input = make_input(bench, tokens, cols);
  const auto y = bench.random(static_cast<size_t>(tokens) * static_cast<size_t>(rows) * 4);
  const double io = 4.0 * tokens * (double{1} * cols + rows);
  bench.measure(
      name, {.bytes = static_cast<double>(matrix) + io, .flops = 2.0 * tokens * rows * cols},
      copies, [&](int i) {
        const cuda::MatmulArgs args{
            .weight = {.type = type.type, .rows = rows, .cols = cols,
                       .data = weights.kernel_pointer() + static_cast<size_t>(i) * matrix},
            .x = input.x,
            .quantised = input.quantised,
            .y = y.as<float>().kernel_pointer(),
            .rows = tokens};
        const auto stream = static_cast<simt::Stream>(bench.stream().native());
        bench.device().launched("matmul", cuda::matmul(stream, args).cuda_error);
      });
  bench.clear();
}

// Gate and up of the chosen experts, SwiGLU included: two matrices [ffn, hidden] per expert.
void bench_experts(CardBench& bench, const NamedType& type, int32_t tokens) {
  const int32_t hidden = bench.smoke() ? 256 : 2048, ffn = bench.smoke() ? 32 : 768;
  const int32_t experts = bench.smoke() ? 8 : 128, used = bench.smoke() ? 2 : 8;
  const std::string name = "experts/" + std::string(type.name) + "/" + std::to_string(tokens);
  if (!bench.wanted(name)) return;
  const auto matrix = static_cast<size_t>(ffn) *
                      static_cast<size_t>(cuda::placed_row_bytes(type.type, hidden));
  const auto gate = bench.random(matrix * static_cast<size_t>(experts));
  const auto up = bench.random(matrix * static_cast<size_t>(experts));
  const Input input = make_input(bench, tokens, hidden);
  const int32_t pairs = tokens * used;
  const auto y = bench.random(static_cast<size_t>(pairs) * static_cast<size_t>(ffn) * 4);
  const int copies = bench.smoke() ? 2 : 16;
  std::vector<dev::DeviceSpan<int32_t>> begins, tokens_of;
  double distinct = 0;
  for (int i = 0; i < copies; ++i) {
    const Routing routing = route(tokens, experts, used, i);
    begins.push_back(bench.upload(routing.expert_begin));
    tokens_of.push_back(bench.upload(routing.pair_token));
    distinct += static_cast<double>(routing.distinct) / copies;
  }
  const double bytes = distinct * 2 * static_cast<double>(matrix) + 4.0 * pairs * ffn;
  bench.measure(name, {.bytes = bytes, .flops = 4.0 * pairs * ffn * hidden}, copies, [&](int i) {
    const auto at = static_cast<size_t>(i);
    const cuda::MatmulArgs args{
        .weight = {.type = type.type, .rows = ffn, .cols = hidden, .data = gate.kernel_pointer()},
        .up = up.kernel_pointer(),
        .expert_bytes = static_cast<int64_t>(matrix),
        .x = input.x,
        .quantised = input.quantised,
        .y = y.as<float>().kernel_pointer(),
        .rows = pairs,
        .expert_begin = begins[at].kernel_pointer(),
        .pair_token = tokens_of[at].kernel_pointer(),
        .experts = experts};
    const auto stream = static_cast<simt::Stream>(bench.stream().native());
    bench.device().launched("matmul", cuda::matmul(stream, args).cuda_error);
  });
  bench.clear();
}

}  // namespace

void bench_matmul(CardBench& bench) {
  const std::vector<int32_t> token_counts =
      bench.smoke() ? std::vector<int32_t>{1, 20} : std::vector<int32_t>{1, 8, 32, 512, 2048};
  const int32_t rows = bench.smoke() ? 64 : 4096, cols = bench.smoke() ? 256 : 2048;
  for (const NamedType& type : kTypes)
    for (const int32_t tokens : token_counts) {
      bench_dense(bench, type, rows, cols, tokens);
      bench_experts(bench, type, tokens);
    }
  if (!bench.smoke())
    for (const int32_t tokens : {1, 8, 32}) bench_dense(bench, kTypes[1], 151936, cols, tokens);
}

}  // namespace swarm::bench
