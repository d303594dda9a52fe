// Calls that go on after they were answered (tasks), and skills: the extensions of 2026-07-28.
#include <algorithm>
#include <set>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "mcp/client/core.h"
#include "mcp/client/skills.h"
#include "mcp/message/json_member.h"

namespace swarm::mcp {
namespace {

using std::chrono::milliseconds;

constexpr int64_t kPollMinMs = 20, kPollMaxMs = 30000, kPollMs = 1000;
constexpr int kFailuresMax = 3;              // polls in a row without an answer
constexpr milliseconds kCancelMax{2000};

// "pollInterval" in 2025-11-25.
milliseconds poll_interval(const Json& task) {
  auto told = task.find("pollIntervalMs");
  if (told == task.end()) told = task.find("pollInterval");
  const bool usable = told != task.end() && told->is_number_integer();
  return milliseconds(std::clamp(usable ? told->get<int64_t>() : kPollMs, kPollMinMs, kPollMaxMs));
}

Json with_task_id(const std::string& id) {
  Json out = Json::object();
  out["taskId"] = id;
  return out;
}

}  // namespace

// 2025-11-25: some tools want to be called as tasks, and only so.
bool Core::needs_legacy_task(const std::string& tool) const {
  if (dialect_ != Dialect::legacy) return false;
  const Json requests = object_member(object_member(capabilities_, "tasks"), "requests");
  if (!object_member(requests, "tools").contains("call")) return false;
  const auto known = known_tools_.find(tool);
  return known != known_tools_.end() &&
         text_member(object_member(known->second.definition, "execution"), "taskSupport") ==
             "required";
}

// A task that nobody waits for any more is cancelled. In 2025-11-25 it stands under "task".
Async<Json> Core::follow_task(Json created, CallOptions options) {
  Followed task;
  task.legacy = dialect_ == Dialect::legacy;
  if (task.legacy) created = object_member(created, "task");
  task.id = text_member(created, "taskId");
  task.options = std::move(options);
  task.shown = std::move(created);
  task.heard = steady_clock().now();
  if (task.id.empty())
    throw ErrorException(peer_->about(ErrorKind::environment, "a task without an id"));
  const auto follow = [&]() -> Async<> {
    while (!task.over) co_await poll_task(task);
  };
  const auto abandon = [&]() -> Async<> {
    if (!task.over) co_await cancel_task(task.id);
  };
  co_await with_cleanup(follow, abandon);
  co_return std::move(task.result);
}

Async<> Core::poll_task(Followed& task) {
  const TimePoint due = steady_clock().now() + poll_interval(task.shown);
  Deadline deadline = task.options.deadline;
  const milliseconds idle = task.options.idle_timeout;
  if (idle.count() > 0) deadline = deadline.earlier(Deadline::at(task.heard + idle));
  const bool late = deadline.passed(due);
  co_await wait_until(steady_clock(), late ? deadline.when() : due);
  if (late)
    throw ErrorException(peer_->about(
        ErrorKind::timeout, task.options.deadline.passed(deadline.when())
                                ? "the task did not end in time"
                                : "no progress of the task for " + std::to_string(idle.count()) +
                                      " ms"));
  CallOptions options;
  options.deadline = task.options.deadline.earlier(
      Deadline::after(steady_clock(), config_.call_timeout));
  try {
    task.shown = co_await send("tasks/get", with_task_id(task.id), options);
    task.failures = 0;
  } catch (const RpcException& e) {
    if (e.details().http_status < 500 || ++task.failures > kFailuresMax) throw;
    co_return;
  } catch (const ErrorException& e) {
    const bool hopeless = e.error().kind == ErrorKind::cancelled || !peer_->gone().empty();
    if (hopeless || ++task.failures > kFailuresMax) throw;
    co_return;
  }
  report_task(task);
  const std::string status = text_member(task.shown, "status");
  if (task.legacy) co_return co_await take_outcome(task, status);
  if (status == "input_required") co_await answer_task(task);
  if (status == "working" || status == "input_required") co_return;
  task.over = true;
  if (status == "completed" && task.shown.contains("result")) {
    task.result = task.shown.at("result");
    co_return;
  }
  if (status == "failed") {
    const Json error = object_member(task.shown, "error");
    RpcError details;
    if (error.contains("code") && error.at("code").is_number_integer())
      details.code = error.at("code").get<int>();
    details.text = error_text(error);
    throw RpcException(peer_->about(ErrorKind::environment, details.text), details);
  }
  throw ErrorException(peer_->about(ErrorKind::environment, "the task ended with status \"" +
                                                                status + "\""));
}

// 2025-11-25: tasks/result waits for the end; what the server wants to know meanwhile comes as
// requests of its own.
Async<> Core::take_outcome(Followed& task, const std::string& status) {
  if (status == "working") co_return;
  if (status == "cancelled") {
    task.over = true;
    throw ErrorException(peer_->about(ErrorKind::environment, "the task was cancelled"));
  }
  CallOptions options;
  options.deadline = task.options.deadline;
  task.result = co_await send("tasks/result", with_task_id(task.id), options);
  task.over = true;
}

// What it is doing now counts as progress, and so does a question.
void Core::report_task(Followed& task) const {
  const std::string message = text_member(task.shown, "statusMessage");
  if (text_member(task.shown, "status") == "input_required") task.heard = steady_clock().now();
  if (message.empty() || message == task.said) return;
  task.said = message;
  task.heard = steady_clock().now();
  if (!task.options.on_progress) return;
  Progress progress;
  progress.progress = ++task.steps;
  progress.message = message;
  task.options.on_progress(progress);
}

// Each question is answered once, however often it is shown.
Async<> Core::answer_task(Followed& task) {
  Json open = Json::object();
  const Json asked = object_member(task.shown, "inputRequests");
  for (const auto& [key, question] : asked.items())
    if (task.answered.insert(key).second) open[key] = question;
  if (open.empty()) co_return;
  Json params = with_task_id(task.id);
  params["inputResponses"] = co_await answer_inputs(std::move(open));
  CallOptions options;
  options.deadline = task.options.deadline;
  co_await send("tasks/update", std::move(params), options);
}

Async<> Core::cancel_task(std::string id) {
  CallOptions options;
  options.deadline = Deadline::after(steady_clock(), kCancelMax);
  try {
    co_await send("tasks/cancel", with_task_id(id), options);
  } catch (const ErrorException& e) {
    log_.debug("mcp.task.cancel", {{"server", config_.name}, {"why", e.error().message}});
  }
}

// ---- Skills: nothing is read before it is wanted, and nothing is used that was not verified.

Async<std::string> Core::read_skill(Json entry, std::string uri) {
  const auto self = shared_from_this();
  const std::string main = text_member(entry, "uri");
  if (uri.empty()) uri = main;
  if (refused_skills_.contains(main))
    throw ErrorException(peer_->about(ErrorKind::environment,
                                      "skill " + main + " was refused before"));
  if (uri != main && !loaded_skills_.contains(main)) co_await read_skill(entry, main);
  Json params = Json::object();
  params["uri"] = uri;
  const Json result = co_await call("resources/read", std::move(params));
  auto bytes = resource_bytes(result);
  const auto verified = bytes ? verify_skill_file(entry, uri, *bytes)
                              : Result<void>(bytes.error());
  if (!verified) {
    refused_skills_.insert(main);
    loaded_skills_.erase(main);
    throw ErrorException(peer_->about(ErrorKind::environment, verified.error().message));
  }
  if (uri == main) loaded_skills_.insert(main);
  co_return std::move(*bytes);
}

}  // namespace swarm::mcp
