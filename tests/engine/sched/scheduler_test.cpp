#include "engine/sched/scheduler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "engine/base/rng.h"

using namespace swarm;
using namespace swarm::engine;
using namespace swarm::engine::sched;

namespace {

using Tokens = std::vector<TokenId>;

TimePoint at_ms(int ms) { return TimePoint(std::chrono::milliseconds(ms)); }

// A scheduler whose model answers with an endless count upwards.
struct Bench {
  explicit Bench(const SchedulerLimits& limits) : scheduler(limits) {}

  SequenceId add(NewSequence spec) {
    const auto id = scheduler.add(std::move(spec));
    REQUIRE(id.has_value());
    return *id;
  }

  // One step; sequences that got their last token are finished.
  StepPlan step() {
    const StepPlan plan = scheduler.plan(at_ms(now++));
    int32_t tokens = 0;
    for (const Chunk& chunk : plan.chunks) tokens += chunk.count;
    REQUIRE(tokens <= step_tokens_max);
    scheduler.complete(plan);
    for (const Chunk& chunk : plan.chunks) {
      if (!chunk.reaches_end) continue;
      if (++produced[chunk.id] >= scheduler.sequence(chunk.id).spec.new_tokens_max) {
        finished.push_back(chunk.id);
        scheduler.finish(chunk.id, at_ms(now));
      } else {
        scheduler.append(chunk.id, 1000 + produced[chunk.id]);
      }
    }
    scheduler.check_integrity();
    return plan;
  }

  void run(int steps_max = 20000) {
    for (int i = 0; !scheduler.idle(); ++i) {
      REQUIRE(i < steps_max);
      REQUIRE(!step().chunks.empty());      // there is always progress
    }
  }

  Scheduler scheduler;
  int32_t step_tokens_max = INT32_MAX;
  int now = 0;
  std::map<SequenceId, int32_t> produced;
  std::vector<SequenceId> finished;
};

Tokens unique_prompt(int32_t first, size_t size) {
  Tokens tokens(size);
  for (size_t i = 0; i < size; ++i) tokens[i] = first * 100 + static_cast<TokenId>(i);
  return tokens;
}

}  // namespace

TEST_CASE("scheduler: prompts fill what decoding leaves of the step") {
  Bench bench({.page_count = 64, .page_tokens = 4, .max_running = 2, .max_resident = 8,
               .prefill_batch_tokens = 8, .context = 64});
  bench.step_tokens_max = 8;
  bench.add({.tokens = unique_prompt(1, 6), .new_tokens_max = 20});
  bench.add({.tokens = unique_prompt(2, 12), .new_tokens_max = 20});
  StepPlan plan = bench.step();
  REQUIRE(plan.chunks.size() == 2);
  CHECK(plan.chunks[0].count == 6);
  CHECK(plan.chunks[1].count == 2);
  plan = bench.step();
  REQUIRE(plan.chunks.size() == 2);
  CHECK(plan.chunks[0].decode);
  CHECK(plan.chunks[0].count == 1);
  CHECK(plan.chunks[1].count == 7);
  bench.run();
}

TEST_CASE("scheduler: forced spans leave a token of every step to prompts") {
  for (const int32_t batch : {1, 2, 4, 8}) {
    CAPTURE(batch);
    Bench bench({.page_count = 64, .page_tokens = 4, .max_running = 2, .max_resident = 8,
                 .prefill_batch_tokens = batch, .context = 128});
    bench.step_tokens_max = std::max(batch, 3);
    const SequenceId forced = bench.add({.tokens = unique_prompt(1, 1), .new_tokens_max = 100});
    bench.step();
    for (int32_t i = 0; i < 60; ++i) bench.scheduler.append(forced, 5000 + i);
    const SequenceId prompt = bench.add({.tokens = unique_prompt(2, 5), .new_tokens_max = 1});
    const auto tokens_of = [](const StepPlan& plan, SequenceId id) {
      int32_t count = 0;
      for (const Chunk& chunk : plan.chunks) count += chunk.id == id ? chunk.count : 0;
      return count;
    };
    for (int step = 0; bench.scheduler.contains(prompt); ++step) {
      REQUIRE(step < 5);
      const StepPlan plan = bench.step();
      CHECK(tokens_of(plan, prompt) >= 1);
      CHECK(tokens_of(plan, forced) >= 1);
    }
    // Nobody waits: the span may have it all, and at least one token beside the first.
    CHECK(tokens_of(bench.step(), forced) == std::max(2, batch));
  }
}

TEST_CASE("scheduler: at most max_running decode, at most max_resident hold pages") {
  Bench bench({.page_count = 64, .page_tokens = 4, .max_running = 2, .max_resident = 3,
               .prefill_batch_tokens = 64, .context = 64});
  for (int32_t i = 0; i < 5; ++i)
    bench.add({.tokens = unique_prompt(i, 6), .new_tokens_max = 6});
  while (!bench.scheduler.idle()) {
    const StepPlan plan = bench.step();
    CHECK(plan.decode_count <= 2);
    CHECK(bench.scheduler.resident_count() <= 3);
  }
  CHECK(bench.finished == std::vector<SequenceId>{1, 2, 3, 4, 5});   // equals: arrival order
}

TEST_CASE("scheduler: page famine preempts the least important, latest sequence") {
  Bench bench({.page_count = 8, .page_tokens = 2, .max_running = 4, .max_resident = 4,
               .prefill_batch_tokens = 64, .context = 64});
  const SequenceId low = bench.add({.tokens = unique_prompt(1, 4), .new_tokens_max = 6,
                                    .priority = -1});
  const SequenceId first = bench.add({.tokens = unique_prompt(2, 4), .new_tokens_max = 6});
  const SequenceId second = bench.add({.tokens = unique_prompt(3, 4), .new_tokens_max = 6});
  std::vector<SequenceId> preempted;
  while (!bench.scheduler.idle()) {
    const StepPlan plan = bench.step();
    preempted.insert(preempted.end(), plan.preempted.begin(), plan.preempted.end());
  }
  REQUIRE(!preempted.empty());
  CHECK(preempted[0] == low);
  CHECK(std::ranges::count(preempted, first) == 0);
  CHECK(bench.finished == std::vector<SequenceId>{first, second, low});
}

TEST_CASE("scheduler: an important arrival takes the place of a lesser one, equals wait") {
  const auto run = [](int32_t priority) {
    Bench bench({.page_count = 4, .page_tokens = 4, .max_running = 4, .max_resident = 4,
                 .prefill_batch_tokens = 64, .context = 64});
    bench.add({.tokens = unique_prompt(1, 12), .new_tokens_max = 4});
    bench.step();
    bench.add({.tokens = unique_prompt(2, 12), .new_tokens_max = 4, .priority = priority});
    bench.run();
    return bench.finished;
  };
  CHECK(run(0) == std::vector<SequenceId>{1, 2});
  CHECK(run(1) == std::vector<SequenceId>{2, 1});
}

TEST_CASE("scheduler: nobody starves behind a stream of more important arrivals") {
  Bench bench({.page_count = 4, .page_tokens = 4, .max_running = 1, .max_resident = 1,
               .prefill_batch_tokens = 64, .context = 64});
  const SequenceId humble =
      bench.add({.tokens = unique_prompt(1, 8), .new_tokens_max = 4, .priority = 0});
  int32_t arrivals = 0;
  for (int i = 0; i < 6000 && bench.scheduler.contains(humble); ++i) {
    if (bench.scheduler.waiting_count() < 3)
      bench.add({.tokens = unique_prompt(2 + ++arrivals % 50, 8), .new_tokens_max = 4,
                 .priority = 5});
    bench.step();
  }
  CHECK(!bench.scheduler.contains(humble));
  CHECK(bench.now <= 6 * kAgingSteps + 50);
  CHECK(arrivals > 100);
}

TEST_CASE("scheduler: a twin of higher priority lends it to the one that computes for it") {
  Bench bench({.page_count = 64, .page_tokens = 4, .max_running = 4, .max_resident = 4,
               .prefill_batch_tokens = 4, .context = 128});
  bench.add({.tokens = unique_prompt(1, 40), .new_tokens_max = 1, .priority = 1});
  const SequenceId slow =
      bench.add({.tokens = unique_prompt(2, 40), .new_tokens_max = 1, .priority = 0});
  bench.step();
  const SequenceId urgent =
      bench.add({.tokens = unique_prompt(2, 40), .new_tokens_max = 1, .priority = 9});
  bench.run();
  CHECK(bench.finished.front() == slow);
  CHECK(bench.finished[1] == urgent);
}

TEST_CASE("scheduler: pages kept longer than the clock can count are kept for ever") {
  Bench bench({.page_count = 4, .page_tokens = 2, .max_running = 2, .max_resident = 2,
               .prefill_batch_tokens = 64, .context = 64});
  bench.add({.tokens = {1, 2, 3, 4}, .new_tokens_max = 1,
             .keep_for = std::chrono::milliseconds::max()});
  bench.run();
  const auto evictable = [&](kv::Pressure pressure) {
    return bench.scheduler.cache().evictable_count(at_ms(1 << 30), pressure);
  };
  CHECK(evictable(kv::Pressure::polite) == 0);
  CHECK(evictable(kv::Pressure::last_resort) == 2);
}

TEST_CASE("scheduler: kept pages give way only to what could not run otherwise") {
  Bench bench({.page_count = 4, .page_tokens = 2, .max_running = 2, .max_resident = 2,
               .prefill_batch_tokens = 64, .context = 64});
  bench.add({.tokens = {1, 2, 3, 4}, .new_tokens_max = 1, .keep_for = std::chrono::hours(1)});
  bench.run();
  CHECK(bench.scheduler.cache().unused_count() == 2);
  bench.add({.tokens = {5, 6, 7}, .new_tokens_max = 2});            // fits beside the kept pages
  bench.run();
  CHECK(bench.scheduler.cache().match(Tokens{1, 2, 3, 4}).nodes.size() == 2);
  bench.add({.tokens = {8, 8, 8, 8, 8, 8}, .new_tokens_max = 1});   // does not
  bench.run();
  CHECK(bench.scheduler.cache().match(Tokens{1, 2, 3, 4}).nodes.size() < 2);
  const auto refused = bench.scheduler.add({.tokens = {9, 9, 9, 9, 9, 9, 9, 9, 9}});
  REQUIRE(!refused);
  CHECK(refused.error().message ==
        "request needs 5 KV pages for 9 tokens, the cache has 4 of 2 tokens; raise "
        "engine.kv_bytes_max or lower max_tokens");
}

TEST_CASE("scheduler: pinned pages outlive any pressure until their owner lifts the pins") {
  Bench bench({.page_count = 8, .page_tokens = 2, .max_running = 2, .max_resident = 2,
               .prefill_batch_tokens = 64, .context = 10});
  bench.add({.tokens = {1, 2, 3, 4}, .new_tokens_max = 1, .pin_tokens = 4, .pin_owner = 5});
  const auto press = [&] {
    for (int32_t i = 0; i < 4; ++i)
      bench.add({.tokens = unique_prompt(i, 9), .new_tokens_max = 2});
    bench.run();
    return bench.scheduler.cache().match(Tokens{1, 2, 3, 4}).nodes.size();
  };
  bench.run();
  CHECK(bench.scheduler.cache().pinned_count() == 2);
  CHECK(press() == 2);
  bench.scheduler.unpin(5);
  CHECK(press() == 0);
}

TEST_CASE("scheduler: pins leave room for a sequence as long as the context") {
  for (const int32_t pages : {1, 4, 5, 6, 7, 9}) {
    CAPTURE(pages);
    Bench bench({.page_count = pages, .page_tokens = 2, .max_running = 2, .max_resident = 2,
                 .prefill_batch_tokens = 64, .queue_depth_max = 16, .context = 8});
    const auto room = [&](size_t tokens) { return std::min(tokens, size_t{2} * size_t(pages)); };
    for (int32_t i = 0; i < 8; ++i)
      bench.add({.tokens = unique_prompt(i, room(8)), .new_tokens_max = 0, .pin_tokens = 8,
                 .pin_owner = static_cast<uint64_t>(i)});
    bench.run();
    CHECK(bench.scheduler.cache().pinned_count() == std::max(0, pages - 5));
    const auto longest = bench.scheduler.add(
        {.tokens = unique_prompt(99, room(7)), .new_tokens_max = 1});
    REQUIRE(longest.has_value());
    bench.run();
    CHECK(!bench.scheduler.contains(*longest));
  }
}

TEST_CASE("scheduler: random loads under hostile limits always progress and leak nothing") {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    SchedulerLimits limits{.page_tokens = static_cast<int32_t>(1 + rng.below(5)),
                           .max_running = static_cast<int32_t>(1 + rng.below(4)),
                           .prefill_batch_tokens = static_cast<int32_t>(1 + rng.below(12)),
                           .queue_depth_max = 64,
                           .context = 40};
    limits.max_resident = limits.max_running + static_cast<int32_t>(rng.below(4));
    limits.page_count = 40 / limits.page_tokens + 1 + static_cast<int32_t>(rng.below(20));
    Bench bench(limits);
    bench.step_tokens_max = limits.step_tokens_max();
    std::vector<SequenceId> all;
    for (int i = 0; i < 300; ++i) {
      if (rng.below(4) == 0 && bench.scheduler.waiting_count() < 60) {
        const auto size = static_cast<size_t>(1 + rng.below(25));
        all.push_back(bench.add({.tokens = unique_prompt(static_cast<int32_t>(rng.below(3)), size),
                                 .new_tokens_max = static_cast<int32_t>(1 + rng.below(12)),
                                 .priority = static_cast<int32_t>(rng.below(3)),
                                 .pin_tokens = static_cast<int32_t>(rng.below(20)),
                                 .pin_owner = rng.below(3),
                                 .drop = rng.below(5) == 0}));
      }
      if (!bench.scheduler.idle()) REQUIRE(!bench.step().chunks.empty());
      if (!all.empty() && rng.below(10) == 0) {
        const SequenceId id = all[rng.below(all.size())];
        if (bench.scheduler.contains(id)) bench.scheduler.finish(id, at_ms(bench.now));
      }
    }
    bench.run();
    CHECK(bench.scheduler.pool().free_count() + bench.scheduler.cache().unused_count() ==
          limits.page_count);
    bench.scheduler.clear_cache();
    CHECK(bench.scheduler.pool().free_count() == limits.page_count);
  }
}
