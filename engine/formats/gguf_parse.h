// engine/formats/gguf_parse.h — Private to formats: one GGUF part from bytes, every rule checked.
// Nothing is allocated that the remaining bytes cannot pay for; all errors name the file and the
// key or tensor. Pure functions, thread-safe. Format: reference/engine.md section 2.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/formats/gguf.h"

namespace swarm::engine::formats {

// Limits beside those the file size itself sets. A parsed metadata element costs 40 bytes, so one
// file claims at most about 340 MB for metadata; the largest real vocabularies need a tenth.
inline constexpr uint64_t kMetadataElementsMax = uint64_t{1} << 23;
inline constexpr uint64_t kMetadataKeysMax = uint64_t{1} << 16;
inline constexpr uint64_t kTensorsMax = uint64_t{1} << 18;
inline constexpr size_t kKeyBytesMax = 65535;
inline constexpr size_t kTensorNameBytesMax = 63;
inline constexpr uint32_t kTensorDimsMax = 4;
inline constexpr int kArrayDepthMax = 4;
inline constexpr uint64_t kAlignmentDefault = 32;
inline constexpr uint64_t kAlignmentMax = uint64_t{1} << 20;

// GGUF value type ids; the order of the alternatives of GgufValue differs, see value_type_of().
enum class ValueType : uint32_t {
  u8 = 0, i8 = 1, u16 = 2, i16 = 3, u32 = 4, i32 = 5, f32 = 6, boolean = 7,
  string = 8, array = 9, u64 = 10, i64 = 11, f64 = 12,
};
ValueType value_type_of(const GgufValue& value);
std::string_view value_type_name(ValueType type);

struct GgufPart {
  std::map<std::string, GgufValue, std::less<>> metadata;
  std::vector<TensorView> tensors;   // views into the bytes that were parsed
};

// bytes must outlive the views.
Result<GgufPart> parse_gguf_part(std::span<const std::byte> bytes, const std::string& file);

// Checks dims and type and returns the size of the data in bytes.
Result<uint64_t> tensor_data_bytes(std::string_view name, std::span<const uint64_t> dims,
                                   uint32_t type_id);
Result<void> check_key(std::string_view key);
Result<void> check_tensor_name(std::string_view name);
// general.alignment or the default; refuses what is not a power of two from 8 to kAlignmentMax.
Result<uint64_t> alignment_of(const std::map<std::string, GgufValue, std::less<>>& metadata);

constexpr uint64_t align_up(uint64_t offset, uint64_t alignment) {
  return (offset + alignment - 1) & ~(alignment - 1);
}

// A name from a file, made safe for an error message: quoted, valid UTF-8, shortened.
std::string in_quotes(std::string_view text);

}  // namespace swarm::engine::formats
