#include "engine/formats/gguf_parse.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <set>
#include <utility>

#include "engine/base/units.h"
#include "engine/base/utf8.h"
#include "engine/formats/block_codec.h"

namespace swarm::engine::formats {
namespace {

// A cursor that never passes the end. Reads advance only when they succeed.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return bytes_.size() - position_; }

  template <class T>
  Result<T> number() {
    SWARM_TRY(const uint8_t* from, take(sizeof(T)));
    return load<T>(from);
  }

  Result<std::string> text(uint64_t bytes_max) {
    SWARM_TRY(const uint64_t length, number<uint64_t>());
    if (length > bytes_max)
      return environment_error("expected a string of at most " + std::to_string(bytes_max) +
                               " bytes, found length " + std::to_string(length));
    SWARM_TRY(const uint8_t* from, take(length));
    return std::string(reinterpret_cast<const char*>(from), static_cast<size_t>(length));
  }

 private:
  Result<const uint8_t*> take(uint64_t count) {
    if (count > remaining())
      return environment_error("expected " + std::to_string(count) + " bytes at byte " +
                               std::to_string(position_) + ", found " +
                               std::to_string(remaining()) + " before the end of the file");
    const auto* from = reinterpret_cast<const uint8_t*>(bytes_.data()) + position_;
    position_ += count;
    return from;
  }

  std::span<const std::byte> bytes_;
  uint64_t position_ = 0;
};

// Smallest encoding of one value, for bounding counts before anything is allocated. 0 = bad type.
uint64_t value_bytes_min(ValueType type) {
  switch (type) {
    case ValueType::u8: case ValueType::i8: case ValueType::boolean: return 1;
    case ValueType::u16: case ValueType::i16: return 2;
    case ValueType::u32: case ValueType::i32: case ValueType::f32: return 4;
    case ValueType::u64: case ValueType::i64: case ValueType::f64: return 8;
    case ValueType::string: return 8;
    case ValueType::array: return 12;
  }
  return 0;
}

Result<ValueType> known_value_type(uint32_t id) {
  const auto type = static_cast<ValueType>(id);
  if (value_bytes_min(type) == 0)
    return environment_error("expected a value type from 0 to 12, found " + std::to_string(id));
  return type;
}

Error in_file(const std::string& file, Error error) {
  error.message = file + ": " + error.message;
  return error;
}

Error about(std::string subject, Error error) {
  error.message = std::move(subject) + ": " + error.message;
  return error;
}

class Parser {
 public:
  explicit Parser(std::span<const std::byte> bytes) : bytes_(bytes), cursor_(bytes) {}

  Result<GgufPart> parse() {
    SWARM_TRY_VOID(read_header());
    for (uint64_t i = 0; i < key_count_; ++i) SWARM_TRY_VOID(read_key_value(i));
    SWARM_TRY(alignment_, alignment_of(part_.metadata));
    part_.tensors.reserve(tensor_count_);
    for (uint64_t i = 0; i < tensor_count_; ++i) SWARM_TRY_VOID(read_tensor_info(i));
    SWARM_TRY_VOID(place_tensors());
    return std::move(part_);
  }

 private:
  Result<void> read_header() {
    const auto magic = cursor_.number<uint32_t>();
    if (!magic || *magic != 0x46554747u)  // "GGUF"
      return environment_error("not a GGUF file (expected the bytes \"GGUF\" at the start)");
    SWARM_TRY(const uint32_t version, cursor_.number<uint32_t>());
    if (version != 2 && version != 3)
      return unsupported("expected GGUF version 2 or 3, found " + std::to_string(version) +
                         ((version & 0xffffu) == 0 ? " (a big-endian file?)" : ""));
    SWARM_TRY(tensor_count_, cursor_.number<uint64_t>());
    SWARM_TRY(key_count_, cursor_.number<uint64_t>());
    // name length, n_dims, one dim, type, offset; and key length, type, one byte
    SWARM_TRY_VOID(check_count("tensors", tensor_count_, 8 + 4 + 8 + 4 + 8, kTensorsMax));
    return check_count("metadata keys", key_count_, 8 + 4 + 1, kMetadataKeysMax);
  }

  Result<void> check_count(std::string_view what, uint64_t count, uint64_t bytes_each,
                           uint64_t limit) const {
    const uint64_t room = std::min(cursor_.remaining() / bytes_each, limit);
    if (count <= room) return {};
    return environment_error("expected at most " + std::to_string(room) + " " + std::string(what) +
                             " in the " + std::to_string(cursor_.remaining()) +
                             " bytes that follow, found a count of " + std::to_string(count));
  }

  Result<void> read_key_value(uint64_t index) {
    auto key = cursor_.text(kKeyBytesMax);
    if (!key) return about("metadata key " + std::to_string(index), key.error());
    SWARM_TRY_VOID(check_key(*key));
    auto value = read_typed_value();
    if (!value) return about("metadata key " + in_quotes(*key), value.error());
    if (part_.metadata.contains(*key))
      return environment_error("metadata key " + in_quotes(*key) + " appears twice");
    part_.metadata.emplace(std::move(*key), std::move(*value));
    return {};
  }

  Result<GgufValue> read_typed_value() {
    SWARM_TRY(const uint32_t id, cursor_.number<uint32_t>());
    SWARM_TRY(const ValueType type, known_value_type(id));
    return read_value(type, 0);
  }

  template <class T>
  Result<GgufValue> read_number() {
    SWARM_TRY(const T value, cursor_.number<T>());
    return GgufValue(std::in_place_type<T>, value);
  }

  Result<GgufValue> read_value(ValueType type, int depth) {
    switch (type) {
      case ValueType::u8: return read_number<uint8_t>();
      case ValueType::i8: return read_number<int8_t>();
      case ValueType::u16: return read_number<uint16_t>();
      case ValueType::i16: return read_number<int16_t>();
      case ValueType::u32: return read_number<uint32_t>();
      case ValueType::i32: return read_number<int32_t>();
      case ValueType::f32: return read_number<float>();
      case ValueType::u64: return read_number<uint64_t>();
      case ValueType::i64: return read_number<int64_t>();
      case ValueType::f64: return read_number<double>();
      case ValueType::boolean: return read_boolean();
      case ValueType::string: return read_string();
      case ValueType::array: return read_array(depth + 1);
    }
    return environment_error("unknown value type");
  }

  Result<GgufValue> read_boolean() {
    SWARM_TRY(const uint8_t value, cursor_.number<uint8_t>());
    if (value > 1)
      return environment_error("expected a bool of 0 or 1, found " + std::to_string(value));
    return GgufValue(std::in_place_type<bool>, value == 1);
  }

  Result<GgufValue> read_string() {
    SWARM_TRY(std::string value, cursor_.text(UINT64_MAX));
    return GgufValue(std::in_place_type<std::string>, std::move(value));
  }

  Result<GgufValue> read_array(int depth) {
    if (depth > kArrayDepthMax)
      return environment_error("expected arrays nested at most " +
                               std::to_string(kArrayDepthMax) + " deep");
    SWARM_TRY(const uint32_t id, cursor_.number<uint32_t>());
    SWARM_TRY(const ValueType type, known_value_type(id));
    SWARM_TRY(const uint64_t count, cursor_.number<uint64_t>());
    SWARM_TRY_VOID(check_count("array elements", count, value_bytes_min(type),
                               kMetadataElementsMax - elements_));
    elements_ += count;
    auto array = std::make_shared<GgufArray>();
    array->element_type = id;
    array->values.reserve(count);
    for (uint64_t i = 0; i < count; ++i) {
      auto value = read_value(type, depth);
      if (!value) return about("element " + std::to_string(i), value.error());
      array->values.push_back(std::move(*value));
    }
    return GgufValue(std::move(array));
  }

  Result<void> read_tensor_info(uint64_t index) {
    auto name = cursor_.text(kTensorNameBytesMax);
    if (!name) return about("tensor " + std::to_string(index), name.error());
    SWARM_TRY_VOID(check_tensor_name(*name));
    if (!names_.insert(*name).second)
      return environment_error("tensor " + in_quotes(*name) + " appears twice");
    auto read = read_tensor_shape(*name);
    if (!read) return about("tensor " + in_quotes(*name), read.error());
    return {};
  }

  Result<void> read_tensor_shape(const std::string& name) {
    SWARM_TRY(const uint32_t n_dims, cursor_.number<uint32_t>());
    if (n_dims < 1 || n_dims > kTensorDimsMax)
      return environment_error("expected 1 to 4 dimensions, found " + std::to_string(n_dims));
    TensorView tensor{.name = name, .dims = {}, .type = TensorType::f32, .data = {}};
    for (uint32_t k = 0; k < n_dims; ++k) {
      SWARM_TRY(const uint64_t dim, cursor_.number<uint64_t>());
      tensor.dims.push_back(dim);
    }
    SWARM_TRY(const uint32_t type_id, cursor_.number<uint32_t>());
    SWARM_TRY(const uint64_t offset, cursor_.number<uint64_t>());
    SWARM_TRY(const uint64_t bytes, tensor_data_bytes({}, tensor.dims, type_id));
    if (offset % alignment_ != 0)
      return environment_error("expected an offset that is a multiple of " +
                               std::to_string(alignment_) + ", found " + std::to_string(offset));
    tensor.type = static_cast<TensorType>(type_id);
    part_.tensors.push_back(std::move(tensor));
    places_.push_back({offset, bytes});
    return {};
  }

  Result<void> place_tensors() {
    const uint64_t data_start = align_up(cursor_.position(), alignment_);
    const uint64_t data_bytes = bytes_.size() > data_start ? bytes_.size() - data_start : 0;
    for (size_t i = 0; i < places_.size(); ++i) {
      const auto [offset, bytes] = places_[i];
      if (bytes > data_bytes || offset > data_bytes - bytes)
        return environment_error("tensor " + in_quotes(part_.tensors[i].name) + ": expected " +
                                 std::to_string(bytes) + " bytes at offset " +
                                 std::to_string(offset) + " of the data, found only " +
                                 std::to_string(data_bytes) +
                                 " bytes of data (is the file truncated?)");
      part_.tensors[i].data = bytes_.subspan(data_start + offset, bytes);
    }
    return {};
  }

  struct Place {
    uint64_t offset;
    uint64_t bytes;
  };

  std::span<const std::byte> bytes_;
  Cursor cursor_;
  GgufPart part_;
  uint64_t tensor_count_ = 0;
  uint64_t key_count_ = 0;
  uint64_t elements_ = 0;      // array elements so far, over all keys
  uint64_t alignment_ = kAlignmentDefault;
  std::set<std::string, std::less<>> names_;
  std::vector<Place> places_;  // beside part_.tensors
};

bool has_control_bytes(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<uint8_t>(c) < 32 || c == 127; });
}

}  // namespace

Result<GgufPart> parse_gguf_part(std::span<const std::byte> bytes, const std::string& file) {
  auto part = Parser(bytes).parse();
  if (!part) return in_file(file, part.error());
  return part;
}

Result<uint64_t> tensor_data_bytes(std::string_view name, std::span<const uint64_t> dims,
                                   uint32_t type_id) {
  const std::string subject = name.empty() ? "" : "tensor " + in_quotes(name) + ": ";
  if (dims.empty() || dims.size() > kTensorDimsMax)
    return environment_error(subject + "expected 1 to 4 dimensions, found " +
                             std::to_string(dims.size()));
  const BlockType* block = find_block_type(static_cast<TensorType>(type_id));
  if (!block) return unsupported(subject + "unknown tensor type id " + std::to_string(type_id));
  std::optional<uint64_t> elements = 1;
  for (const uint64_t dim : dims) {
    if (dim == 0) return environment_error(subject + "expected dimensions of at least 1, found 0");
    elements = checked_mul(*elements, dim);
    if (!elements) return environment_error(subject + "the product of the dimensions overflows");
  }
  if (dims[0] % block->block_elements != 0)
    return environment_error(subject + "expected a row length that is a multiple of " +
                             std::to_string(block->block_elements) + " for " +
                             std::string(block->name) + ", found " + std::to_string(dims[0]));
  const auto bytes = checked_mul(*elements / block->block_elements, block->block_bytes);
  if (!bytes) return environment_error(subject + "the size of the tensor overflows");
  return *bytes;
}

Result<void> check_key(std::string_view key) {
  if (key.empty() || key.size() > kKeyBytesMax)
    return environment_error("expected metadata keys of 1 to " + std::to_string(kKeyBytesMax) +
                             " bytes, found " + std::to_string(key.size()));
  if (!utf8_is_valid(key) || has_control_bytes(key))
    return environment_error("metadata key " + in_quotes(key) + ": expected printable text");
  return {};
}

Result<void> check_tensor_name(std::string_view name) {
  if (name.empty() || name.size() > kTensorNameBytesMax)
    return environment_error("tensor " + in_quotes(name) + ": expected a name of 1 to " +
                             std::to_string(kTensorNameBytesMax) + " bytes, found " +
                             std::to_string(name.size()));
  if (!utf8_is_valid(name) || has_control_bytes(name))
    return environment_error("tensor " + in_quotes(name) + ": expected a printable name");
  return {};
}

Result<uint64_t> alignment_of(const std::map<std::string, GgufValue, std::less<>>& metadata) {
  const auto found = metadata.find("general.alignment");
  if (found == metadata.end()) return kAlignmentDefault;
  const auto* value = std::get_if<uint32_t>(&found->second);
  if (!value)
    return environment_error("metadata key \"general.alignment\": expected u32, found " +
                             std::string(value_type_name(value_type_of(found->second))));
  if (!std::has_single_bit(*value) || *value < 8 || *value > kAlignmentMax)
    return environment_error("metadata key \"general.alignment\": expected a power of two from 8 "
                             "to " + std::to_string(kAlignmentMax) + ", found " +
                             std::to_string(*value));
  return uint64_t{*value};
}

ValueType value_type_of(const GgufValue& value) {
  using enum ValueType;
  constexpr ValueType kByAlternative[] = {u8,  i8,      u16,    i16, u32, i32,  f32,
                                          boolean, string, u64, i64, f64, array};
  static_assert(std::size(kByAlternative) == std::variant_size_v<GgufValue>);
  return kByAlternative[value.index()];
}

std::string_view value_type_name(ValueType type) {
  constexpr std::string_view kNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                         "bool", "string", "array", "u64", "i64", "f64"};
  return kNames[static_cast<size_t>(type)];
}

std::string in_quotes(std::string_view text) {
  constexpr size_t kShown = 80;
  std::string out = "\"" + utf8_sanitize(text.substr(0, kShown));
  std::ranges::replace_if(out, [](char c) { return static_cast<uint8_t>(c) < 32; }, '?');
  return out + (text.size() > kShown ? "...\"" : "\"");
}

}  // namespace swarm::engine::formats
