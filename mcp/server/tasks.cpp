#include "mcp/server/tasks.h"

#include <chrono>
#include <ctime>

#include "engine/base/async/deadline.h"
#include "mcp/auth/crypto.h"
#include "mcp/message/json_member.h"
#include "mcp/message/rpc_error.h"
#include "mcp/message/versions.h"
#include "mcp/server/call.h"

namespace swarm::mcp {
namespace {

constexpr size_t kTasksMax = 1000;          // running and remembered
constexpr int kPollMs = 250;
constexpr size_t kMessageMax = 500;

std::string now_text() {
  const auto now = steady_clock().wall().time_since_epoch();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  const std::time_t seconds = ms / 1000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  const size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.", &parts);
  std::string fraction = std::to_string(ms % 1000);
  fraction.insert(0, 3 - fraction.size(), '0');
  return std::string(text, length) + fraction + "Z";
}

}  // namespace

struct Tasks::Task {
  std::string id, status = "working", message, created, updated;
  Json capabilities;
  std::optional<Json> result, error;
  std::map<std::string, Question> asked;    // without an answer
  std::map<std::string, Json> answers;
  Channel<bool> news{1};                    // an answer came
  Channel<bool> stop{0};
  std::optional<TimePoint> expires;         // of one that has ended
};

// The call as its handler sees it when nobody waits for it.
class Tasks::TaskCall final : public ServedCall {
 public:
  TaskCall(Tasks& tasks, std::shared_ptr<Task> task) : tasks_(tasks), task_(std::move(task)) {}

  void progress(double, std::optional<double>, std::string message) override {
    if (message.empty() || task_->expires) return;
    message.resize(std::min(message.size(), kMessageMax));
    task_->message = std::move(message);
    tasks_.change(*task_, task_->status.c_str());
  }
  void log(std::string_view, Json) override {}
  bool client_offers(std::string_view capability) const override {
    return task_->capabilities.contains(std::string(capability));
  }
  std::string_view protocol_version() const override { return kModernVersion; }
  bool resumed() const override { return false; }
  void hang_up(std::chrono::milliseconds) override {}

  Async<std::map<std::string, Json>> ask(std::map<std::string, Question> questions) override {
    std::map<std::string, Json> out;
    for (const auto& [key, question] : questions) {
      const auto known = task_->answers.find(key);
      if (known != task_->answers.end() && fits(question.method, known->second)) continue;
      if (!client_offers(capability_of(question.method)))
        throw ErrorException(
            failed("the client does not offer " + capability_of(question.method)));
      task_->asked[key] = question;
    }
    if (!task_->asked.empty()) tasks_.change(*task_, "input_required");
    while (!task_->asked.empty()) co_await task_->news.receive();
    if (task_->status == "input_required") tasks_.change(*task_, "working");
    for (const auto& [key, question] : questions) out[key] = task_->answers[key];
    co_return out;
  }

 private:
  Tasks& tasks_;
  const std::shared_ptr<Task> task_;        // outlives a forgotten entry
};

// ---- Life.

void Tasks::forget_old() {
  const TimePoint now = steady_clock().now();
  std::erase_if(tasks_, [&](const auto& entry) {
    return entry.second->expires && *entry.second->expires < now;
  });
}

bool Tasks::can_start() {
  forget_old();
  return nursery_ != nullptr && tasks_.size() < kTasksMax;
}

Json Tasks::start(Work work, Json capabilities, std::map<std::string, Json> answers) {
  const auto task = std::make_shared<Task>();
  task->id = random_token(24);
  task->created = task->updated = now_text();
  task->capabilities = std::move(capabilities);
  task->answers = std::move(answers);
  tasks_[task->id] = task;
  nursery_->start([this, task, work]() -> Async<> { co_await run(task, work); });
  Json out = show(*task);
  out["resultType"] = "task";
  return out;
}

Async<> Tasks::run(std::shared_ptr<Task> task, Work work) {
  co_await with_nursery([&](Nursery& nursery) -> Async<> {
    nursery.start([&]() -> Async<> { co_await work_on(task, work); });
    co_await task->stop.receive();
    nursery.cancel();
  });
  if (!task->expires) {                     // it was cancelled
    task->asked.clear();
    task->expires = steady_clock().now() + kTaskTtl;
    change(*task, "cancelled");
  }
}

Async<> Tasks::work_on(std::shared_ptr<Task> task, Work work) {
  TaskCall call(*this, task);
  try {
    Json result = co_await work(call);
    task->result = std::move(result);
  } catch (const RpcException& e) {
    const int code = e.details().code != 0 ? e.details().code : kInternalError;
    task->error = Json{{"code", code}, {"message", e.details().text}};
  } catch (const ErrorException& e) {
    if (e.error().kind == ErrorKind::cancelled) throw;
    Json result = Json::object();
    result["content"] = Json::array({Json{{"type", "text"}, {"text", e.error().message}}});
    result["isError"] = true;
    task->result = std::move(result);
  }
  task->expires = steady_clock().now() + kTaskTtl;
  change(*task, task->error ? "failed" : "completed");
  task->stop.close();
}

void Tasks::change(Task& task, const char* status) {
  task.status = status;
  task.updated = now_text();
  listener_(task.id, show(task));
}

Json Tasks::show(const Task& task) {
  Json out = Json::object();
  out["taskId"] = task.id;
  out["status"] = task.status;
  if (!task.message.empty()) out["statusMessage"] = task.message;
  out["createdAt"] = task.created;
  out["lastUpdatedAt"] = task.updated;
  out["ttlMs"] = kTaskTtl.count();
  out["pollIntervalMs"] = kPollMs;
  if (task.result) out["result"] = *task.result;
  if (task.error) out["error"] = *task.error;
  for (const auto& [key, question] : task.asked) {
    out["inputRequests"][key]["method"] = question.method;
    if (question.params.is_object()) out["inputRequests"][key]["params"] = question.params;
  }
  return out;
}

// ---- What clients ask.

std::shared_ptr<Tasks::Task> Tasks::find(const Json& params) {
  forget_old();
  const auto found = tasks_.find(text_member(params, "taskId"));
  if (found == tasks_.end()) refuse(kInvalidParams, "unknown task");
  return found->second;
}

Json Tasks::get(const Json& params) { return show(*find(params)); }

Json Tasks::update(const Json& params) {
  const auto task = find(params);
  const Json responses = object_member(params, "inputResponses");
  for (const auto& [key, answer] : responses.items()) {
    const auto asked = task->asked.find(key);
    if (asked == task->asked.end() || !fits(asked->second.method, answer)) continue;
    task->answers[key] = answer;
    task->asked.erase(asked);
  }
  task->news.try_send(true);
  return Json::object();
}

Json Tasks::cancel(const Json& params) {
  find(params)->stop.close();
  return Json::object();
}

}  // namespace swarm::mcp
