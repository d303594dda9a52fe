// The same load under settings chosen to hurt: pages of one token, a pool that forces eviction and
// preemption, one prompt token per step, one running sequence.
#include "tests/hostile/hostile_load.h"

#include <doctest/doctest.h>

#include <map>
#include <optional>
#include <vector>

#include "engine/base/rng.h"
#include "engine/step_loop.h"

namespace swarm::test {

using namespace swarm::engine;

namespace {

using Tokens = std::vector<TokenId>;

constexpr int32_t kContext = 64;

struct Job {
  Request request;
  int arrives = 0;                  // step number
  std::optional<int> cancelled = {};
};

// What can be compared bit for bit.
struct Trace {
  Tokens tokens;
  std::vector<float> logprobs;
  Finish finish = Finish::none;
  bool operator==(const Trace&) const = default;
};

// Prompts share prefixes of random length with one of three stems; some are equal altogether.
std::vector<Job> random_jobs(uint64_t seed, int count, bool with_ends) {
  Rng rng(seed);
  std::vector<Job> jobs;
  for (int i = 0; i < count; ++i) {
    const uint64_t stem = rng.below(3);
    const size_t shared = rng.below(30), size = shared + 1 + rng.below(10);
    Rng common(stem);
    Job job;
    for (size_t t = 0; t < size; ++t)
      job.request.prompt.push_back(
          static_cast<TokenId>((t < shared ? common : rng).below(250)));
    if (i > 0 && rng.below(4) == 0) job.request.prompt = jobs.back().request.prompt;
    job.request.max_tokens = static_cast<int32_t>(1 + rng.below(16));
    job.request.priority = static_cast<int32_t>(rng.below(3));
    job.request.sampling.logprobs = 3;
    if (rng.below(3) == 0) {
      job.request.sampling.temperature = 1;
      job.request.sampling.seed = rng.next();
    }
    job.request.hints.drop = rng.below(6) == 0;
    job.arrives = static_cast<int>(rng.below(25));
    if (with_ends && rng.below(4) == 0)
      job.cancelled = job.arrives + static_cast<int>(rng.below(20));
    if (with_ends && rng.below(6) == 0)
      job.request.deadline = Deadline::at(TimePoint(std::chrono::milliseconds(rng.below(40))));
    jobs.push_back(std::move(job));
  }
  return jobs;
}

std::vector<Trace> run_jobs(const std::vector<Job>& jobs, const sched::SchedulerLimits& limits,
                            const MakeModel& make_model, EngineStats* stats = nullptr) {
  const auto model = make_model(limits);
  ManualClock clock;
  StepLoop loop(*model, {.limits = limits, .vocab = 256}, clock);
  std::map<RequestId, size_t> numbers;
  std::vector<Trace> traces(jobs.size());
  std::vector<RequestId> ids(jobs.size());
  size_t entered = 0;
  for (int step = 0; entered < jobs.size() || !loop.idle(); ++step) {
    REQUIRE(step < 50000);
    for (size_t i = 0; i < jobs.size(); ++i) {
      if (jobs[i].arrives == step) {
        const auto id = loop.submit(jobs[i].request, nullptr);
        REQUIRE(id.has_value());
        ids[i] = *id;
        numbers[*id] = i;
        ++entered;
      }
      if (jobs[i].cancelled == step) loop.cancel(ids[i]);
    }
    for (const Output& output : loop.step()) {
      Trace& trace = traces[numbers.at(output.id)];
      REQUIRE(trace.finish == Finish::none);
      if (output.token >= 0) {
        trace.tokens.push_back(output.token);
        trace.logprobs.push_back(output.logprob);
        for (const TokenLogprob& top : output.top) trace.logprobs.push_back(top.logprob);
      }
      trace.finish = output.finish;
    }
    loop.check_integrity();
    clock.advance(std::chrono::milliseconds(1));
  }
  for (const Trace& trace : traces) REQUIRE(trace.finish != Finish::none);
  const EngineStats end = loop.stats();
  REQUIRE(end.pages_free + end.pages_cached == end.pages_total);
  if (stats != nullptr) *stats = end;
  loop.clear_cache();
  loop.check_integrity();
  REQUIRE(loop.stats().pages_free == end.pages_total);
  return traces;
}

// Each job by itself in a fresh loop with everything in one step.
std::vector<Trace> run_alone(const std::vector<Job>& jobs, const MakeModel& make_model) {
  std::vector<Trace> traces;
  for (Job job : jobs) {
    job.arrives = 0;
    job.cancelled.reset();
    job.request.deadline = {};
    traces.push_back(run_jobs({job}, {.page_count = 8, .page_tokens = 16, .context = kContext},
                              make_model)[0]);
  }
  return traces;
}

struct Setting {
  const char* name;
  sched::SchedulerLimits limits;
};

const std::vector<Setting> kSettings{
    {"roomy", {.page_count = 400, .page_tokens = 16, .context = kContext}},
    {"pages of one token",
     {.page_count = 600, .page_tokens = 1, .max_running = 8, .context = kContext}},
    {"one token at a time",
     {.page_count = 200, .page_tokens = 4, .max_running = 1, .max_resident = 2,
      .prefill_batch_tokens = 1, .context = kContext}},
    {"famine",
     {.page_count = 14, .page_tokens = 4, .max_running = 6, .max_resident = 12,
      .prefill_batch_tokens = 16, .context = kContext}},
    {"famine with pages of one token",
     {.page_count = 60, .page_tokens = 1, .max_running = 16, .max_resident = 32,
      .prefill_batch_tokens = 7, .context = kContext}},
    {"crowd in few large pages",
     {.page_count = 5, .page_tokens = 32, .max_running = 32, .max_resident = 32,
      .prefill_batch_tokens = 5, .context = kContext}},
};

}  // namespace

void check_all_settings(const MakeModel& make_model, const HostileLoad& load) {
  for (uint64_t seed = 0; seed < load.seeds; ++seed) {
    const std::vector<Job> jobs = random_jobs(seed, load.requests, false);
    const std::vector<Trace> alone = run_alone(jobs, make_model);
    const std::vector<Job> troubled = [&] {
      std::vector<Job> with_ends = random_jobs(seed, load.requests, true);
      for (size_t i = 0; i < jobs.size(); ++i) {      // the same prompts, now with interruptions
        with_ends[i].request.prompt = jobs[i].request.prompt;
        with_ends[i].request.sampling = jobs[i].request.sampling;
        with_ends[i].request.max_tokens = jobs[i].request.max_tokens;
      }
      return with_ends;
    }();
    uint64_t preemptions = 0, evicted = 0, cached = 0;
    for (const Setting& setting : kSettings) {
      if (!load.only.empty() && !load.only.contains(setting.name)) continue;
      CAPTURE(seed);
      CAPTURE(setting.name);
      EngineStats stats;
      const std::vector<Trace> together = run_jobs(jobs, setting.limits, make_model, &stats);
      for (size_t i = 0; i < jobs.size(); ++i) {
        CAPTURE(i);
        CHECK(together[i] == alone[i]);
      }
      preemptions += stats.preemptions;
      evicted += stats.evicted_pages;
      cached += stats.prompt_tokens_cached;
      const std::vector<Trace> ended = run_jobs(troubled, setting.limits, make_model);
      for (size_t i = 0; i < jobs.size(); ++i) {
        CAPTURE(i);
        const Trace& got = ended[i];
        if (got.finish == Finish::length) CHECK(got == alone[i]);
        REQUIRE(got.tokens.size() <= alone[i].tokens.size());
        CHECK(std::equal(got.tokens.begin(), got.tokens.end(), alone[i].tokens.begin()));
      }
    }
    CHECK(preemptions > 0);           // the settings really hurt
    CHECK(evicted > 0);
    CHECK(cached > 0);
  }
}

}  // namespace swarm::test
