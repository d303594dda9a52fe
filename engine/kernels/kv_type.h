// engine/kernels/kv_type.h — How K and V elements are stored. K and V choose separately.
// A plain enum so that headers above the kernels can name it without including them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace swarm::engine::kernels {

enum class KvType : uint8_t { f32, f16 };

constexpr size_t kv_element_bytes(KvType type) { return type == KvType::f32 ? 4 : 2; }

}  // namespace swarm::engine::kernels
