// tests/engine/device/failing_backend.h — The host backend, but one chosen verb fails like a card
// that fell over. Counts the verbs, so a test can see that none follows the failure.
#pragma once

#include <memory>

#include "engine/device/device.h"

namespace swarm::test {

class FailingBackend final : public engine::device::Backend {
  using S = engine::device::Status;
  using K = engine::device::CopyKind;

 public:
  explicit FailingBackend(const engine::device::HostOptions& options = {})
      : inner_(engine::device::make_host_backend(options)) {}

  // The verb after `verbs` more good ones fails, and every later one; counting starts anew.
  void fail_after(int verbs) {
    fail_at_ = verbs;
    calls_ = 0;
  }
  int calls() const { return calls_; }
  // Of memory, device and page-locked, streams and events; how often one was asked for.
  int allocations() const { return allocations_; }
  size_t bytes_to_host() const { return bytes_to_host_; }
  // The same, counted in launches of kernels from now on.
  void fail_after_launches(int launches) { launches_left_ = launches; }

  const engine::device::DeviceInfo& info() const override { return inner_->info(); }
  S bind() override { return verb([&] { return inner_->bind(); }); }
  S memory(uint64_t& f, uint64_t& t) override { return verb([&] { return inner_->memory(f, t); }); }
  S allocate(size_t n, void*& out) override {
    ++allocations_;
    return verb([&] { return inner_->allocate(n, out); });
  }
  S allocate_pinned(size_t n, void*& out) override {
    ++allocations_;
    return verb([&] { return inner_->allocate_pinned(n, out); });
  }
  S make_stream(void*& out) override {
    ++allocations_;
    return verb([&] { return inner_->make_stream(out); });
  }
  void* native(void* s) override { return inner_->native(s); }
  engine::device::HostStream* host(void* s) override { return inner_->host(s); }
  S synchronize_stream(void* s) override {
    return verb([&] { return inner_->synchronize_stream(s); });
  }
  S copy(void* s, void* to, const void* from, size_t n, K k) override {
    if (k == K::to_host) bytes_to_host_ += n;
    return verb([&] { return inner_->copy(s, to, from, n, k); });
  }
  S fill(void* s, void* to, uint8_t v, size_t n) override {
    return verb([&] { return inner_->fill(s, to, v, n); });
  }
  S make_event(void*& out) override {
    ++allocations_;
    return verb([&] { return inner_->make_event(out); });
  }
  S record(void* s, void* e) override { return verb([&] { return inner_->record(s, e); }); }
  S wait(void* s, void* e) override { return verb([&] { return inner_->wait(s, e); }); }
  S query(void* e) override { return verb([&] { return inner_->query(e); }); }
  S synchronize_event(void* e) override {
    return verb([&] { return inner_->synchronize_event(e); });
  }
  S elapsed_ms(void* a, void* b, float& out) override {
    return verb([&] { return inner_->elapsed_ms(a, b, out); });
  }
  S begin_capture(void* s) override { return verb([&] { return inner_->begin_capture(s); }); }
  S end_capture(void* s, void*& g) override {
    return verb([&] { return inner_->end_capture(s, g); });
  }
  S instantiate(void* g, void*& e) override {
    return verb([&] { return inner_->instantiate(g, e); });
  }
  S launch_graph(void* e, void* s) override {
    return verb([&] { return inner_->launch_graph(e, s); });
  }
  S launch_error(int e) override {
    if (launches_left_ >= 0 && launches_left_-- == 0) fail_after(0);
    return verb([&] { return inner_->launch_error(e); });
  }
  S synchronize() override { return verb([&] { return inner_->synchronize(); }); }
  void release(void* object) noexcept override { inner_->release(object); }
  void release_pinned(void* object) noexcept override { inner_->release_pinned(object); }
  void destroy_stream(void* object) noexcept override { inner_->destroy_stream(object); }
  void destroy_event(void* object) noexcept override { inner_->destroy_event(object); }
  void destroy_graph(void* object) noexcept override { inner_->destroy_graph(object); }
  void destroy_exec(void* object) noexcept override { inner_->destroy_exec(object); }

 private:
  template <class Call>
  S verb(Call call) {
    const int at = calls_++;
    if (fail_at_ >= 0 && at >= fail_at_)
      return {.code = S::Code::failed, .text = "broken on purpose"};
    return call();
  }

  std::unique_ptr<engine::device::Backend> inner_;
  int launches_left_ = -1;
  int allocations_ = 0;
  size_t bytes_to_host_ = 0;
  int fail_at_ = -1;
  int calls_ = 0;
};

}  // namespace swarm::test
