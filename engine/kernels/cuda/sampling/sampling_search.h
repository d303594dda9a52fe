// engine/kernels/cuda/sampling/sampling_search.h — Searches of one block over its row of logits,
// for sampling.cu: the token at which a running sum crosses a target (in the order of quality or of
// ids), and the list of the best tokens. Sums are integers, so nothing depends on the order of
// threads. Every function is called by the whole block and begins and ends with smem free to use.
#pragma once

#include "engine/kernels/cuda/prim/memory.h"
#include "engine/kernels/cuda/sampling/sampling_keys.h"

namespace swarm::engine::kernels::cuda {

inline constexpr int kChooseThreads = 512;
inline constexpr int kChunk = 512;     // tokens whose maximum or weight one warp finds
inline constexpr int kChunks = kSampleVocabMax / kChunk;
inline constexpr int kListMax = 2 * kChooseThreads;
inline constexpr int kBuckets = 2048;  // of one level of the descent

struct ChooseSmem {
  uint64_t buckets[kBuckets];          // of a descent; weights of chunks
  uint64_t list[kListMax];             // the best tokens, best first
  uint64_t unsorted[kListMax];         // and maxima of chunks
  uint64_t scan[simt::kMaxWarps];
  double sums[simt::kMaxWarps];
  int32_t counts[simt::kMaxWarps];
  uint64_t before;
  uint64_t found;
  int32_t index;
  int32_t listed;
};
static_assert(sizeof(ChooseSmem) == 33432);

__device__ inline int thread() { return static_cast<int>(threadIdx.x); }

// The whole block: what the allowed tokens whose key is at least `floor` measure together.
template <class Measure>
__device__ uint64_t measure_all(const SampledRow& row, uint64_t floor, const Measure& measure,
                                ChooseSmem& smem) {
  uint64_t sum = 0;
  for (int32_t token = thread(); token < row.vocab; token += kChooseThreads) {
    const uint64_t key = row.key(token);
    if (key != 0 && key >= floor) sum += measure(key);
  }
  return prim::block_sum(sum, smem.scan);
}

// Each thread holds `own`, the measure of `each` neighbouring places, measured by part(i). Finds
// the first place at which the running sum exceeds target: index, sum before it in smem; index -1
// if there is none.
template <class Part>
__device__ void find_place(uint64_t own, int each, uint64_t target, const Part& part,
                           ChooseSmem& smem) {
  if (thread() == 0) smem.index = -1;
  uint64_t before = prim::block_exclusive_sum(own, smem.scan);     // with barriers
  if (before <= target && target < before + own) {
    for (int i = 0; i < each; ++i) {
      const uint64_t mine = part(i);
      if (target < before + mine) {
        smem.index = thread() * each + i;
        smem.before = before;
        smem.found = mine;
        break;
      }
      before += mine;
    }
  }
  simt::sync_threads();
}

// Which key, best first, takes the running sum of the measure over target, which is below the sum
// of all keys from `floor` on. With set_only, any number between that key and the next better one.
template <class Measure>
__device__ uint64_t descend(const SampledRow& row, uint64_t floor, uint64_t target, bool set_only,
                            const Measure& measure, ChooseSmem& smem) {
  uint64_t prefix = 0;
  int shift = 32 + kIdBits;
  while (shift > 0) {
    const int bits = shift > 28 ? 11 : shift > kIdBits ? 10 : 9;   // 11 11 10 9 9
    const int size = 1 << bits, above = shift;
    shift -= bits;
    for (int i = thread(); i < size; i += kChooseThreads) smem.buckets[i] = 0;
    simt::sync_threads();
    for (int32_t token = thread(); token < row.vocab; token += kChooseThreads) {
      const uint64_t key = row.key(token);
      if (key == 0 || key < floor || key >> above != prefix) continue;
      const uint64_t value = measure(key);
      if (value != 0)
        prim::atomic_add(&smem.buckets[(key >> shift) & static_cast<uint64_t>(size - 1)], value);
    }
    simt::sync_threads();
    const int each = size / kChooseThreads;  // from the top bucket down
    const auto part = [&](int i) { return smem.buckets[size - 1 - (thread() * each + i)]; };
    uint64_t own = 0;
    for (int i = 0; i < each; ++i) own += part(i);
    find_place(own, each, target, part, smem);
    prefix = prefix << bits | static_cast<uint64_t>(size - 1 - smem.index);
    target -= smem.before;
    const bool all_of_bucket = target + 1 == smem.found;
    simt::sync_threads();              // smem has been read
    if (set_only && all_of_bucket) return prefix << shift;
  }
  return prefix;
}

// The token at which the running sum, in ascending order of ids, exceeds target.
template <class Measure>
__device__ int32_t find_by_id(const SampledRow& row, uint64_t target, const Measure& measure,
                              ChooseSmem& smem) {
  for (int chunk = simt::warp(); chunk < kChunks; chunk += kChooseThreads / simt::kWarp) {
    uint64_t sum = 0;
    if (chunk * kChunk < row.vocab)
      for (int i = simt::lane(); i < kChunk; i += simt::kWarp) {
        const uint64_t key = row.key(chunk * kChunk + i);
        if (key != 0) sum += measure(key);
      }
    sum = prim::warp_sum(sum);
    if (simt::lane() == 0) smem.buckets[chunk] = sum;
  }
  simt::sync_threads();
  static_assert(kChunks == kChooseThreads && kChunk == kChooseThreads);
  const uint64_t chunk_sum = smem.buckets[thread()];
  find_place(chunk_sum, 1, target, [&](int) { return chunk_sum; }, smem);
  const int32_t chunk = smem.index;
  target -= smem.before;
  simt::sync_threads();
  const uint64_t key = row.key(chunk * kChunk + thread());
  const uint64_t own = key == 0 ? 0 : measure(key);
  find_place(own, 1, target, [&](int) { return own; }, smem);
  const int32_t token = chunk * kChunk + smem.index;
  simt::sync_threads();
  return token;
}

// Collects the keys from `floor` on; how many there are, also when they do not fit.
__device__ inline int32_t gather(const SampledRow& row, uint64_t floor, ChooseSmem& smem) {
  if (thread() == 0) smem.listed = 0;
  simt::sync_threads();
  for (int32_t token = thread(); token < row.vocab; token += kChooseThreads) {
    const uint64_t key = row.key(token);
    if (key == 0 || key < floor) continue;
    const int32_t slot = prim::atomic_add(&smem.listed, 1);        // any order: sorted below
    if (slot < kListMax) smem.unsorted[slot] = key;
  }
  simt::sync_threads();
  const int32_t count = smem.listed;
  simt::sync_threads();
  return count;
}

// A number that at least k allowed keys reach; 0 when the maxima of chunks do not tell.
__device__ inline uint64_t bound_of_best(const SampledRow& row, int32_t k, ChooseSmem& smem) {
  const int chunks = (row.vocab + kChunk - 1) / kChunk;
  for (int chunk = simt::warp(); chunk < chunks; chunk += kChooseThreads / simt::kWarp) {
    uint64_t best = 0;
    for (int i = simt::lane(); i < kChunk; i += simt::kWarp)
      best = prim::max(best, row.key(chunk * kChunk + i));
    best = prim::warp_max(best);
    if (simt::lane() == 0) smem.unsorted[chunk] = best;
  }
  if (thread() == 0) smem.found = 0;
  simt::sync_threads();
  const uint64_t mine = thread() < chunks ? smem.unsorted[thread()] : 0;
  int32_t better = 0;
  for (int i = 0; i < chunks; ++i) better += smem.unsorted[i] > mine;
  if (mine != 0 && better == k - 1) smem.found = mine;
  simt::sync_threads();
  const uint64_t bound = smem.found;
  simt::sync_threads();
  return bound;
}

// Fills smem.list with the best tokens, at least k of them; how many. k <= kListMax and <= allowed.
__device__ inline int32_t make_list(const SampledRow& row, int32_t k, ChooseSmem& smem) {
  const uint64_t bound = row.vocab <= kListMax ? 0 : bound_of_best(row, k, smem);
  int32_t count = kListMax + 1;
  if (bound != 0 || row.vocab <= kListMax) count = gather(row, bound, smem);
  if (count > kListMax) {
    const auto last = static_cast<uint64_t>(k - 1);
    count = gather(row, descend(row, 0, last, true, CountOne{}, smem), smem);
  }
  for (int i = thread(); i < count; i += kChooseThreads) {
    const uint64_t mine = smem.unsorted[i];
    int32_t better = 0;
    for (int j = 0; j < count; ++j) better += smem.unsorted[j] > mine;
    smem.list[better] = mine;
  }
  simt::sync_threads();
  return count;
}

// Index in the list at which the running sum over its first `count` tokens exceeds target, or -1.
template <class Measure>
__device__ int32_t find_listed(int32_t count, uint64_t target, const Measure& measure,
                               ChooseSmem& smem) {
  const auto part = [&](int i) {
    const int at = thread() * 2 + i;
    return at < count ? measure(smem.list[at]) : uint64_t{0};
  };
  find_place(part(0) + part(1), 2, target, part, smem);
  const int32_t index = smem.index;
  simt::sync_threads();
  return index;
}

template <class Measure>
__device__ uint64_t measure_listed(int32_t count, const Measure& measure, ChooseSmem& smem) {
  uint64_t sum = 0;
  for (int i = thread(); i < count; i += kChooseThreads) sum += measure(smem.list[i]);
  return prim::block_sum(sum, smem.scan);
}

}  // namespace swarm::engine::kernels::cuda
