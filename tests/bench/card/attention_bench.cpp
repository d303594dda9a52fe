// Attention in the shape of Qwen3-30B-A3B: 32 heads, 4 KV heads, head size 128. Decode reads the
// cache of every sequence once; prefill computes 4 heads head_dim flops per pair of positions.
#include <algorithm>

#include "engine/kernels/cuda/attention/attention.h"
#include "tests/bench/card/card_bench.h"

namespace swarm::bench {
namespace {

namespace cuda = engine::kernels::cuda;
namespace kernels = engine::kernels;
using kernels::KvType;

constexpr int32_t kHeads = 32, kKvHeads = 4, kHeadDim = 128, kPageTokens = 16;

struct Case {
  int32_t sequences;
  int32_t rows;          // of each sequence, its last ones
  int32_t context;       // tokens of each sequence, these rows included
  KvType k, v;
};

// The batch in device memory.
cuda::BatchView make_batch(CardBench& bench, const Case& c) {
  const int32_t pages = (c.context + kPageTokens - 1) / kPageTokens;
  std::vector<int32_t> positions, row_span, page_list;
  std::vector<cuda::SpanView> spans;
  for (int32_t s = 0; s < c.sequences; ++s) {
    spans.push_back({.first_row = s * c.rows, .count = c.rows, .position = c.context - c.rows,
                     .first_page = s * pages});
    for (int32_t r = 0; r < c.rows; ++r) {
      positions.push_back(c.context - c.rows + r);
      row_span.push_back(s);
    }
    for (int32_t p = 0; p < pages; ++p) page_list.push_back(p * c.sequences + s);
  }
  return {.positions = bench.upload(positions).kernel_pointer(),
          .row_span = bench.upload(row_span).kernel_pointer(),
          .spans = bench.upload(spans).kernel_pointer(),
          .pages = bench.upload(page_list).kernel_pointer(),
          .rows = c.sequences * c.rows,
          .span_count = c.sequences};
}

std::string name_of(const Case& c) {
  const std::string kv =
      std::string(kernels::kv_type_name(c.k)) + "-" + std::string(kernels::kv_type_name(c.v));
  const std::string tail = "/" + kv + "/context " + std::to_string(c.context);
  if (c.rows == 1) return "attention/decode " + std::to_string(c.sequences) + tail;
  return "attention/prefill " + std::to_string(c.rows) + tail;
}

void bench_case(CardBench& bench, const Case& c) {
  const std::string name = name_of(c);
  if (!bench.wanted(name)) return;
  const auto pages = static_cast<size_t>((c.context + kPageTokens - 1) / kPageTokens * c.sequences);
  const size_t rows_kept = pages * kKvHeads * kPageTokens;
  const size_t k_bytes = rows_kept * kernels::kv_row_bytes(c.k, kHeadDim);
  const size_t v_bytes = rows_kept * kernels::kv_row_bytes(c.v, kHeadDim);
  const int32_t rows = c.sequences * c.rows;
  const size_t q_bytes = static_cast<size_t>(rows) * kHeads * kHeadDim * 4;
  const int copies = bench.copies(static_cast<double>(k_bytes + v_bytes));
  const auto k = bench.random(k_bytes * static_cast<size_t>(copies));
  const auto v = bench.random(v_bytes * static_cast<size_t>(copies));
  const auto q = bench.random(q_bytes), out = bench.random(q_bytes);
  const int64_t scratch_bytes = cuda::attention_scratch_bytes(
      {.rows = rows, .heads = kHeads, .head_dim = kHeadDim, .context = c.context});
  const auto scratch = bench.random(static_cast<size_t>(scratch_bytes));
  const cuda::BatchView batch = make_batch(bench, c);
  // Row r of a sequence sees context - rows + r + 1 positions.
  const double pairs = c.sequences * (double{1} * c.rows * (c.context - c.rows) +
                                      0.5 * c.rows * (c.rows + 1.0));
  const double bytes = static_cast<double>(k_bytes + v_bytes) + 2.0 * static_cast<double>(q_bytes);
  bench.measure(name, {.bytes = bytes, .flops = 4.0 * kHeads * kHeadDim * pairs}, copies,
                [&](int i) {
                  const auto at = static_cast<size_t>(i);
                  const cuda::PagedAttentionArgs args{
                      .q = q.as<float>().kernel_pointer(),
                      .out = out.as<float>().kernel_pointer(),
                      .heads = kHeads,
                      .scale = 0.088388f,
                      .batch = batch,
                      .kv = {.k_type = c.k, .v_type = c.v, .page_tokens = kPageTokens,
                             .kv_heads = kKvHeads, .head_dim = kHeadDim,
                             .k = k.kernel_pointer() + at * k_bytes,
                             .v = v.kernel_pointer() + at * v_bytes},
                      .max_context = c.context,
                      .longest_span = c.rows,
                      .scratch = scratch.kernel_pointer(),
                      .scratch_bytes = scratch_bytes};
                  const auto stream = static_cast<simt::Stream>(bench.stream().native());
                  bench.device().launched("attention", cuda::attention(stream, args).cuda_error);
                });
  bench.clear();
}

}  // namespace

void bench_attention(CardBench& bench) {
  struct Kv {
    KvType k, v;
  };
  for (const Kv& kv : {Kv{KvType::f16, KvType::f16}, Kv{KvType::q8_0, KvType::q4_0}}) {
    if (bench.smoke()) {
      bench_case(bench, {.sequences = 2, .rows = 1, .context = 40, .k = kv.k, .v = kv.v});
      bench_case(bench, {.sequences = 1, .rows = 20, .context = 40, .k = kv.k, .v = kv.v});
      continue;
    }
    for (const int32_t context : {2048, 16384})
      for (const int32_t sequences : {1, 8, 32})
        bench_case(bench, {.sequences = sequences, .rows = 1, .context = context, .k = kv.k,
                           .v = kv.v});
    for (const int32_t context : {2048, 16384})
      bench_case(bench, {.sequences = 1, .rows = 2048, .context = context, .k = kv.k, .v = kv.v});
  }
}

}  // namespace swarm::bench
