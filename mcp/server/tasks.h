// mcp/server/tasks.h — Calls that go on after their request was answered (extension
// io.modelcontextprotocol/tasks). A task is known by a random id, keeps its outcome for kTaskTtl
// after its end, and may ask its client for input in between. One strand.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "engine/base/async/channel.h"
#include "engine/base/async/nursery.h"
#include "engine/base/clock.h"
#include "mcp/serve.h"

namespace swarm::mcp {

inline constexpr std::chrono::milliseconds kTaskTtl{60 * 60 * 1000};

class Tasks {
 public:
  // What a task does with its call; the result of tools/call.
  using Work = std::function<Async<Json>(ServedCall& call)>;
  // Told of every change with the task as tasks/get shows it.
  using Listener = std::function<void(const std::string& id, const Json& task)>;

  explicit Tasks(Listener listener) : listener_(std::move(listener)) {}

  // Where tasks run; null = none can be started. Tasks end with it.
  void run_in(Nursery* nursery) { nursery_ = nursery; }
  bool can_start();

  // The answer to tools/call: resultType "task". capabilities: of the client. answers: input that
  // was given before.
  Json start(Work work, Json capabilities, std::map<std::string, Json> answers);
  // Each throws RpcException{invalid params} for an id that is not known (any more).
  Json get(const Json& params);
  Json update(const Json& params);
  Json cancel(const Json& params);

 private:
  struct Task;
  class TaskCall;

  std::shared_ptr<Task> find(const Json& params);
  Async<> run(std::shared_ptr<Task> task, Work work);
  Async<> work_on(std::shared_ptr<Task> task, Work work);
  void change(Task& task, const char* status);
  void forget_old();
  static Json show(const Task& task);

  const Listener listener_;
  Nursery* nursery_ = nullptr;
  std::map<std::string, std::shared_ptr<Task>> tasks_;  // shared with their coroutines
};

}  // namespace swarm::mcp
