// tests/hostile/hostile_load.h — Requests that come, share, end early and are interrupted, against
// any model: whatever the setting of the scheduler, each request ends exactly once, gives the
// tokens and the bits of log-probabilities that it gives alone, and leaves no page behind.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "engine/model/transformer.h"
#include "engine/sched/scheduler.h"

namespace swarm::test {

// A model with pages and batches of these limits, at least 250 tokens in its vocabulary.
using MakeModel = std::function<std::unique_ptr<engine::model::Transformer>(
    const engine::sched::SchedulerLimits& limits)>;

struct HostileLoad {
  uint64_t seeds = 1;
  int requests = 32;
  std::set<std::string, std::less<>> only = {};    // settings by name; empty = all
};

void check_all_settings(const MakeModel& make_model, const HostileLoad& load);

}  // namespace swarm::test
