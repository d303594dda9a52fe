#include "engine/formats/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace swarm::engine::formats {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

Error system_failure(const std::filesystem::path& path, const char* what, int code) {
  return environment_error(path.string() + ": " + what + ": " +
                           std::system_category().message(code));
}

}  // namespace

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return system_failure(path, "cannot open", errno);
  struct stat info = {};
  if (::fstat(file.get(), &info) != 0) return system_failure(path, "cannot inspect", errno);
  if (!S_ISREG(info.st_mode))
    return environment_error(path.string() + ": expected a regular file");
  if (info.st_size == 0) return environment_error(path.string() + ": the file is empty");
  const auto size = static_cast<size_t>(info.st_size);
  void* base = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), 0);
  if (base == MAP_FAILED) return system_failure(path, "cannot map", errno);
  // The constructor is private; a local type may call it, and make_shared may call the local type.
  struct Constructible : MappedFile {
    explicit Constructible(std::span<const std::byte> bytes) : MappedFile(bytes) {}
  };
  return std::make_shared<const Constructible>(
      std::span<const std::byte>(static_cast<const std::byte*>(base), size));
}

MappedFile::~MappedFile() {
  ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace swarm::engine::formats
