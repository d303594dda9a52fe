// Host memory as a device, for the kernel emulator and for tests. Work runs at once, in order.
// Each allocation is a heap block of its own (so address checkers see its ends), filled with 0xff:
// NaN as f32, f16 and bf16.
#include <chrono>
#include <cstring>
#include <map>
#include <new>
#include <thread>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/units.h"
#include "engine/device/backend.h"
#include "engine/device/host_stream.h"
#include "engine/device/memory.h"

namespace swarm::engine::device {
namespace {

using Work = std::function<void()>;
using WorkList = std::vector<Work>;

class CapturingStream final : public HostStream {
 public:
  explicit CapturingStream(const HostOptions& options) {
    if (options.launcher) launcher_ = options.launcher(*this);
  }
  void* native() { return launcher_.get(); }
  void run(Work work) override {
    if (captured_) {
      captured_->push_back(std::move(work));
    } else {
      work();
    }
  }
  void begin_capture() { captured_ = std::make_unique<WorkList>(); }
  std::unique_ptr<WorkList> end_capture() { return std::move(captured_); }

 private:
  std::shared_ptr<void> launcher_;             // shared with nobody; its type is the emulator's
  std::unique_ptr<WorkList> captured_;
};

struct HostEvent {
  bool recorded = false;
  std::chrono::steady_clock::time_point at;
};

constexpr uint8_t kPoison = 0xff;

// Every object is owned here and looked up by its address, so a handle that was freed, or that
// belongs to another device, is noticed at its next use.
template <class T>
class Owned {
 public:
  void* add(std::unique_ptr<T> object) {
    void* const key = object.get();
    objects_.emplace(key, std::move(object));
    return key;
  }
  T& at(void* key) {
    const auto found = objects_.find(key);
    SWARM_CHECK(found != objects_.end(), key);
    return *found->second;
  }
  void remove(void* key) { SWARM_CHECK(objects_.erase(key) == 1, key); }
  size_t size() const { return objects_.size(); }

 private:
  std::map<void*, std::unique_ptr<T>> objects_;
};

class HostBackend final : public Backend {
 public:
  explicit HostBackend(const HostOptions& options) : options_(options) {
    info_.name = "host memory";
    info_.memory_bytes = options.memory_bytes;
    info_.multiprocessors = 1;
  }
  ~HostBackend() override {
    SWARM_CHECK(blocks_.empty(), blocks_.size());
    SWARM_CHECK(streams_.size() + events_.size() == 0, streams_.size(), events_.size());
  }

  const DeviceInfo& info() const override { return info_; }
  Status bind() override {
    owner_ = std::this_thread::get_id();
    return {};
  }
  Status memory(uint64_t& free_bytes, uint64_t& total_bytes) override {
    total_bytes = info_.memory_bytes;
    free_bytes = total_bytes - used_;
    return {};
  }

  Status allocate(size_t bytes, void*& out) override {
    check_thread();
    const Status status = allocate_pinned(bytes, out);
    if (!status.ok()) return status;
    blocks_.emplace(out, bytes);
    used_ += bytes;
    return {};
  }
  void release(void* memory) noexcept override {
    const auto found = blocks_.find(memory);
    SWARM_CHECK(found != blocks_.end(), memory);
    used_ -= found->second;
    blocks_.erase(found);
    release_pinned(memory);
  }
  Status allocate_pinned(size_t bytes, void*& out) override {
    out = ::operator new(bytes, std::align_val_t{kAlignment}, std::nothrow);
    if (out == nullptr)
      return {.code = Status::Code::no_memory, .text = "cannot have " + format_bytes(bytes)};
    std::memset(out, kPoison, bytes);
    return {};
  }
  void release_pinned(void* memory) noexcept override {
    ::operator delete(memory, std::align_val_t{kAlignment});
  }

  Status make_stream(void*& out) override {
    out = streams_.add(std::make_unique<CapturingStream>(options_));
    return {};
  }
  void* native(void* stream) override { return streams_.at(stream).native(); }
  HostStream* host(void* stream) override { return &streams_.at(stream); }
  void destroy_stream(void* stream) noexcept override { streams_.remove(stream); }
  Status synchronize_stream(void* stream) override {
    check_thread();
    streams_.at(stream);
    return {};
  }
  Status copy(void* stream, void* to, const void* from, size_t bytes, CopyKind) override {
    return run(stream, [=] { std::memmove(to, from, bytes); });
  }
  Status fill(void* stream, void* to, uint8_t value, size_t bytes) override {
    return run(stream, [=] { std::memset(to, value, bytes); });
  }

  Status make_event(void*& out) override {
    out = events_.add(std::make_unique<HostEvent>());
    return {};
  }
  void destroy_event(void* event) noexcept override { events_.remove(event); }
  Status record(void* stream, void* event) override {
    HostEvent* const at = &events_.at(event);
    return run(stream, [at] {
      at->recorded = true;
      at->at = std::chrono::steady_clock::now();
    });
  }
  Status wait(void* stream, void* event) override {
    events_.at(event);
    return run(stream, [] {});
  }
  // As on a GPU, an event that nobody recorded counts as having happened.
  Status query(void* event) override {
    events_.at(event);
    return {};
  }
  Status synchronize_event(void* event) override { return query(event); }
  Status elapsed_ms(void* from, void* to, float& out) override {
    const HostEvent& begin = events_.at(from);
    const HostEvent& end = events_.at(to);
    if (!begin.recorded || !end.recorded)
      return {.code = Status::Code::failed, .text = "an event was never recorded"};
    out = std::chrono::duration<float, std::milli>(end.at - begin.at).count();
    return {};
  }

  Status begin_capture(void* stream) override {
    check_thread();
    streams_.at(stream).begin_capture();
    return {};
  }
  Status end_capture(void* stream, void*& graph) override {
    graph = lists_.add(streams_.at(stream).end_capture());
    return {};
  }
  void destroy_graph(void* graph) noexcept override { lists_.remove(graph); }
  Status instantiate(void* graph, void*& exec) override {
    exec = lists_.add(std::make_unique<WorkList>(lists_.at(graph)));
    return {};
  }
  void destroy_exec(void* exec) noexcept override { lists_.remove(exec); }
  Status launch_graph(void* exec, void* stream) override {
    check_thread();
    streams_.at(stream);
    for (const Work& work : lists_.at(exec)) work();
    return {};
  }

  Status launch_error(int cuda_error) override {
    if (cuda_error == 0) return {};
    return {.code = Status::Code::failed, .text = "error " + std::to_string(cuda_error)};
  }
  Status synchronize() override {
    check_thread();
    return {};
  }

 private:
  Status run(void* stream, Work work) {
    check_thread();
    streams_.at(stream).run(std::move(work));
    return {};
  }
  // A missing Device::bind() would go to the wrong card on a machine with several.
  void check_thread() const { SWARM_CHECK(owner_ == std::this_thread::get_id()); }

  HostOptions options_;
  DeviceInfo info_;
  std::thread::id owner_;
  uint64_t used_ = 0;
  std::map<void*, size_t> blocks_;
  Owned<CapturingStream> streams_;
  Owned<HostEvent> events_;
  Owned<WorkList> lists_;
};

}  // namespace

std::unique_ptr<Backend> make_host_backend(const HostOptions& options) {
  return std::make_unique<HostBackend>(options);
}

}  // namespace swarm::engine::device
