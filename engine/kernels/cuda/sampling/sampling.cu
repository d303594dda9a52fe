// logits [rows, vocab] f32. Kernel 1, a block per 4096 tokens: best allowed token, sum of
// exponentials, NaN check - all that greedy needs. Kernel 2, a block per row: merges that, and when
// asked applies penalties (in place, taken back at the end), lists the best tokens, draws.
// The list: the k-th largest of the maxima of chunks of 512 tokens bounds the k-th best token from
// below; what reaches the bound, rarely much more than k, is sorted by counting. Where no list is
// possible (k > 1024, top-p of a flat row) a radix descent over integer weights finds the edge.
// Bytes: 4 vocab per pass; one pass when greedy, 3 or 4 with top-k. Limited by the bandwidth of one
// SM in kernel 2.
// nvcc 13, sm_90a: 40 and 64 registers, 640 and 33432 bytes of shared memory, no spills.
// sampling_test.cpp: against sample(), vocabularies of 1 to 262144, masks, ties, flat rows.
#include "engine/kernels/cuda/sampling/sampling.h"

#include "engine/kernels/cuda/prim/math.h"
#include "engine/kernels/cuda/sampling/sampling_search.h"

namespace swarm::engine::kernels::cuda {
namespace {

constexpr int kScanThreads = 256;
constexpr int kScanEach = 16;
constexpr int kSlice = kScanThreads * kScanEach;
static_assert(kSlice == kSampleSlice);
constexpr int kTopPTry = 128;          // tokens listed for top-p without top-k

struct SampleParams {
  SampleArgs call;
  SliceStats* stats;                   // [rows][slices]
  float* originals;                    // as call.seen
  int32_t slices;
};

struct ScanSmem {
  uint64_t keys[simt::kMaxWarps];
  double sums[simt::kMaxWarps];
  int32_t counts[simt::kMaxWarps];
};
static_assert(sizeof(ScanSmem) == 640);

// Grid: (slices, rows).
__global__ void __launch_bounds__(kScanThreads) sample_scan_kernel(SampleParams p) {
  auto& smem = simt::shared<ScanSmem>();
  const int64_t at = blockIdx.y;
  const SampledRow row = sampled_row(p.call, at);
  const int32_t first = static_cast<int32_t>(blockIdx.x) * kSlice + static_cast<int>(threadIdx.x);
  float logit[kScanEach];              // -infinity where not allowed
  uint64_t best = 0;
  int32_t allowed = 0, invalid = 0;
#pragma unroll
  for (int i = 0; i < kScanEach; ++i) {
    const int32_t token = first + i * kScanThreads;
    const bool inside = token < row.vocab;
    logit[i] = inside ? row.logits[token] : -kInfinity;
    if (!(logit[i] < kInfinity)) invalid = 1;
    if (inside && row.allowed(token)) {
      ++allowed;
      best = prim::max(best, key_of(logit[i], token));
    } else {
      logit[i] = -kInfinity;
    }
  }
  best = prim::block_max(best, smem.keys);
  const float largest = best == 0 ? -kInfinity : logit_of(best);
  double sum = 0.0;
#pragma unroll
  for (int i = 0; i < kScanEach; ++i)
    if (logit[i] > -kInfinity) sum += static_cast<double>(prim::exp_library(logit[i] - largest));
  sum = prim::block_sum(sum, smem.sums);
  allowed = prim::block_sum(allowed, smem.counts);
  invalid = prim::block_max(invalid, smem.counts);
  if (threadIdx.x == 0) p.stats[at * p.slices + blockIdx.x] = {best, sum, allowed, invalid};
}

// uniform * total, below total.
__device__ uint64_t draw_target(double uniform, uint64_t total) {
  const auto target = static_cast<uint64_t>(uniform * static_cast<double>(total));
  return target < total ? target : total - 1;
}
// The running sum has to exceed this to reach top_p * total.
__device__ uint64_t top_p_target(double top_p, uint64_t total) {
  const double wanted = top_p * static_cast<double>(total);
  auto whole = static_cast<uint64_t>(wanted);
  if (static_cast<double>(whole) < wanted) ++whole;
  whole = prim::min(whole, total);
  return whole == 0 ? 0 : whole - 1;
}

// The steps temperature, top-k, top-p, min-p, draw. listed: of smem.list already, 0 = none.
__device__ int32_t draw(const SampledRow& row, const SampleRow& job, float largest,
                        int32_t allowed, int32_t listed, ChooseSmem& smem) {
  const bool cut = job.top_k > 0 && job.top_k < allowed, some = job.top_p < 1.0;
  if (!finite(largest)) {              // all are equal; the best of them have the lowest ids
    const int32_t size = cut ? job.top_k : allowed;
    return find_by_id(row, draw_target(job.uniform, static_cast<uint64_t>(size)), CountOne{},
                      smem);
  }
  DrawWeight weight{largest, 1.0 / (job.temperature > 1e-300 ? job.temperature : 1e-300), 0.0};
  DrawWeight kept = weight;
  kept.min_p = job.min_p;
  if (!cut && !some)
    return find_by_id(row, draw_target(job.uniform, measure_all(row, 0, kept, smem)), kept, smem);

  uint64_t floor = 0;                  // without a list: keys from here on are left
  const int32_t wanted = cut ? job.top_k : prim::min(kTopPTry, allowed);
  if (wanted > kListMax) {
    listed = 0;
    floor = descend(row, 0, static_cast<uint64_t>(wanted - 1), true, CountOne{}, smem);
  } else {
    if (listed < wanted) listed = make_list(row, wanted, smem);
    if (cut) listed = wanted;
  }
  if (some) {
    const uint64_t total = cut && listed > 0 ? measure_listed(listed, weight, smem)
                                             : measure_all(row, floor, weight, smem);
    const uint64_t target = top_p_target(job.top_p, total);
    listed = listed > 0 ? find_listed(listed, target, weight, smem) + 1 : 0;
    if (listed == 0) floor = descend(row, floor, target, true, weight, smem);
  }
  if (listed > 0) {
    const uint64_t target = draw_target(job.uniform, measure_listed(listed, kept, smem));
    const int32_t index = find_listed(listed, target, kept, smem);
    return token_of(smem.list[index]);
  }
  const uint64_t target = draw_target(job.uniform, measure_all(row, floor, kept, smem));
  return token_of(descend(row, floor, target, false, kept, smem));
}

// The logit of a seen token after the penalties (sample/sampler.cpp).
__device__ float penalised(const SampleRow& job, const SampleSeen& seen, float logit) {
  double value = logit;
  if (job.repeat_penalty != 1.0)
    value = value > 0 ? value / job.repeat_penalty : value * job.repeat_penalty;
  return static_cast<float>(value - seen.subtract);
}

// Applies the penalties (keeping the originals) or takes them back. The whole block.
__device__ void swap_seen(const SampleParams& p, const SampleRow& job, const SampledRow& row,
                          bool apply) {
  for (int i = thread(); i < job.seen_count; i += kChooseThreads) {
    const SampleSeen seen = p.call.seen[job.first_seen + i];
    if (seen.token < 0 || seen.token >= row.vocab) continue;
    float& logit = row.logits[seen.token];
    float& original = p.originals[job.first_seen + i];
    if (apply) {
      original = logit;
      logit = penalised(job, seen, logit);
    } else {
      logit = original;
    }
  }
  simt::sync_threads();
}

// The slices of a row together.
__device__ SliceStats merge_slices(const SampleParams& p, int64_t at, ChooseSmem& smem) {
  SliceStats mine{};
  if (thread() < p.slices) mine = p.stats[at * p.slices + thread()];
  static_assert(kSampleVocabMax / kSlice <= kChooseThreads);
  SliceStats all;
  all.best = prim::block_max(mine.best, smem.scan);
  const float largest = logit_of(all.best);
  double total = 0.0;
  if (mine.best != 0 && finite(largest) && mine.total != 0.0)
    total = mine.total *
            exp_double(static_cast<double>(logit_of(mine.best)) - static_cast<double>(largest));
  all.total = prim::block_sum(total, smem.sums);
  all.allowed = prim::block_sum(mine.allowed, smem.counts);
  all.invalid = prim::block_max(mine.invalid, smem.counts);
  return all;
}

// Grid: rows.
__global__ void __launch_bounds__(kChooseThreads) sample_choose_kernel(SampleParams p) {
  auto& smem = simt::shared<ChooseSmem>();
  const int64_t at = blockIdx.x;
  const SampleRow job = p.call.jobs[at];
  const SampledRow row = sampled_row(p.call, at);
  SampleResult& result = p.call.results[at];
  const SliceStats stats = merge_slices(p, at, smem);
  const bool invalid = stats.invalid != 0 || stats.allowed == 0;
  if (invalid) {
    if (thread() == 0) {
      result.token = -1;
      result.invalid = 1;
    }
    return;                            // the whole block
  }
  int32_t listed = 0;
  const int32_t top_count = prim::min(job.logprobs, stats.allowed);
  if (top_count > 0) {
    listed = make_list(row, top_count, smem);
    for (int i = thread(); i < top_count; i += kChooseThreads) {
      result.top_token[i] = token_of(smem.list[i]);
      result.top_logit[i] = logit_of(smem.list[i]);
    }
    simt::sync_threads();              // the list has been read
  }
  uint64_t best = stats.best;
  if (job.seen_count > 0) {
    swap_seen(p, job, row, true);
    best = 0;
    for (int32_t token = thread(); token < row.vocab; token += kChooseThreads)
      best = prim::max(best, row.key(token));
    best = prim::block_max(best, smem.scan);
    listed = 0;
  }
  const int32_t token = job.temperature == 0.0
                            ? token_of(best)
                            : draw(row, job, logit_of(best), stats.allowed, listed, smem);
  if (job.seen_count > 0) {
    simt::sync_threads();              // everybody has read the penalised logits
    swap_seen(p, job, row, false);
  }
  if (thread() == 0) {
    result.total = stats.total;
    result.token = token;
    result.invalid = 0;
    result.logit = row.logits[token];
    result.largest = logit_of(stats.best);
    result.top_count = top_count;
  }
}

}  // namespace

simt::Status sample_rows(simt::Stream stream, const SampleArgs& args) {
  if (args.rows == 0) return {};
  const int64_t slices = sample_slices(args.vocab);
  auto* stats = reinterpret_cast<SliceStats*>(args.scratch);
  const SampleParams params{.call = args,
                            .stats = stats,
                            .originals = reinterpret_cast<float*>(stats + args.rows * slices),
                            .slices = static_cast<int32_t>(slices)};
  const simt::Config scan{.grid = {.x = slices, .y = args.rows},
                          .block = kScanThreads,
                          .shared_bytes = sizeof(ScanSmem),
                          .stream = stream};
  const simt::Status status = simt::launch(scan, sample_scan_kernel, params);
  if (!status.ok()) return status;
  const simt::Config choose{.grid = {.x = args.rows},
                            .block = kChooseThreads,
                            .shared_bytes = sizeof(ChooseSmem),
                            .stream = stream};
  return simt::launch(choose, sample_choose_kernel, params);
}

}  // namespace swarm::engine::kernels::cuda
