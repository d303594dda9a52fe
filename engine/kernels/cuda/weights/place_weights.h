// engine/kernels/cuda/weights/place_weights.h — From the blocks of a model file to the planes that
// kernels read (weight_types.h). Host code without state: rows are independent, so a caller may
// place ranges of rows on several threads into one staging buffer and copy that to the device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "engine/formats/block_types.h"
#include "engine/kernels/cuda/weights/weight_types.h"

namespace swarm::engine::kernels::cuda {

// nullopt: this type has no kernels.
std::optional<WeightType> weight_type(formats::TensorType type);

constexpr size_t placed_bytes(WeightType type, int64_t rows, int32_t cols) {
  return static_cast<size_t>(rows) * static_cast<size_t>(placed_row_bytes(type, cols));
}

// `rows` rows of `cols` elements: from `from` (blocks of the file, from_row_bytes apart, any
// alignment) to `to` (placed_row_bytes apart).
void place_rows(WeightType type, const std::byte* from, size_t from_row_bytes, int64_t rows,
                int32_t cols, std::byte* to);

}  // namespace swarm::engine::kernels::cuda
