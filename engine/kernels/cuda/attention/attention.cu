// The choice between the kernels of attention.h; host code only.
#include "engine/kernels/cuda/attention/attention.h"

#include "engine/kernels/cuda/attention/attention_merge.h"
#include "engine/kernels/cuda/attention/attention_split.h"
#include "engine/kernels/cuda/attention/attention_tile.h"

namespace swarm::engine::kernels::cuda {

simt::Status attention(simt::Stream stream, const PagedAttentionArgs& args) {
  const int32_t rows = args.batch.rows, spans = args.batch.span_count;
  constexpr int kInvalidValue = 1;               // cudaErrorInvalidValue
  const int32_t head_dim = args.kv.head_dim;
  if (head_dim > kAttentionHeadDimMax || head_dim % 2 != 0) return {kInvalidValue};
  if (rows == 0 || args.max_context == 0) return {};
  if (units_at_once(args, split_count(args.max_context)) == 0) return {kInvalidValue};
  if (args.deterministic || !attention_tile_supports(args))
    return attention_split(stream, {.call = args, .units = rows, .units_per_span = 0});
  if (args.longest_span > kSplitRows) {
    const simt::Status status = attention_tile(stream, args);
    if (!status.ok() || spans == 1) return status;
  }
  const int32_t places = args.longest_span < kSplitRows ? args.longest_span : kSplitRows;
  return attention_split(stream,
                         {.call = args, .units = spans * places, .units_per_span = places});
}

}  // namespace swarm::engine::kernels::cuda
