#include "engine/formats/gguf.h"

#include <charconv>
#include <limits>
#include <type_traits>
#include <utility>

#include "engine/formats/gguf_parse.h"
#include "engine/formats/mapped_file.h"

namespace swarm::engine::formats {
namespace {

using Metadata = std::map<std::string, GgufValue, std::less<>>;

// "NAME-00002-of-00005.gguf" taken apart.
struct SplitName {
  std::string prefix;   // folder and NAME
  uint64_t number;      // from 1
  uint64_t count;
};

std::optional<uint64_t> five_digits(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.size() != 5 || error != std::errc() || end != text.data() + 5) return std::nullopt;
  return value;
}

std::optional<SplitName> parse_split_name(const std::string& path) {
  constexpr std::string_view kTail = "-00000-of-00000.gguf";
  if (path.size() <= kTail.size()) return std::nullopt;
  const std::string_view tail = std::string_view(path).substr(path.size() - kTail.size());
  if (tail[0] != '-' || tail.substr(6, 4) != "-of-" || tail.substr(15) != ".gguf")
    return std::nullopt;
  const auto number = five_digits(tail.substr(1, 5));
  const auto count = five_digits(tail.substr(10, 5));
  if (!number || !count) return std::nullopt;
  return SplitName{path.substr(0, path.size() - kTail.size()), *number, *count};
}

std::string split_path(const SplitName& name, uint64_t number) {
  const auto padded = [](uint64_t value) {
    const std::string digits = std::to_string(value);
    return digits.size() < 5 ? std::string(5 - digits.size(), '0') + digits : digits;
  };
  return name.prefix + "-" + padded(number) + "-of-" + padded(name.count) + ".gguf";
}

Result<uint64_t> integer_value(const Metadata& metadata, std::string_view key) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return environment_error("missing metadata key " + in_quotes(key));
  return std::visit(
      [&](const auto& value) -> Result<uint64_t> {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
          if constexpr (std::is_signed_v<T>) {
            if (value < 0)
              return environment_error("metadata key " + in_quotes(key) +
                                       ": expected a number of at least 0, found " +
                                       std::to_string(value));
          }
          return static_cast<uint64_t>(value);
        } else {
          return environment_error("metadata key " + in_quotes(key) +
                                   ": expected an integer, found " +
                                   std::string(value_type_name(value_type_of(found->second))));
        }
      },
      found->second);
}

// Number of parts this file says it belongs to; 1 when it says nothing.
Result<uint64_t> split_count(const Metadata& metadata) {
  if (!metadata.contains("split.count")) return uint64_t{1};
  return integer_value(metadata, "split.count");
}

Error in_file(const std::string& file, Error error) {
  error.message = file + ": " + error.message;
  return error;
}

Result<void> expect_split_key(const Metadata& metadata, const char* key, uint64_t expected) {
  SWARM_TRY(const uint64_t found, integer_value(metadata, key));
  if (found == expected) return {};
  return environment_error("metadata key \"" + std::string(key) + "\": expected " +
                           std::to_string(expected) + ", found " + std::to_string(found));
}

struct Loaded {
  GgufPart part;
  uint64_t file_bytes = 0;
  std::vector<std::shared_ptr<const void>> storage;
};

Result<Loaded> load_part(const std::string& path) {
  SWARM_TRY(auto file, MappedFile::open(path));
  SWARM_TRY(auto part, parse_gguf_part(file->bytes(), path));
  Loaded loaded{.part = std::move(part), .file_bytes = file->bytes().size(), .storage = {}};
  loaded.storage.push_back(std::move(file));
  return loaded;
}

// All parts in order; metadata come from the first, the split.* keys have done their duty.
Result<Loaded> load_split(const SplitName& name) {
  Loaded whole;
  for (uint64_t number = 1; number <= name.count; ++number) {
    const std::string path = split_path(name, number);
    SWARM_TRY(Loaded next, load_part(path));
    const auto count = expect_split_key(next.part.metadata, "split.count", name.count);
    if (!count) return in_file(path, count.error());
    const auto index = expect_split_key(next.part.metadata, "split.no", number - 1);
    if (!index) return in_file(path, index.error());
    if (number == 1) whole.part.metadata = std::move(next.part.metadata);
    for (TensorView& tensor : next.part.tensors) whole.part.tensors.push_back(std::move(tensor));
    whole.file_bytes += next.file_bytes;
    whole.storage.push_back(std::move(next.storage.front()));
  }
  Metadata& metadata = whole.part.metadata;
  const auto total =
      expect_split_key(metadata, "split.tensors.count", whole.part.tensors.size());
  if (!total) return in_file(split_path(name, 1), total.error());
  for (const char* key : {"split.count", "split.no", "split.tensors.count"}) metadata.erase(key);
  return whole;
}

Result<Loaded> load_any(const std::string& path) {
  SWARM_TRY(Loaded loaded, load_part(path));
  const auto count = split_count(loaded.part.metadata);
  if (!count) return in_file(path, count.error());
  if (*count <= 1) return loaded;
  const auto name = parse_split_name(path);
  if (!name)
    return environment_error(path + ": one of " + std::to_string(*count) +
                             " parts; expected a name such as NAME-00001-of-00005.gguf");
  if (name->count != *count || name->number < 1 || name->number > *count)
    return environment_error(path + ": expected a part of " + std::to_string(*count) +
                             " (metadata key \"split.count\"), found part " +
                             std::to_string(name->number) + " of " + std::to_string(name->count) +
                             " in the file name");
  return load_split(*name);
}

}  // namespace

uint64_t TensorView::elements() const {
  uint64_t product = 1;
  for (const uint64_t dim : dims) product *= dim;
  return product;
}

uint64_t TensorView::rows() const { return elements() / dims[0]; }

uint64_t TensorView::row_bytes() const {
  const BlockType* block = find_block_type(type);
  return dims[0] / block->block_elements * block->block_bytes;
}

Result<std::shared_ptr<const GgufFile>> GgufFile::open(const std::filesystem::path& path) {
  SWARM_TRY(Loaded loaded, load_any(path.string()));
  struct Constructible : GgufFile {};  // the constructor is private, make_shared needs one to call
  auto file = std::make_shared<Constructible>();
  file->name_ = path.string();
  file->tensors_ = std::move(loaded.part.tensors);
  file->metadata_ = std::move(loaded.part.metadata);
  file->file_bytes_ = loaded.file_bytes;
  file->storage_ = std::move(loaded.storage);
  // Names are unique inside a part; across the parts of a split model this is the first check.
  for (size_t i = 0; i < file->tensors_.size(); ++i)
    if (!file->tensor_index_.emplace(file->tensors_[i].name, i).second)
      return environment_error(path.string() + ": tensor " + in_quotes(file->tensors_[i].name) +
                               " appears in two parts");
  return std::shared_ptr<const GgufFile>(std::move(file));
}

Result<std::shared_ptr<const GgufFile>> GgufFile::parse(std::vector<std::byte> bytes,
                                                        std::string name) {
  auto storage = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  SWARM_TRY(auto part, parse_gguf_part(*storage, name));
  const auto parts = split_count(part.metadata);
  if (!parts) return in_file(name, parts.error());
  if (*parts > 1)
    return environment_error(name + ": one of " + std::to_string(*parts) +
                             " parts; a split model is opened by its path");
  struct Constructible : GgufFile {};
  auto file = std::make_shared<Constructible>();
  file->name_ = std::move(name);
  file->tensors_ = std::move(part.tensors);
  file->metadata_ = std::move(part.metadata);
  file->file_bytes_ = storage->size();
  file->storage_.push_back(std::move(storage));
  for (size_t i = 0; i < file->tensors_.size(); ++i)
    file->tensor_index_.emplace(file->tensors_[i].name, i);
  return std::shared_ptr<const GgufFile>(std::move(file));
}

const TensorView* GgufFile::find_tensor(std::string_view name) const {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

Result<uint64_t> GgufFile::integer(std::string_view key) const {
  auto value = integer_value(metadata_, key);
  if (!value) return in_file(name_, value.error());
  return value;
}

Result<double> GgufFile::number(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end())
    return environment_error(name_ + ": missing metadata key " + in_quotes(key));
  return std::visit(
      [&](const auto& value) -> Result<double> {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
          return static_cast<double>(value);
        } else {
          return environment_error(name_ + ": metadata key " + in_quotes(key) +
                                   ": expected a number, found " +
                                   std::string(value_type_name(value_type_of(found->second))));
        }
      },
      found->second);
}

namespace {

// The value of one alternative, or an error that names what was there instead.
template <class T>
Result<const T*> typed_value(const GgufFile& file, std::string_view key, std::string_view wanted) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end())
    return environment_error(file.name() + ": missing metadata key " + in_quotes(key));
  if (const T* value = std::get_if<T>(&found->second)) return value;
  return environment_error(file.name() + ": metadata key " + in_quotes(key) + ": expected " +
                           std::string(wanted) + ", found " +
                           std::string(value_type_name(value_type_of(found->second))));
}

}  // namespace

Result<bool> GgufFile::boolean(std::string_view key) const {
  SWARM_TRY(const bool* value, typed_value<bool>(*this, key, "bool"));
  return *value;
}

Result<std::string_view> GgufFile::text(std::string_view key) const {
  SWARM_TRY(const std::string* value, typed_value<std::string>(*this, key, "string"));
  return std::string_view(*value);
}

Result<std::span<const GgufValue>> GgufFile::array(std::string_view key) const {
  SWARM_TRY(const auto* value, typed_value<std::shared_ptr<GgufArray>>(*this, key, "array"));
  return std::span<const GgufValue>((*value)->values);
}

}  // namespace swarm::engine::formats
