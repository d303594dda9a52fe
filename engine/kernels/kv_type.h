// engine/kernels/kv_type.h — How K and V elements are stored. K and V choose separately.
// q8_0 and q4_0 hold one f16 scale per kKvGroup elements of a head and codes with the values of the
// GGUF types of that name (reference/engine.md 3.2 and 4), but codes and scales lie apart
// (kv_layer.h), so that codes stay aligned. In q4_0 element i of a group is the low nibble
// of byte i for i < 16, else the high nibble of byte i - 16.
// A plain enum so that headers above the kernels can name it without including them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace swarm::engine::kernels {

enum class KvType : uint8_t { f32, f16, bf16, q8_0, q4_0 };

// In the order of KvType; as users write them.
inline constexpr std::array<std::string_view, 5> kKvTypeNames = {"f32", "f16", "bf16", "q8_0",
                                                                 "q4_0"};
constexpr std::string_view kv_type_name(KvType type) {
  return kKvTypeNames[static_cast<size_t>(type)];
}
constexpr std::optional<KvType> kv_type_by_name(std::string_view name) {
  for (size_t i = 0; i < kKvTypeNames.size(); ++i) {
    if (kKvTypeNames[i] == name) return static_cast<KvType>(i);
  }
  return std::nullopt;
}

// Elements that share a scale; head_dim must be a multiple for a quantised type.
inline constexpr int32_t kKvGroup = 32;
constexpr bool kv_quantised(KvType type) { return type == KvType::q8_0 || type == KvType::q4_0; }

// Of `count` elements of one head.
constexpr size_t kv_code_bytes(KvType type, int32_t count) {
  const auto n = static_cast<size_t>(count);
  switch (type) {
    case KvType::f32: return 4 * n;
    case KvType::f16:
    case KvType::bf16: return 2 * n;
    case KvType::q8_0: return n;
    case KvType::q4_0: return n / 2;
  }
  return 0;
}
constexpr size_t kv_scale_bytes(KvType type, int32_t count) {
  return kv_quantised(type) ? static_cast<size_t>(count / kKvGroup) * 2 : 0;
}
constexpr size_t kv_row_bytes(KvType type, int32_t head_dim) {
  return kv_code_bytes(type, head_dim) + kv_scale_bytes(type, head_dim);
}

}  // namespace swarm::engine::kernels
