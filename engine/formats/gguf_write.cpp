// GgufBuilder: the writing half of gguf.h. What it produces passes the reader's own checks.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <exception>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

#include "engine/base/units.h"
#include "engine/formats/gguf.h"
#include "engine/formats/gguf_parse.h"

namespace swarm::engine::formats {
namespace {

constexpr uint32_t kVersion = 3;

class Bytes {
 public:
  template <class T>
  void number(T value) {
    const auto* from = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), from, from + sizeof value);
  }
  void text(std::string_view text) {
    number<uint64_t>(text.size());
    const auto* from = reinterpret_cast<const std::byte*>(text.data());
    bytes_.insert(bytes_.end(), from, from + text.size());
  }
  void pad(uint64_t alignment) { bytes_.resize(align_up(bytes_.size(), alignment)); }
  const std::vector<std::byte>& get() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

// The payload only: the type was written before it.
void put_payload(Bytes& out, const GgufValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return out.text(*text);
  if (const auto* flag = std::get_if<bool>(&value)) return out.number<uint8_t>(*flag ? 1 : 0);
  if (const auto* array = std::get_if<std::shared_ptr<GgufArray>>(&value)) {
    out.number<uint32_t>((*array)->element_type);
    out.number<uint64_t>((*array)->values.size());
    for (const GgufValue& element : (*array)->values) put_payload(out, element);
    return;
  }
  std::visit(
      [&](const auto& number) {
        using T = std::decay_t<decltype(number)>;
        if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) out.number<T>(number);
      },
      value);
}

Result<void> check_array(const std::string& key, const GgufArray& array, int depth) {
  if (depth > kArrayDepthMax)
    return invalid_input("metadata key " + in_quotes(key) + ": arrays are nested too deep");
  for (const GgufValue& value : array.values) {
    if (static_cast<uint32_t>(value_type_of(value)) != array.element_type)
      return invalid_input("metadata key " + in_quotes(key) +
                           ": expected array elements of one type");
    if (const auto* inner = std::get_if<std::shared_ptr<GgufArray>>(&value))
      SWARM_TRY_VOID(check_array(key, **inner, depth + 1));
  }
  return {};
}

Result<void> check_size(std::string_view name, uint64_t found, uint64_t expected) {
  if (found == expected) return {};
  return invalid_input("tensor " + in_quotes(name) + ": expected " + std::to_string(expected) +
                       " bytes of data, found " + std::to_string(found));
}

// A file that exists under its final name only when it is complete.
class NewFile {
 public:
  explicit NewFile(std::filesystem::path path)
      : path_(std::move(path)),
        temporary_(path_.string() + ".tmp-" + std::to_string(::getpid())),
        fd_(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)),
        error_(fd_ < 0 ? errno : 0) {}
  ~NewFile() {
    if (fd_ >= 0) ::close(fd_);
    if (fd_ >= 0 && !committed_) ::unlink(temporary_.c_str());
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void put(std::span<const std::byte> bytes) {
    while (!bytes.empty() && error_ == 0) {
      const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) {
        error_ = errno;
        return;
      }
      bytes = bytes.subspan(static_cast<size_t>(written));
    }
  }

  Result<void> commit() {
    if (error_ == 0 && ::fsync(fd_) != 0) error_ = errno;
    if (error_ == 0 && ::rename(temporary_.c_str(), path_.c_str()) != 0) error_ = errno;
    if (error_ != 0)
      return environment_error(path_.string() + ": cannot write: " +
                               std::system_category().message(error_));
    committed_ = true;
    return {};
  }

 private:
  std::filesystem::path path_;
  std::string temporary_;
  int fd_;
  int error_;
  bool committed_ = false;
};

}  // namespace

void GgufBuilder::set(std::string key, GgufValue value) {
  const auto found = std::ranges::find(metadata_, key, &std::pair<std::string, GgufValue>::first);
  if (found != metadata_.end()) {
    found->second = std::move(value);
  } else {
    metadata_.emplace_back(std::move(key), std::move(value));
  }
}

void GgufBuilder::set_strings(std::string key, std::vector<std::string> values) {
  auto array = std::make_shared<GgufArray>();
  array->element_type = static_cast<uint32_t>(ValueType::string);
  array->values.reserve(values.size());
  for (std::string& value : values) array->values.emplace_back(std::move(value));
  set(std::move(key), std::move(array));
}

void GgufBuilder::set_integers(std::string key, const std::vector<int32_t>& values) {
  auto array = std::make_shared<GgufArray>();
  array->element_type = static_cast<uint32_t>(ValueType::i32);
  array->values.assign(values.begin(), values.end());
  set(std::move(key), std::move(array));
}

void GgufBuilder::add_tensor(std::string name, std::vector<uint64_t> dims, TensorType type,
                             std::vector<std::byte> data) {
  tensors_.push_back({std::move(name), std::move(dims), type, std::move(data), {}});
}

void GgufBuilder::add_lazy_tensor(std::string name, std::vector<uint64_t> dims, TensorType type,
                                  std::function<std::vector<std::byte>()> make) {
  tensors_.push_back({std::move(name), std::move(dims), type, {}, std::move(make)});
}

Result<std::vector<std::byte>> GgufBuilder::header() const {
  Bytes out;
  out.number<uint32_t>(0x46554747u);  // "GGUF"
  out.number(kVersion);
  out.number<uint64_t>(tensors_.size());
  out.number<uint64_t>(metadata_.size());
  std::map<std::string, GgufValue, std::less<>> sorted;
  for (const auto& [key, value] : metadata_) {
    SWARM_TRY_VOID(check_key(key));
    if (const auto* array = std::get_if<std::shared_ptr<GgufArray>>(&value))
      SWARM_TRY_VOID(check_array(key, **array, 1));
    sorted.emplace(key, value);
    out.text(key);
    out.number(static_cast<uint32_t>(value_type_of(value)));
    put_payload(out, value);
  }
  SWARM_TRY(const uint64_t alignment, alignment_of(sorted));
  uint64_t offset = 0;
  std::set<std::string_view> names;
  for (const Pending& tensor : tensors_) {
    SWARM_TRY_VOID(check_tensor_name(tensor.name));
    if (!names.insert(tensor.name).second)
      return invalid_input("tensor " + in_quotes(tensor.name) + " was added twice");
    const auto type_id = static_cast<uint32_t>(tensor.type);
    SWARM_TRY(const uint64_t bytes, tensor_data_bytes(tensor.name, tensor.dims, type_id));
    if (!tensor.make) SWARM_TRY_VOID(check_size(tensor.name, tensor.data.size(), bytes));
    out.text(tensor.name);
    out.number(static_cast<uint32_t>(tensor.dims.size()));
    for (const uint64_t dim : tensor.dims) out.number(dim);
    out.number(type_id);
    out.number(offset);
    offset += align_up(bytes, alignment);
  }
  out.pad(alignment);
  return out.get();
}

uint64_t GgufBuilder::alignment() const {
  for (const auto& [key, value] : metadata_)
    if (key == "general.alignment") return std::get<uint32_t>(value);  // header() has checked it
  return kAlignmentDefault;
}

Result<void> GgufBuilder::write(const std::filesystem::path& path,
                                const std::function<bool()>& stop) const {
  SWARM_TRY(const auto head, header());
  const std::vector<std::byte> zeros(alignment());
  NewFile file(path);
  file.put(head);
  for (const Pending& tensor : tensors_) {
    if (stop && stop())
      return Error{ErrorKind::cancelled, path.string() + ": writing was stopped"};
    const std::vector<std::byte> made = tensor.make ? tensor.make() : std::vector<std::byte>{};
    const std::span<const std::byte> data = tensor.make ? made : tensor.data;
    const auto type_id = static_cast<uint32_t>(tensor.type);
    SWARM_TRY(const uint64_t bytes, tensor_data_bytes(tensor.name, tensor.dims, type_id));
    SWARM_TRY_VOID(check_size(tensor.name, data.size(), bytes));
    file.put(data);
    file.put(std::span(zeros).first(align_up(bytes, zeros.size()) - bytes));
  }
  return file.commit();
}

std::shared_ptr<const GgufFile> GgufBuilder::become_file(
    std::string name, uint64_t header_bytes, const std::function<Data(size_t)>& data_of) {
  const uint64_t align = alignment();
  struct Constructible : GgufFile {};
  auto file = std::make_shared<Constructible>();
  file->name_ = std::move(name);
  file->file_bytes_ = header_bytes;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    Pending& tensor = tensors_[i];
    auto [owner, bytes] = data_of(i);
    file->file_bytes_ += align_up(bytes.size(), align);
    file->tensor_index_.emplace(tensor.name, file->tensors_.size());
    file->tensors_.push_back({std::move(tensor.name), std::move(tensor.dims), tensor.type, bytes});
    file->storage_.push_back(std::move(owner));
  }
  for (auto& [key, value] : metadata_) file->metadata_.emplace(key, std::move(value));
  metadata_.clear();
  tensors_.clear();
  return file;
}

// On all cores: random weights of a large model take minutes on one. Each makes whole tensors, so
// the bytes do not depend on how many there are.
void GgufBuilder::make_lazy_tensors() {
  std::vector<Pending*> lazy;
  for (Pending& tensor : tensors_)
    if (tensor.make) lazy.push_back(&tensor);
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::exception_ptr stopped;
  const auto work = [&] {
    for (size_t i = next++; i < lazy.size(); i = next++) {
      try {
        lazy[i]->data = std::exchange(lazy[i]->make, {})();
      } catch (...) {
        const std::lock_guard lock(mutex);
        stopped = std::current_exception();
        next = lazy.size();
      }
    }
  };
  {
    constexpr size_t kThreadsMax = 16;
    const size_t cores = std::clamp<size_t>(std::thread::hardware_concurrency(), 1, kThreadsMax);
    std::vector<std::jthread> helpers;
    for (size_t i = 1; i < std::min(cores, lazy.size()); ++i) helpers.emplace_back(work);
    work();
  }
  if (stopped) std::rethrow_exception(stopped);
}

Result<std::shared_ptr<const GgufFile>> GgufBuilder::finish(std::string name) {
  SWARM_TRY(const auto head, header());
  make_lazy_tensors();
  for (const Pending& tensor : tensors_) {
    const auto type_id = static_cast<uint32_t>(tensor.type);
    SWARM_TRY(const uint64_t bytes, tensor_data_bytes(tensor.name, tensor.dims, type_id));
    SWARM_TRY_VOID(check_size(tensor.name, tensor.data.size(), bytes));
  }
  return become_file(std::move(name), head.size(), [&](size_t i) -> Data {
    // One buffer per tensor: a large model is never held twice.
    auto data = std::make_shared<const std::vector<std::byte>>(std::move(tensors_[i].data));
    const std::span<const std::byte> bytes = *data;
    return {std::move(data), bytes};
  });
}

Result<std::shared_ptr<const GgufFile>> GgufBuilder::finish_shapes(std::string name) {
  SWARM_TRY(const auto head, header());
  std::vector<uint64_t> begins = {0};
  for (const Pending& tensor : tensors_) {
    const auto type_id = static_cast<uint32_t>(tensor.type);
    SWARM_TRY(const uint64_t bytes, tensor_data_bytes(tensor.name, tensor.dims, type_id));
    begins.push_back(checked_add(begins.back(), bytes).value_or(UINT64_MAX));
  }
  // Addresses of their own, as a file has; pages that nobody touches do not exist.
  const auto total = static_cast<size_t>(std::max<uint64_t>(begins.back(), 1));
  void* const zeros = ::mmap(nullptr, total, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                             -1, 0);
  if (zeros == MAP_FAILED)
    return environment_error(name + ": cannot map " + format_bytes(total) + ": " +
                             std::system_category().message(errno));
  const std::shared_ptr<const void> owner(zeros, [total](void* base) { ::munmap(base, total); });
  const std::span all(static_cast<const std::byte*>(zeros), total);
  return become_file(std::move(name), head.size(), [&](size_t i) -> Data {
    return {owner, all.subspan(static_cast<size_t>(begins[i]),
                               static_cast<size_t>(begins[i + 1] - begins[i]))};
  });
}

}  // namespace swarm::engine::formats
