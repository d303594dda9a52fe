#include "tools/sandbox/child.h"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <algorithm>
#include <csignal>
#include <optional>
#include <utility>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "engine/base/utf8.h"

namespace swarm::tools::sandbox {
namespace net = boost::asio;
namespace {

using boost::system::error_code;
using Stream = net::posix::stream_descriptor;

constexpr size_t kReadBytes = 64 * 1024;
constexpr std::chrono::milliseconds kLook{20};       // between two looks at the tree
constexpr std::chrono::milliseconds kShort{2};
constexpr std::chrono::milliseconds kLastWords{300};  // output after the end, from the pipes
constexpr std::chrono::seconds kReapMax{5};

class Child {
 public:
  Child(const Executor& executor, const ChildLimits& limits)
      : limits_(limits), in_(executor), out_(executor), err_(executor), exit_(executor),
        result_(limits) {}

  Async<ChildResult> run(SpawnOptions spawn, std::string input) {
    auto spawned = Process::spawn(spawn);
    if (!spawned) throw ErrorException(spawned.error());
    process_.emplace(std::move(*spawned));
    in_.assign(process_->release_stdin());
    out_.assign(process_->release_stdout());
    err_.assign(process_->release_stderr());
    exit_.assign(process_->release_exit());
    const auto body = [&]() -> Async<> { return drive(std::move(input)); };
    const auto cleanup = [&]() -> Async<> { return end(); };
    co_await with_cleanup(body, cleanup);
    co_return std::move(result_);
  }

 private:
  Async<> drive(std::string input) {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start(feed(std::move(input)));
      nursery.start(drain(out_, result_.out));
      nursery.start(drain(err_, result_.err));
      nursery.start(watch_tree());
      nursery.start([&] { return watch_exit(nursery); });
      co_return;
    });
  }

  Async<> feed(std::string input) {
    error_code code;
    if (!input.empty())
      co_await net::async_write(in_, net::buffer(input),
                                net::redirect_error(net::use_awaitable, code));
    in_.close(code);
  }

  Async<> drain(Stream& stream, Excerpt& kept) {
    ++open_;
    std::string buffer(kReadBytes, '\0');
    while (true) {
      error_code code;
      const size_t got = co_await stream.async_read_some(
          net::buffer(buffer), net::redirect_error(net::use_awaitable, code));
      if (code) break;
      kept.add(std::string_view(buffer).substr(0, got));
      if (result_.out.total() + result_.err.total() > limits_.output_bytes_stop)
        stop(Stopped::output);
    }
    --open_;
  }

  Async<> watch_tree() {
    const TimePoint end = steady_clock().now() + limits_.wall;
    while (!process_->has_exited()) {
      const TreeUse use = tree_use(process_->pid(), limits_.processes_max);
      if (use.processes > limits_.processes_max) stop(Stopped::processes);
      if (use.memory_bytes > limits_.memory_bytes_max) stop(Stopped::memory);
      if (steady_clock().now() >= end) stop(Stopped::wall);
      look_at_disk();
      co_await wait_until(steady_clock(), std::min(end, steady_clock().now() + kLook));
    }
  }

  // A large folder takes time to look at: a tenth of ours at most.
  void look_at_disk() {
    const TimePoint begun = steady_clock().now();
    if (limits_.folder.empty() || begun < next_disk_look_) return;
    const DiskLimits limits{limits_.folder_bytes_max, limits_.folder_entries_max};
    const DiskUse use = disk_use(limits_.folder, limits, process_->pid());
    if (use.bytes > limits.bytes || use.entries > limits.entries) stop(Stopped::disk);
    const TimePoint now = steady_clock().now();
    next_disk_look_ = now + 10 * (now - begun);
  }

  Async<> watch_exit(Nursery& nursery) {
    error_code code;
    co_await exit_.async_wait(Stream::wait_read, net::redirect_error(net::use_awaitable, code));
    if (code) co_return;
    process_->signal_group(SIGKILL);  // what it left behind
    const TimePoint until = steady_clock().now() + kLastWords;
    while (open_ > 0 && steady_clock().now() < until)
      co_await wait_until(steady_clock(), steady_clock().now() + kShort);
    nursery.cancel();
  }

  void stop(Stopped why) {
    if (result_.stopped == Stopped::no) result_.stopped = why;
    process_->signal_group(SIGKILL);
  }

  // Shielded from cancellation by the caller.
  Async<> end() {
    process_->signal_group(SIGKILL);
    const TimePoint until = steady_clock().now() + kReapMax;
    while (!process_->has_exited() && steady_clock().now() < until)
      co_await wait_until(steady_clock(), steady_clock().now() + kShort);
    result_.end = process_->ended().value_or(ProcessEnd{.by_signal = true, .value = SIGKILL});
    error_code ignored;
    for (Stream* stream : {&in_, &out_, &err_, &exit_}) stream->close(ignored);
    process_.reset();
  }

  const ChildLimits limits_;
  std::optional<Process> process_;
  Stream in_, out_, err_, exit_;
  int open_ = 0;                   // streams that have not ended
  TimePoint next_disk_look_ = {};
  ChildResult result_;
};

}  // namespace

void Excerpt::add(std::string_view bytes) {
  total_ += bytes.size();
  const size_t room = std::min(half_ - std::min(half_, head_.size()), bytes.size());
  head_.append(bytes.substr(0, room));
  bytes.remove_prefix(room);
  if (bytes.size() >= half_) {
    tail_.assign(bytes.substr(bytes.size() - half_));
    return;
  }
  tail_.append(bytes);
  if (tail_.size() > 2 * half_) tail_.erase(0, tail_.size() - half_);
}

bool Excerpt::drop_prefix(std::string_view text) {
  if (head_.rfind(text, 0) != 0) return false;
  head_.erase(0, text.size());
  total_ -= text.size();
  return true;
}

std::string Excerpt::text() const {
  const std::string_view last = std::string_view(tail_).substr(
      tail_.size() - std::min(tail_.size(), half_));
  const uint64_t missing = total_ - head_.size() - last.size();
  if (missing == 0) return utf8_sanitize(head_ + std::string(last));
  return utf8_sanitize(head_) + "\n[" + std::to_string(missing) + " bytes left out]\n" +
         utf8_sanitize(last);
}

Async<ChildResult> run_child(SpawnOptions spawn, std::string input, ChildLimits limits) {
  Child child(co_await net::this_coro::executor, limits);
  co_return co_await child.run(std::move(spawn), std::move(input));
}

}  // namespace swarm::tools::sandbox
