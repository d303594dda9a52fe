// Every task runs exactly once and is finished when run() returns, also when rounds follow each
// other faster than workers wake up.
#include "engine/kernels/cpu/thread_pool.h"

#include <doctest/doctest.h>

#include <atomic>
#include <vector>

using swarm::engine::kernels::ThreadPool;

TEST_CASE("thread pool: every task of every round runs once and is done when run returns") {
  for (const int32_t threads : {1, 2, 3, 5}) {
    ThreadPool pool(threads);
    CHECK(pool.threads() == threads);
    std::vector<int32_t> count(40);           // plain: a task alone owns its cell
    std::vector<int32_t> want(40);
    bool right_thread = true;
    for (int32_t round = 0; round < 3000; ++round) {
      const int32_t tasks = round % 41;
      for (int32_t i = 0; i < tasks; ++i) ++want[size_t(i)];
      std::atomic<bool> outside{false};
      pool.run(tasks, [&](int32_t task, int32_t thread) {
        ++count[size_t(task)];
        if (thread < 0 || thread >= threads) outside = true;
      });
      right_thread = right_thread && !outside;
      if (count != want) FAIL("round " << round);
    }
    CHECK(right_thread);
  }
}

TEST_CASE("thread pool: the context of a round may die right after run") {
  ThreadPool pool(4);
  int64_t total = 0;
  for (int32_t round = 0; round < 2000; ++round) {
    std::vector<int64_t> cells(8, round);
    pool.run(8, [&cells](int32_t task, int32_t) { cells[size_t(task)] += task; });
    for (const int64_t cell : cells) total += cell;
  }
  CHECK(total == 8 * (1999 * 2000 / 2) + 2000 * 28);
}
