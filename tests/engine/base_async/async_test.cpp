#include <doctest/doctest.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "engine/base/async/run.h"
#include "tests/engine/base_async/helpers.h"

namespace swarm {
namespace {
namespace net = boost::asio;
using namespace test;

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

TEST_CASE("with_cleanup: runs on success, failure and cancellation, and keeps the outcome") {
  int cleaned = 0;
  const auto cleanup = [&]() -> Async<> {
    for (int i = 0; i < 3; ++i) co_await yield_once();
    ++cleaned;
  };
  const auto fine = []() -> Async<> { co_await yield_once(); };
  run_root(with_cleanup(fine, cleanup));
  CHECK(cleaned == 1);
  const auto broken = []() -> Async<> { co_await fail_with("body"); };
  CHECK_THROWS_WITH_AS(run_root(with_cleanup(broken, cleanup)), "body", std::runtime_error);
  CHECK(cleaned == 2);
  int ended = 0;
  bool begun = false;
  const auto waits = [&]() -> Async<> {
    begun = true;
    co_await forever(ended);
  };
  CHECK(aborted(run_cancelled(with_cleanup(waits, cleanup), [&] { return begun; })));
  CHECK(ended == 1);
  CHECK(cleaned == 3);
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

}  // namespace
}  // namespace swarm
