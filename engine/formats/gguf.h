// engine/formats/gguf.h — GGUF v2/v3 model files as validated, immutable views.
// open() maps the file (all parts of a split model) and checks every count, offset and size against
// the bytes that are really there; nothing is trusted. GgufBuilder makes the same object in memory
// or writes it to disk. Immutable after construction, shared, thread-safe.
// Format: reference/engine.md section 2 (GGUF v3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/base/error.h"
#include "engine/formats/block_types.h"

namespace swarm::engine::formats {

struct GgufArray;
// One metadata value; integers keep their width so that a writer reproduces them.
using GgufValue = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float, bool,
                               std::string, uint64_t, int64_t, double, std::shared_ptr<GgufArray>>;
struct GgufArray {
  std::vector<GgufValue> values;       // all of one alternative (arrays may nest)
  uint32_t element_type = 0;           // GGUF value type id, also for empty arrays
};

struct TensorView {
  std::string name;
  std::vector<uint64_t> dims;          // fastest-varying first: dims[0] is the row length
  TensorType type = TensorType::f32;
  std::span<const std::byte> data;     // exactly type_bytes(type, dims); lives as long as the file

  uint64_t elements() const;
  uint64_t rows() const;               // elements / dims[0]
  uint64_t row_bytes() const;
};

class GgufFile {
 public:
  // path may be any part of a split model; the siblings are found by name.
  static Result<std::shared_ptr<const GgufFile>> open(const std::filesystem::path& path);
  // The same validation over bytes in memory (tests, fuzzing). name is used in messages.
  static Result<std::shared_ptr<const GgufFile>> parse(std::vector<std::byte> bytes,
                                                       std::string name);

  std::span<const TensorView> tensors() const { return tensors_; }
  const TensorView* find_tensor(std::string_view name) const;
  const std::map<std::string, GgufValue, std::less<>>& metadata() const { return metadata_; }
  const std::string& name() const { return name_; }
  uint64_t file_bytes() const { return file_bytes_; }

  // Typed access. Missing key or wrong type is an error naming key, expected and found; integers of
  // any width convert when the value fits.
  bool has(std::string_view key) const { return metadata_.contains(key); }
  Result<uint64_t> integer(std::string_view key) const;
  Result<double> number(std::string_view key) const;
  Result<bool> boolean(std::string_view key) const;
  Result<std::string_view> text(std::string_view key) const;
  Result<std::span<const GgufValue>> array(std::string_view key) const;

 private:
  friend class GgufBuilder;
  GgufFile() = default;
  std::string name_;
  std::vector<TensorView> tensors_;
  std::map<std::string, size_t, std::less<>> tensor_index_;
  std::map<std::string, GgufValue, std::less<>> metadata_;
  uint64_t file_bytes_ = 0;
  std::vector<std::shared_ptr<const void>> storage_;  // mappings or buffers the views point into
};

// Collects metadata and tensors, then writes or becomes a GgufFile. Not thread-safe.
class GgufBuilder {
 public:
  void set(std::string key, GgufValue value);
  void set_strings(std::string key, std::vector<std::string> values);
  void set_integers(std::string key, const std::vector<int32_t>& values);
  // data must have exactly the size the type and dims ask for (checked at finish).
  void add_tensor(std::string name, std::vector<uint64_t> dims, TensorType type,
                  std::vector<std::byte> data);
  // The same with data made when they are needed: write() then holds one such tensor at a time;
  // finish() makes several at once, on threads of its own, and passes on what make throws.
  void add_lazy_tensor(std::string name, std::vector<uint64_t> dims, TensorType type,
                       std::function<std::vector<std::byte>()> make);
  // Atomic: temporary, then rename. stop is asked between tensors; true ends it with
  // ErrorKind::cancelled and leaves no file.
  Result<void> write(const std::filesystem::path& path,
                     const std::function<bool()>& stop = {}) const;
  // Moves everything into a GgufFile that owns its data; the builder is empty afterwards.
  Result<std::shared_ptr<const GgufFile>> finish(std::string name);
  // The same without making what is lazy: it reads as zeros and takes no memory. Names, types,
  // sizes and metadata are those of finish(); for questions that need no weights.
  Result<std::shared_ptr<const GgufFile>> finish_shapes(std::string name);

 private:
  // Moves metadata and tensors; data_of gives the owner of a tensor's bytes and where they are.
  using Data = std::pair<std::shared_ptr<const void>, std::span<const std::byte>>;
  std::shared_ptr<const GgufFile> become_file(std::string name, uint64_t header_bytes,
                                              const std::function<Data(size_t)>& data_of);
  void make_lazy_tensors();
  // Everything before the tensor data, padded; refuses what the reader would refuse.
  Result<std::vector<std::byte>> header() const;
  uint64_t alignment() const;

  struct Pending {
    std::string name;
    std::vector<uint64_t> dims;
    TensorType type;
    std::vector<std::byte> data;
    std::function<std::vector<std::byte>()> make;   // when set, data is empty until called
  };
  std::vector<std::pair<std::string, GgufValue>> metadata_;
  std::vector<Pending> tensors_;
};

}  // namespace swarm::engine::formats
