#include "engine/formats/block_types.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <string>
#include <vector>

#include "engine/formats/block_codec.h"

namespace swarm::engine::formats {
namespace {

using enum TensorType;
constexpr bool kYes = true;
constexpr bool kNo = false;

//                                        elements bytes decodable encodable
constexpr std::array kBlockTypes = {
    BlockType{f32, "F32", 1, 4, kYes, kYes},
    BlockType{f16, "F16", 1, 2, kYes, kYes},
    BlockType{q4_0, "Q4_0", 32, 18, kYes, kYes},
    BlockType{q4_1, "Q4_1", 32, 20, kYes, kYes},
    BlockType{q5_0, "Q5_0", 32, 22, kYes, kYes},
    BlockType{q5_1, "Q5_1", 32, 24, kYes, kYes},
    BlockType{q8_0, "Q8_0", 32, 34, kYes, kYes},
    BlockType{q8_1, "Q8_1", 32, 36, kYes, kYes},
    BlockType{q2_k, "Q2_K", 256, 84, kYes, kYes},
    BlockType{q3_k, "Q3_K", 256, 110, kYes, kYes},
    BlockType{q4_k, "Q4_K", 256, 144, kYes, kYes},
    BlockType{q5_k, "Q5_K", 256, 176, kYes, kYes},
    BlockType{q6_k, "Q6_K", 256, 210, kYes, kYes},
    BlockType{q8_k, "Q8_K", 256, 292, kYes, kYes},
    BlockType{iq2_xxs, "IQ2_XXS", 256, 66, kYes, kYes},
    BlockType{iq2_xs, "IQ2_XS", 256, 74, kYes, kYes},
    BlockType{iq3_xxs, "IQ3_XXS", 256, 98, kYes, kYes},
    BlockType{iq1_s, "IQ1_S", 256, 50, kYes, kNo},
    BlockType{iq4_nl, "IQ4_NL", 32, 18, kYes, kYes},
    BlockType{iq3_s, "IQ3_S", 256, 110, kYes, kYes},
    BlockType{iq2_s, "IQ2_S", 256, 82, kYes, kYes},
    BlockType{iq4_xs, "IQ4_XS", 256, 136, kYes, kYes},
    BlockType{i8, "I8", 1, 1, kYes, kNo},
    BlockType{i16, "I16", 1, 2, kYes, kNo},
    BlockType{i32, "I32", 1, 4, kYes, kNo},
    BlockType{i64, "I64", 1, 8, kYes, kNo},
    BlockType{f64, "F64", 1, 8, kYes, kNo},
    BlockType{iq1_m, "IQ1_M", 256, 56, kYes, kNo},
    BlockType{bf16, "BF16", 1, 2, kYes, kYes},
    BlockType{tq1_0, "TQ1_0", 256, 54, kYes, kNo},
    BlockType{tq2_0, "TQ2_0", 256, 66, kYes, kNo},
    BlockType{mxfp4, "MXFP4", 32, 17, kYes, kYes},
    BlockType{nvfp4, "NVFP4", 64, 36, kYes, kNo},
    BlockType{q1_0, "Q1_0", 128, 18, kYes, kNo},
    BlockType{q2_0, "Q2_0", 64, 18, kYes, kNo},
    BlockType{fp8, "FP8", 128, 132, kYes, kYes},
};

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  return std::ranges::equal(a, b, {}, lower, lower);
}

// Rows of `blocks` and `values` must describe the same number of whole blocks.
Result<uint64_t> block_count(const BlockType& type, size_t block_bytes, size_t values) {
  const uint64_t count = values / type.block_elements;
  if (values % type.block_elements != 0)
    return invalid_input("expected a multiple of " + std::to_string(type.block_elements) +
                         " values for " + std::string(type.name) + ", found " +
                         std::to_string(values));
  if (block_bytes != count * type.block_bytes)
    return invalid_input("expected " + std::to_string(count * type.block_bytes) + " bytes for " +
                         std::to_string(values) + " values of " + std::string(type.name) +
                         ", found " + std::to_string(block_bytes));
  return count;
}

Result<const BlockType*> known_block_type(TensorType type) {
  if (const BlockType* found = find_block_type(type)) return found;
  return unsupported("unknown tensor type id " + std::to_string(static_cast<uint32_t>(type)));
}

DecodeBlock find_decoder(TensorType type) {
  if (DecodeBlock decode = simple_decoder(type)) return decode;
  if (DecodeBlock decode = k_decoder(type)) return decode;
  return iq_decoder(type);
}

EncodeBlock find_encoder(TensorType type) {
  if (EncodeBlock encode = simple_encoder(type)) return encode;
  if (EncodeBlock encode = k_encoder(type)) return encode;
  return iq_encoder(type);
}

}  // namespace

std::span<const BlockType> block_types() { return kBlockTypes; }

const BlockType* find_block_type(TensorType type) {
  const auto found = std::ranges::find(kBlockTypes, type, &BlockType::type);
  return found == kBlockTypes.end() ? nullptr : &*found;
}

Result<const BlockType*> block_type_by_name(std::string_view name) {
  std::vector<std::string> names;
  for (const BlockType& type : kBlockTypes) {
    if (equal_ignoring_case(type.name, name)) return &type;
    names.emplace_back(type.name);
  }
  std::string upper(name);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  const std::string near = did_you_mean(upper, names);
  return invalid_input("unknown tensor type \"" + std::string(name) + "\"" +
                       (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
}

Result<void> dequantize(TensorType type, std::span<const std::byte> blocks, std::span<float> out) {
  SWARM_TRY(const BlockType* block, known_block_type(type));
  SWARM_TRY(const uint64_t count, block_count(*block, blocks.size(), out.size()));
  const auto* from = reinterpret_cast<const uint8_t*>(blocks.data());
  if (type == f32) {
    if (!out.empty()) std::memcpy(out.data(), from, blocks.size());
    return {};
  }
  const DecodeBlock decode = find_decoder(type);
  if (!decode) return unsupported("cannot decode tensor type " + std::string(block->name));
  for (uint64_t i = 0; i < count; ++i)
    decode(from + i * block->block_bytes, out.data() + i * block->block_elements);
  return {};
}

Result<void> quantize(TensorType type, std::span<const float> values, std::span<std::byte> blocks) {
  SWARM_TRY(const BlockType* block, known_block_type(type));
  SWARM_TRY(const uint64_t count, block_count(*block, blocks.size(), values.size()));
  auto* to = reinterpret_cast<uint8_t*>(blocks.data());
  if (type == f32) {
    if (!values.empty()) std::memcpy(to, values.data(), blocks.size());
    return {};
  }
  const EncodeBlock encode = find_encoder(type);
  if (!encode) return unsupported("cannot encode tensor type " + std::string(block->name));
  // Plain floats carry infinities and NaN; a block scale cannot, and the casts would be undefined.
  if (block->block_elements > 1) {
    const auto bad = std::ranges::find_if(values, [](float v) { return !std::isfinite(v); });
    if (bad != values.end())
      return invalid_input("expected finite values for " + std::string(block->name) + ", found " +
                           std::to_string(*bad) + " at index " +
                           std::to_string(bad - values.begin()));
  }
  for (uint64_t i = 0; i < count; ++i)
    encode(values.data() + i * block->block_elements, to + i * block->block_bytes);
  return {};
}

float f16_to_f32(uint16_t bits) {
  const uint32_t sign = uint32_t{bits & 0x8000u} << 16;
  const uint32_t exponent = (bits >> 10) & 31u;
  const uint32_t mantissa = bits & 0x3ffu;
  if (exponent == 0) {
    // Zero and subnormals: mantissa * 2^-24 is exact in f32.
    const float magnitude = static_cast<float>(mantissa) * 0x1.0p-24f;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  const uint32_t wide = exponent == 31 ? 255u : exponent + 112u;
  return std::bit_cast<float>(sign | (wide << 23) | (mantissa << 13));
}

uint16_t f32_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u)  // NaN: keep it quiet, keep the upper payload
    return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  if (magnitude >= 0x47800000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 65536 and more
  if (magnitude < 0x38800000u) {
    // Below 2^-14 the result is subnormal: adding 0.5 leaves round(value * 2^24) in the low
    // mantissa bits, rounded to nearest even by the addition itself.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u));
  }
  // Rebias the exponent (-112) and round to nearest even; a carry moves into the exponent, and
  // from 65520 on into infinity, as it should.
  const uint32_t odd = (magnitude >> 13) & 1u;
  return static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
}

uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace swarm::engine::formats
