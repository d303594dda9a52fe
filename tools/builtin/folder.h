// tools/builtin/folder.h — Files below one folder and nowhere else. The folder is opened once; a
// path is walked from there component by component with openat(O_NOFOLLOW), so neither "..", nor a
// symbolic link, nor a change between check and use leads out. Files are replaced whole: who reads
// sees the old content or the new. Calls block for local files of bounded size.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/error.h"

namespace swarm::tools::builtin {

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();
  int get() const { return fd_; }

 private:
  int fd_;
};

struct Entry {
  std::string path;                // relative to the root
  char kind = 'f';                 // f file, d folder, l link, o other
  off_t bytes = 0;
};

// How much one run has added to a root, and may: what files take on a disk, so in whole blocks, and
// one block more for each new file or folder. Who makes a file smaller gets its room back; to
// shrink what was there before the run gives none beyond that. `bytes` is shared by the tools of
// one root, which may differ in what they may.
class Growth {
 public:
  static constexpr uint64_t kBlock = 4096;

  // bytes: null = nobody shares it.
  Growth(std::shared_ptr<uint64_t> bytes, uint64_t bytes_max)
      : bytes_(bytes ? std::move(bytes) : std::make_shared<uint64_t>(0)), bytes_max_(bytes_max) {}

  // Whether a change fits. Error: what a model reads.
  Result<void> room_for(uint64_t before, uint64_t after) const;
  void replace(uint64_t before, uint64_t after);
  static uint64_t on_disk(uint64_t bytes) { return (bytes + kBlock - 1) / kBlock * kBlock; }

 private:
  std::shared_ptr<uint64_t> bytes_;
  uint64_t bytes_max_;
};

class Folder {
 public:
  static constexpr off_t kFileBytesMax = off_t{16} << 20;

  // who: the tool, for error texts.
  static Result<std::shared_ptr<Folder>> open(const std::string& root, const std::string& who);
  explicit Folder(Descriptor root) : root_(std::move(root)) {}

  // The whole of a regular text file of at most kFileBytesMax.
  Result<std::string> read_text(const std::string& path) const;
  // Creates or replaces a regular file; folders on the way are made. All within growth.
  Result<void> write(const std::string& path, const std::string& content, Growth& growth) const;
  // Sorted by name; at most count_max, then `more` is set.
  struct Listing {
    std::vector<Entry> entries;
    bool more = false;
  };
  Result<Listing> list(const std::string& path, size_t count_max) const;
  // Every file below path in sorted order, folders before what they hold; links are not followed.
  // visit returns false to end. At most kWalkMax entries; false when there were more.
  static constexpr size_t kWalkMax = 50000;
  Result<bool> walk(const std::string& path, const std::function<bool(const Entry&)>& visit) const;

 private:
  // What `path` names: its folder, and its last component ("." for the root itself).
  struct Spot {
    Descriptor parent;
    std::string name;
  };
  // growth: folders on the way are made; null: they must be there.
  Result<Spot> locate(const std::string& path, Growth* growth) const;
  Result<Descriptor> open_below(const std::string& path, bool folder) const;

  Descriptor root_;
};

std::string quoted(const std::string& path);

}  // namespace swarm::tools::builtin
