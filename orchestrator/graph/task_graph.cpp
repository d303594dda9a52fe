#include "orchestrator/graph/task_graph.h"

#include <algorithm>

#include "engine/base/check.h"

namespace swarm::graph {
namespace {

bool ended(State state) {
  return state == State::succeeded || state == State::failed || state == State::skipped;
}

}  // namespace

std::string_view to_string(State state) {
  switch (state) {
    case State::waiting: return "waiting";
    case State::running: return "running";
    case State::succeeded: return "succeeded";
    case State::failed: return "failed";
    case State::skipped: return "skipped";
  }
  return "unknown";
}

TaskGraph::TaskGraph(std::vector<TaskSpec> tasks)
    : tasks_(std::move(tasks)), states_(tasks_.size(), State::waiting) {
  // Kahn's rule: a graph that cannot be emptied has a cycle.
  std::vector<bool> removed(tasks_.size(), false);
  for (size_t pass = 0; pass < tasks_.size(); ++pass)
    for (size_t i = 0; i < tasks_.size(); ++i)
      removed[i] = removed[i] || std::all_of(tasks_[i].after.begin(), tasks_[i].after.end(),
                                             [&](int32_t before) {
                                               SWARM_CHECK(before >= 0 && before < size(), before);
                                               return removed[static_cast<size_t>(before)];
                                             });
  SWARM_CHECK(std::all_of(removed.begin(), removed.end(), [](bool gone) { return gone; }));
}

TaskGraph::Verdict TaskGraph::verdict(int32_t task) const {
  const TaskSpec& spec = tasks_[static_cast<size_t>(task)];
  size_t succeeded = 0, over = 0;
  for (int32_t before : spec.after) {
    succeeded += state(before) == State::succeeded;
    over += ended(state(before));
  }
  const size_t count = spec.after.size();
  switch (spec.join) {
    case Join::all:
      if (succeeded == count) return Verdict::go;
      return over > succeeded ? Verdict::never : Verdict::wait;
    case Join::any:
      if (count == 0 || succeeded > 0) return Verdict::go;
      return over == count ? Verdict::never : Verdict::wait;
    case Join::always: return over == count ? Verdict::go : Verdict::wait;
  }
  return Verdict::wait;
}

std::vector<int32_t> TaskGraph::ready() const {
  std::vector<int32_t> out;
  for (int32_t task = 0; task < size(); ++task)
    if (state(task) == State::waiting && verdict(task) == Verdict::go) out.push_back(task);
  return out;
}

void TaskGraph::start(int32_t task) {
  SWARM_CHECK(state(task) == State::waiting, task);
  SWARM_CHECK(verdict(task) == Verdict::go, task);
  states_[static_cast<size_t>(task)] = State::running;
}

void TaskGraph::finish(int32_t task, bool succeeded) {
  SWARM_CHECK(state(task) == State::running, task);
  states_[static_cast<size_t>(task)] = succeeded ? State::succeeded : State::failed;
  skip_impossible();
}

void TaskGraph::skip_impossible() {
  bool changed = true;
  while (changed) {
    changed = false;
    for (int32_t task = 0; task < size(); ++task) {
      if (state(task) != State::waiting || verdict(task) != Verdict::never) continue;
      states_[static_cast<size_t>(task)] = State::skipped;
      changed = true;
    }
  }
}

bool TaskGraph::done() const { return std::all_of(states_.begin(), states_.end(), ended); }

}  // namespace swarm::graph
