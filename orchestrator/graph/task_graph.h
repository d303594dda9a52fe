// orchestrator/graph/task_graph.h — Which task may run next: a state machine. Tasks are indices
// in declaration order; the graph is acyclic (checked when a file is loaded, and here).
// A task whose join can no longer be met is skipped, and so on downstream.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace swarm::graph {

// When a task may begin, given the tasks it waits for. Without any it begins at once.
enum class Join : uint8_t {
  all,     // all succeeded; skipped as soon as one cannot
  any,     // one succeeded; skipped when all have ended without
  always,  // all have ended, whatever came of them
};

enum class State : uint8_t { waiting, running, succeeded, failed, skipped };
std::string_view to_string(State state);

struct TaskSpec {
  std::vector<int32_t> after;
  Join join = Join::all;
};

class TaskGraph {
 public:
  explicit TaskGraph(std::vector<TaskSpec> tasks);

  // Tasks that may begin now, in declaration order. They stay waiting until start().
  std::vector<int32_t> ready() const;
  void start(int32_t task);
  // The task has ended; everything that thereby becomes impossible is skipped.
  void finish(int32_t task, bool succeeded);

  State state(int32_t task) const { return states_[static_cast<size_t>(task)]; }
  int32_t size() const { return static_cast<int32_t>(tasks_.size()); }
  bool done() const;  // nothing waits and nothing runs

 private:
  enum class Verdict : uint8_t { wait, go, never };
  Verdict verdict(int32_t task) const;
  void skip_impossible();

  std::vector<TaskSpec> tasks_;
  std::vector<State> states_;
};

}  // namespace swarm::graph
