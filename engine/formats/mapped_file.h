// engine/formats/mapped_file.h — A whole file as read-only bytes in memory, without reading it.
// Immutable after open, shared by the views into it, thread-safe.
// The pages come from the file for as long as it is mapped. Replacing the file by renaming another
// over it, as downloads and our own writer do, is safe: the map keeps the old one. A file that is
// overwritten in place changes under the reader, and one that is truncated in place ends this
// process with SIGBUS when a missing page is touched. That is deliberate: sizes are checked against
// the file when it is opened (gguf.h), afterwards there is no answer a forward pass could give, and
// reading a private copy would cost the model's size in memory and a start that waits for the disk.
// What a run has done until then is in its journal.
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
