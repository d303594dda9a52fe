// engine/kernels/kv_rows.h — One row (head_dim elements) of K or V to and from its stored form, in
// plain scalar code: the reading of every KvType that the backends must agree with. Quantising
// follows the GGUF types of the same name bit for bit (formats/block_types.h); a group that holds
// an infinity or NaN becomes NaN as a whole, as it would poison the scores anyway.
// Pure functions, thread-safe.
#pragma once

#include <cstddef>
#include <span>

#include "engine/kernels/kv_layer.h"

namespace swarm::engine::kernels {

void store_kv_row(KvType type, std::span<const float> x, std::byte* base, KvPlace place);
void load_kv_row(KvType type, const std::byte* base, KvPlace place, std::span<float> out);

}  // namespace swarm::engine::kernels
