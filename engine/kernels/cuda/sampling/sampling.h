// engine/kernels/cuda/sampling/sampling.h — From rows of logits to one token each, on the device,
// as sample/sampler.h defines it: mask, penalties, greedy or temperature, top-k, top-p, min-p,
// draw, log-probabilities under the masked, unpenalised logits. Logits never travel to the host.
//
// Exactness: greedy, the sets of top-k and top logprobs, and ties (to the lower id) are exact.
// Weights of a draw are exp in double (2^-50), rounded to multiples of 2^-45 of the best weight and
// added as integers: sums are exact, so no result depends on the order of threads, and a draw can
// differ from the definition only when uniform lies within 2^-28 of an edge between two tokens.
// A row costs one pass over its logits when greedy without penalties and logprobs; some ten passes
// by one block otherwise.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/simt/stream.h"

namespace swarm::engine::kernels::cuda {

inline constexpr int32_t kSampleVocabMax = 1 << 18;
inline constexpr int32_t kTopLogprobsMax = 20;

// One SampleJob (sampling_jobs.h makes it).
struct SampleRow {
  double temperature = 0;              // 0 = greedy
  double top_p = 1;
  double min_p = 0;
  double repeat_penalty = 1;
  double uniform = 0;
  int32_t top_k = 0;
  int32_t logprobs = 0;                // <= kTopLogprobsMax
  int32_t vocab = 0;                   // 1 .. kSampleVocabMax; ids from here on are not looked at
  int32_t first_mask_word = -1;        // in SampleArgs::masks; -1 = everything is allowed
  int32_t first_seen = 0;              // in SampleArgs::seen
  int32_t seen_count = 0;              // 0 when there is no penalty
};

// A token that penalties apply to.
struct SampleSeen {
  double subtract = 0;                 // presence + frequency * output count; 0 if not in output
  int32_t token = 0;                   // each once per row; outside 0 .. vocab - 1: ignored
  int32_t reserved = 0;
};

struct SampleResult {
  double total = 0;                    // sum of e^(logit - largest) of the allowed tokens
  int32_t token = -1;
  int32_t invalid = 0;                 // 1: a logit is NaN or +infinity; nothing else is valid
  float logit = 0;                     // of the token, without penalties
  float largest = 0;                   // of the allowed tokens, without penalties
  int32_t top_count = 0;               // of the next two; fewer than asked if few are allowed
  int32_t top_token[kTopLogprobsMax] = {};   // best first
  float top_logit[kTopLogprobsMax] = {};
};

struct SampleArgs {
  float* logits = nullptr;             // [rows, stride]; seen tokens change during the call only
  int64_t stride = 0;
  int32_t rows = 0;
  int32_t vocab = 0;                   // known to the host: no row has more
  const SampleRow* jobs = nullptr;     // [rows]
  const uint32_t* masks = nullptr;     // bit token % 32 of word token / 32: allowed
  const SampleSeen* seen = nullptr;    // of all rows
  SampleResult* results = nullptr;     // [rows]
  uint8_t* scratch = nullptr;          // 16-byte aligned, sample_scratch_bytes
};

// What the first kernel leaves of a slice of a row, in scratch.
inline constexpr int32_t kSampleSlice = 4096;    // tokens
struct SliceStats {
  uint64_t best;                       // key; 0: nothing is allowed here
  double total;                        // of e^(logit - logit of best)
  int32_t allowed;
  int32_t invalid;
};
constexpr int64_t sample_slices(int32_t vocab) {
  return (int64_t{vocab} + kSampleSlice - 1) / kSampleSlice;
}
// seen: entries of all rows together.
constexpr int64_t sample_scratch_bytes(int32_t rows, int32_t vocab, int64_t seen) {
  return rows * sample_slices(vocab) * int64_t{sizeof(SliceStats)} +
         seen * int64_t{sizeof(float)};
}

simt::Status sample_rows(simt::Stream stream, const SampleArgs& args);

}  // namespace swarm::engine::kernels::cuda
