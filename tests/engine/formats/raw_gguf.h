// tests/engine/formats/raw_gguf.h — GGUF bytes written by hand, so that tests can make files that
// no honest writer would.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/formats/gguf.h"

namespace swarm::engine::formats {

// Value type ids of the format.
inline constexpr uint32_t kU8 = 0, kU16 = 2, kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kString = 8,
                          kArray = 9, kU64 = 10;

class RawGguf {
 public:
  template <class T>
  RawGguf& put(T value) {
    const auto* from = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), from, from + sizeof value);
    return *this;
  }
  RawGguf& text(std::string_view text) {
    put<uint64_t>(text.size());
    const auto* from = reinterpret_cast<const std::byte*>(text.data());
    bytes_.insert(bytes_.end(), from, from + text.size());
    return *this;
  }
  RawGguf& header(uint64_t tensors, uint64_t keys, uint32_t version = 3) {
    return put<uint32_t>(0x46554747).put(version).put(tensors).put(keys);
  }
  RawGguf& key(std::string_view name, uint32_t type) { return text(name).put(type); }
  RawGguf& tensor(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type,
                  uint64_t offset) {
    text(name).put(static_cast<uint32_t>(dims.size()));
    for (const uint64_t dim : dims) put(dim);
    return put(type).put(offset);
  }
  // Zero padding to the alignment, then `count` zero bytes of data.
  RawGguf& data(size_t count, size_t alignment = 32) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment + count);
    return *this;
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

  // The error of parsing these bytes as "f", or "" when they are accepted.
  std::string error() const {
    const auto file = GgufFile::parse(bytes_, "f");
    return file ? "" : file.error().message;
  }

 private:
  std::vector<std::byte> bytes_;
};

// A file with every kind of value and several tensor types, about 1.5 KB before the data.
inline GgufBuilder varied_builder() {
  GgufBuilder builder;
  builder.set("general.architecture", std::string("qwen3moe"));
  builder.set("general.alignment", uint32_t{64});
  builder.set("a.u8", uint8_t{1});
  builder.set("a.i8", int8_t{-1});
  builder.set("a.u16", uint16_t{2});
  builder.set("a.i16", int16_t{-2});
  builder.set("a.i32", int32_t{-3});
  builder.set("a.f32", 0.5f);
  builder.set("a.u64", uint64_t{1} << 60);
  builder.set("a.i64", int64_t{-4});
  builder.set("a.f64", 0.25);
  builder.set("a.bool", true);
  builder.set_strings("a.tokens", {"a", "b", "", "longer text", "\xc4\xa0the"});
  builder.set_integers("a.types", {1, 1, 3, 4, 5});
  auto inner = std::make_shared<GgufArray>(GgufArray{{uint8_t{1}, uint8_t{2}}, kU8});
  builder.set("a.nested", std::make_shared<GgufArray>(GgufArray{{inner, inner}, kArray}));
  const auto zeros = [](size_t count) { return std::vector<std::byte>(count, std::byte{0x11}); };
  builder.add_tensor("f32.weight", {5, 3}, TensorType::f32, zeros(60));
  builder.add_tensor("q8_0.weight", {32, 2}, TensorType::q8_0, zeros(68));
  builder.add_tensor("q4_k.weight", {256, 1, 2}, TensorType::q4_k, zeros(288));
  builder.add_tensor("iq1_s.weight", {256}, TensorType::iq1_s, zeros(50));
  return builder;
}

}  // namespace swarm::engine::formats
