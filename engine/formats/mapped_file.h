// engine/formats/mapped_file.h — A whole file as read-only bytes in memory, without reading it.
// Immutable after open, shared by the views into it, thread-safe. The pages come from the file:
// a file that another process truncates meanwhile ends this process with SIGBUS, as with any map.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

#include "engine/base/error.h"

namespace swarm::engine::formats {

class MappedFile {
 public:
  // Regular files only; an empty file is an error (there is nothing to map).
  static Result<std::shared_ptr<const MappedFile>> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
};

}  // namespace swarm::engine::formats
