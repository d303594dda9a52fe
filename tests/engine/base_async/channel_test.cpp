#include <doctest/doctest.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/async/blocking.h"
#include "engine/base/async/channel.h"
#include "engine/base/async/nursery.h"
#include "engine/base/async/run.h"
#include "tests/engine/base_async/helpers.h"

namespace swarm {
namespace {
namespace net = boost::asio;
using namespace test;

TEST_CASE("channel: keeps order, blocks the sender at its capacity, ends with nullopt") {
  net::io_context context(1);
  Channel<int> channel(2);
  CHECK(channel.try_send(1));
  CHECK(channel.try_send(2));
  CHECK_FALSE(channel.try_send(3));
  std::vector<int> got;
  run_root(context, [](Channel<int>& queue, std::vector<int>& out) -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start([&]() -> Async<> {
        for (int i = 3; i <= 6; ++i) co_await queue.send(i);
        queue.close();
      });
      nursery.start([&]() -> Async<> {
        while (auto value = co_await queue.receive()) out.push_back(*value);
      });
      co_return;
    });
  }(channel, got));
  CHECK(got == std::vector<int>{1, 2, 3, 4, 5, 6});
  CHECK_FALSE(channel.try_send(7));
  CHECK_FALSE(channel.try_receive().has_value());
}

TEST_CASE("channel: sending into a closed one says so, cancelling a wait is operation_aborted") {
  net::io_context context(1);
  Channel<std::string> channel(1);
  channel.close();
  CHECK_THROWS_AS(run_root(context, channel.send("late")), ErrorException);

  Channel<std::string> empty(1);
  bool waiting = false;
  const auto root = [&]() -> Async<> {
    waiting = true;
    co_await empty.receive();
  };
  CHECK(aborted(run_cancelled(root(), [&] { return waiting; })));
  CHECK(empty.try_send("kept"));  // the cancelled receiver does not swallow it
  CHECK(empty.try_receive() == "kept");
}

TEST_CASE("channel: closing keeps what is queued and refuses the senders that wait") {
  Channel<int> channel(1);
  int refused = 0;
  run_root([](Channel<int>& queue, int& count) -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      for (int i = 0; i < 3; ++i)
        nursery.start([&queue, &count, i]() -> Async<> {
          try {
            co_await queue.send(i);
          } catch (const ErrorException& e) {
            CHECK(e.error().kind == ErrorKind::cancelled);
            ++count;
          }
        });
      for (int turn = 0; turn < 5; ++turn) co_await yield_once();
      queue.close();
    });
  }(channel, refused));
  CHECK(refused == 2);
  CHECK(channel.try_receive() == 0);
  CHECK_FALSE(channel.try_receive().has_value());
}

TEST_CASE("channel: a capacity of zero hands over directly") {
  Channel<int> channel(0);
  CHECK_FALSE(channel.try_send(1));
  std::vector<int> got;
  run_root([](Channel<int>& queue, std::vector<int>& out) -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start([&]() -> Async<> {
        for (int i = 0; i < 4; ++i) co_await queue.send(i);
        queue.close();
      });
      nursery.start([&]() -> Async<> {
        while (auto value = co_await queue.receive()) out.push_back(*value);
      });
      co_return;
    });
  }(channel, got));
  CHECK(got == std::vector<int>{0, 1, 2, 3});
}

TEST_CASE("channel: values cross threads exactly once") {
  net::io_context context;
  Channel<int> channel(3);
  std::atomic<int64_t> sum{0};
  std::atomic<int> producers{4};
  const auto finish = [](const std::exception_ptr& e) {
    if (e) std::rethrow_exception(e);
  };
  const auto produce = [&]() -> Async<> {
    for (int i = 1; i <= 250; ++i) co_await channel.send(i);
    if (--producers == 0) channel.close();
  };
  const auto consume = [&]() -> Async<> {
    while (const auto value = co_await channel.receive()) sum += *value;
  };
  for (int i = 0; i < 4; ++i) net::co_spawn(net::make_strand(context), produce(), finish);
  for (int i = 0; i < 3; ++i) net::co_spawn(net::make_strand(context), consume(), finish);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&context] { context.run(); });
  for (std::thread& thread : threads) thread.join();
  CHECK(sum == 4 * 250 * 251 / 2);
}

TEST_CASE("run_blocking: works on a pool thread, comes back, carries exceptions") {
  BlockingPool pool(2);
  const auto here = std::this_thread::get_id();
  run_root([](BlockingPool& p, std::thread::id home) -> Async<> {
    const auto there = co_await run_blocking(p, [] { return std::this_thread::get_id(); });
    CHECK(there != home);
    CHECK(std::this_thread::get_id() == home);
    int plain = 0;
    co_await run_blocking(p, [&plain] { plain = 5; });
    CHECK(plain == 5);
    std::string what;
    try {
      co_await run_blocking(p, []() -> int { throw std::runtime_error("disk"); });
    } catch (const std::runtime_error& e) {
      what = e.what();
    }
    CHECK(what == "disk");
  }(pool, here));
}

TEST_CASE("run_blocking: a cancelled caller waits for the work that has begun") {
  BlockingPool pool(1);
  std::atomic<bool> begun{false}, release{false}, done{false};
  bool went_on = false;
  const auto root = [&]() -> Async<> {
    co_await run_blocking(pool, [&] {
      begun = true;
      release.wait(false);
      done = true;
    });
    CHECK(done);
    co_await yield_once();
    went_on = true;
  };
  const auto failure = run_cancelled(root(), [&] {
    if (!begun) return false;
    release = true;
    release.notify_all();
    return true;
  });
  CHECK(aborted(failure));
  CHECK(done);
  CHECK_FALSE(went_on);
}

}  // namespace
}  // namespace swarm
