#include <doctest/doctest.h>

#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/async/blocking.h"
#include "engine/base/async/channel.h"
#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "engine/base/async/run.h"

namespace swarm {
namespace {
namespace net = boost::asio;

// Suspends until cancelled; notes that it has ended, also on cancellation.
Async<> forever(int& ended) {
  struct Count {
    int& count;
    ~Count() { ++count; }
  } on_exit{ended};
  net::steady_timer timer(co_await net::this_coro::executor);
  timer.expires_at(net::steady_timer::time_point::max());
  co_await timer.async_wait(net::use_awaitable);
}

Async<> fail_with(std::string text) {
  co_await yield_once();
  throw std::runtime_error(text);
}

Async<int> number(int value, int turns) {
  for (int i = 0; i < turns; ++i) co_await yield_once();
  co_return value;
}

bool aborted(const std::exception_ptr& e) {
  try {
    if (e) std::rethrow_exception(e);
  } catch (const boost::system::system_error& error) {
    return error.code() == net::error::operation_aborted;
  }
  return false;
}

// Runs task as a root that can be cancelled by `cancel_when` becoming true.
std::exception_ptr run_cancelled(Async<> task, const std::function<bool()>& cancel_when) {
  net::io_context context(1);
  net::cancellation_signal signal;
  std::exception_ptr failure;
  bool ended = false;
  net::co_spawn(context, std::move(task),
                net::bind_cancellation_slot(signal.slot(), [&](const std::exception_ptr& e) {
                  failure = e;
                  ended = true;
                }));
  // Polls: the condition may also become true on another thread.
  while (!cancel_when() && !context.stopped())
    if (context.poll_one() == 0) std::this_thread::yield();
  signal.emit(net::cancellation_type::terminal);
  context.run();
  CHECK(ended);
  return failure;
}

TEST_CASE("nursery: all children have ended when it returns") {
  std::vector<int> order;
  run_root([](std::vector<int>& out) -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      for (int i = 3; i > 0; --i)
        nursery.start([&out, i]() -> Async<> {
          for (int turn = 0; turn < i; ++turn) co_await yield_once();
          out.push_back(i);
        });
      CHECK(out.empty());  // children begin only when the body suspends
      CHECK(nursery.running() == 3);
      co_return;
    });
    CHECK(out.size() == 3);
  }(order));
  CHECK(order == std::vector<int>{1, 2, 3});
}

TEST_CASE("nursery: the first failure cancels the siblings and is rethrown") {
  int ended = 0;
  std::string what;
  run_root([](int& count, std::string& text) -> Async<> {
    try {
      co_await with_nursery([&](Nursery& nursery) -> Async<> {
        nursery.start(forever(count));
        nursery.start(fail_with("first"));
        nursery.start(forever(count));
        nursery.start(fail_with("second"));
        co_return;
      });
    } catch (const std::runtime_error& e) {
      text = e.what();
    }
    CHECK(count == 2);
  }(ended, what));
  CHECK(what == "first");
}

TEST_CASE("nursery: a failing body cancels and joins the children") {
  int ended = 0;
  std::string what;
  run_root([](int& count, std::string& text) -> Async<> {
    try {
      co_await with_nursery([&](Nursery& nursery) -> Async<> {
        nursery.start(forever(count));
        co_await yield_once();
        throw std::runtime_error("body");
      });
    } catch (const std::runtime_error& e) {
      text = e.what();
    }
  }(ended, what));
  CHECK(ended == 1);
  CHECK(what == "body");
}

TEST_CASE("nursery: a child that fails before it ever suspends is joined") {
  // co_spawn of Boost 1.81 loses such completions when the nursery is cancelled meanwhile.
  for (const bool cancel_first : {false, true}) {
    CAPTURE(cancel_first);
    std::string what;
    run_root([](bool cancel, std::string& text) -> Async<> {
      try {
        co_await with_nursery([&](Nursery& nursery) -> Async<> {
          nursery.start([&]() -> Async<> {
            if (cancel) nursery.cancel();
            throw std::runtime_error("at once");
            co_return;
          });
          co_return;
        });
      } catch (const std::runtime_error& e) {
        text = e.what();
      }
    }(cancel_first, what));
    CHECK(what == "at once");
  }
}

TEST_CASE("nursery: cancel() ends the children without an error for the owner") {
  int ended = 0;
  bool after = false;
  run_root([](int& count, bool& reached) -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start(forever(count));
      co_await yield_once();
      nursery.cancel();
      nursery.start(forever(count));  // begins cancelled
    });
    co_await yield_once();  // the owner itself was not cancelled
    reached = true;
  }(ended, after));
  CHECK(after);
  CHECK(ended <= 2);
  CHECK(ended >= 1);
}

TEST_CASE("nursery: cancelling the owner reaches nested children, then operation_aborted") {
  int ended = 0;
  int started = 0;
  const auto root = [&]() -> Async<> {
    co_await with_nursery([&](Nursery& outer) -> Async<> {
      outer.start([&]() -> Async<> {
        co_await with_nursery([&](Nursery& inner) -> Async<> {
          for (int i = 0; i < 3; ++i)
            inner.start([&]() -> Async<> {
              ++started;
              co_await forever(ended);
            });
          co_return;
        });
      });
      co_return;
    });
  };
  const auto failure = run_cancelled(root(), [&] { return started == 3; });
  CHECK(aborted(failure));
  CHECK(ended == 3);
}

TEST_CASE("nursery: cancelling the owner while the body waits ends body and children") {
  int ended = 0;
  bool ready = false;
  const auto root = [&]() -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start(forever(ended));
      co_await yield_once();
      ready = true;
      co_await forever(ended);
    });
  };
  CHECK(aborted(run_cancelled(root(), [&] { return ready; })));
  CHECK(ended == 2);
}

TEST_CASE("nursery: an owner cancelled before it begins still joins") {
  int ended = 0;
  const auto root = [&]() -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start(forever(ended));
      nursery.start(forever(ended));
      co_return;
    });
  };
  CHECK(aborted(run_cancelled(root(), [] { return true; })));
  CHECK(ended == 2);
}

TEST_CASE("nursery: ten thousand children, in order, without growing the stack") {
  int sum = 0;
  run_root([](int& total) -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      for (int i = 0; i < 10000; ++i)
        nursery.start([&total]() -> Async<> {
          ++total;
          co_return;
        });
      co_return;
    });
  }(sum));
  CHECK(sum == 10000);
}

TEST_CASE("nursery: strands on four threads keep to themselves") {
  net::io_context context;
  std::atomic<int> finished{0};
  struct Island {
    int plain = 0;  // only its strand touches it
  };
  std::vector<Island> islands(8);
  const auto live = [&finished](Island& island) -> Async<> {
    for (int round = 0; round < 20; ++round) {
      co_await with_nursery([&](Nursery& nursery) -> Async<> {
        for (int i = 0; i < 5; ++i)
          nursery.start([&island]() -> Async<> {
            co_await yield_once();
            ++island.plain;
          });
        co_return;
      });
    }
    ++finished;
  };
  for (Island& island : islands)
    net::co_spawn(net::make_strand(context), live(island), [](const std::exception_ptr& e) {
      if (e) std::rethrow_exception(e);
    });
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&context] { context.run(); });
  for (std::thread& thread : threads) thread.join();
  CHECK(finished == 8);
  for (const Island& island : islands) CHECK(island.plain == 100);
}

TEST_CASE("shielded: runs to the end although the caller is cancelled, then the caller ends") {
  bool began = false, cleaned = false, went_on = false;
  const auto clean = [&]() -> Async<> {
    began = true;
    for (int i = 0; i < 5; ++i) co_await yield_once();
    cleaned = true;
  };
  const auto root = [&]() -> Async<> {
    co_await shielded(clean());
    co_await yield_once();
    went_on = true;
  };
  CHECK(aborted(run_cancelled(root(), [&] { return began; })));
  CHECK(cleaned);
  CHECK_FALSE(went_on);
}

TEST_CASE("with_deadline: the result in time, the task's own error, and nothing when never") {
  CHECK(run_root(with_deadline(number(7, 3), Deadline::never())) == 7);
  const Deadline far = Deadline::after(steady_clock(), std::chrono::hours(1));
  CHECK(run_root(with_deadline(number(8, 3), far)) == 8);
  CHECK(run_root(with_deadline(number(9, 0), far)) == 9);  // never suspends
  CHECK_THROWS_WITH_AS(run_root(with_deadline(fail_with("own"), far)), "own", std::runtime_error);
}

TEST_CASE("with_deadline: passing cancels the task, waits for its end and says timeout") {
  ManualClock clock;
  const Deadline deadline = Deadline::after(clock, std::chrono::seconds(5));
  int ended = 0;
  ErrorKind kind = ErrorKind::failed;
  run_root([](ManualClock& time, Deadline limit, int& count, ErrorKind& seen) -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start([&]() -> Async<> {
        try {
          co_await with_deadline(forever(count), limit, time);
        } catch (const ErrorException& e) {
          seen = e.error().kind;
          CHECK(count == 1);
        }
      });
      co_await yield_once();
      time.advance(std::chrono::seconds(6));
    });
  }(clock, deadline, ended, kind));
  CHECK(kind == ErrorKind::timeout);
  CHECK(ended == 1);
}

TEST_CASE("with_deadline: a real timer fires") {
  int ended = 0;
  const Deadline soon = Deadline::after(steady_clock(), std::chrono::milliseconds(2));
  try {
    run_root(with_deadline(forever(ended), soon));
    FAIL("no timeout");
  } catch (const ErrorException& e) {
    CHECK(e.error().kind == ErrorKind::timeout);
  }
  CHECK(ended == 1);
}

TEST_CASE("with_deadline: a deadline in the past never begins the task") {
  ManualClock clock;
  bool begun = false;
  const auto task = [&]() -> Async<> {
    begun = true;
    co_return;
  };
  CHECK_THROWS_AS(run_root(with_deadline(task(), Deadline::at(clock.now()), clock)),
                  ErrorException);
  CHECK_FALSE(begun);
}

TEST_CASE("with_deadline: cancelling the caller is cancellation, not a timeout") {
  int ended = 0;
  bool begun = false;
  const auto task = [&]() -> Async<> {
    begun = true;
    co_await forever(ended);
  };
  const Deadline far = Deadline::after(steady_clock(), std::chrono::hours(1));
  CHECK(aborted(run_cancelled(with_deadline(task(), far), [&] { return begun; })));
  CHECK(ended == 1);
}

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
