#include "engine/kernels/kv_rows.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "engine/base/check.h"
#include "engine/formats/block_types.h"

namespace swarm::engine::kernels {
namespace {

constexpr size_t kGroup = kKvGroup;
constexpr uint16_t kHalfNan = 0x7e00;

// A GGUF block is the scale followed by the codes; ours keeps the two apart.
formats::TensorType block_type(KvType type) {
  return type == KvType::q8_0 ? formats::TensorType::q8_0 : formats::TensorType::q4_0;
}

void store_group(KvType type, std::span<const float> x, std::byte* codes, std::byte* scale) {
  std::array<std::byte, 2 + kGroup> block{};
  const size_t code_bytes = kv_code_bytes(type, kKvGroup);
  if (std::ranges::all_of(x, [](float v) { return std::isfinite(v); })) {
    const auto done =
        formats::quantize(block_type(type), x, std::span(block).first(2 + code_bytes));
    SWARM_CHECK(done.has_value(), x.size());
  } else {
    std::memcpy(block.data(), &kHalfNan, 2);
  }
  std::memcpy(scale, block.data(), 2);
  std::memcpy(codes, block.data() + 2, code_bytes);
}

void load_group(KvType type, const std::byte* codes, const std::byte* scale,
                std::span<float> out) {
  std::array<std::byte, 2 + kGroup> block{};
  const size_t code_bytes = kv_code_bytes(type, kKvGroup);
  std::memcpy(block.data(), scale, 2);
  std::memcpy(block.data() + 2, codes, code_bytes);
  const auto done =
      formats::dequantize(block_type(type), std::span(block).first(2 + code_bytes), out);
  SWARM_CHECK(done.has_value(), out.size());
}

}  // namespace

void store_kv_row(KvType type, std::span<const float> x, std::byte* base, KvPlace place) {
  std::byte* codes = base + place.codes;
  if (type == KvType::f32) {
    std::memcpy(codes, x.data(), x.size_bytes());
    return;
  }
  if (kv_quantised(type)) {
    for (size_t g = 0; g < x.size() / kGroup; ++g) {
      store_group(type, x.subspan(g * kGroup, kGroup),
                  codes + g * kv_code_bytes(type, kKvGroup), base + place.scales + 2 * g);
    }
    return;
  }
  for (size_t j = 0; j < x.size(); ++j) {
    const uint16_t bits =
        type == KvType::f16 ? formats::f32_to_f16(x[j]) : formats::f32_to_bf16(x[j]);
    std::memcpy(codes + 2 * j, &bits, 2);
  }
}

void load_kv_row(KvType type, const std::byte* base, KvPlace place, std::span<float> out) {
  const std::byte* codes = base + place.codes;
  if (type == KvType::f32) {
    std::memcpy(out.data(), codes, out.size_bytes());
    return;
  }
  if (kv_quantised(type)) {
    for (size_t g = 0; g < out.size() / kGroup; ++g) {
      load_group(type, codes + g * kv_code_bytes(type, kKvGroup), base + place.scales + 2 * g,
                 out.subspan(g * kGroup, kGroup));
    }
    return;
  }
  for (size_t j = 0; j < out.size(); ++j) {
    uint16_t bits = 0;
    std::memcpy(&bits, codes + 2 * j, 2);
    out[j] = type == KvType::f16 ? formats::f16_to_f32(bits) : formats::bf16_to_f32(bits);
  }
}

}  // namespace swarm::engine::kernels
