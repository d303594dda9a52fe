#include "agents/scripted_model.h"

#include <algorithm>
#include <boost/regex.hpp>
#include <exception>

#include "engine/base/check.h"

namespace swarm::agents {

ScriptedModel::~ScriptedModel() {
  if (std::uncaught_exceptions() > 0) return;
  const std::vector<std::string> left = problems();
  SWARM_CHECK(left.empty(), left.front());
}

ScriptedModel& ScriptedModel::then(Step step) {
  steps_.push_back(std::move(step));
  return *this;
}

ScriptedModel& ScriptedModel::say(std::string content, std::string label) {
  Step step;
  step.label = std::move(label);
  step.reply.content = std::move(content);
  return then(std::move(step));
}

ScriptedModel& ScriptedModel::call(std::vector<ToolCall> calls, std::string label) {
  Step step;
  step.label = std::move(label);
  step.reply.tool_calls = std::move(calls);
  step.reply.finish = FinishReason::tool_calls;
  return then(std::move(step));
}

ScriptedModel& ScriptedModel::fail(Error error, std::string label) {
  Step step;
  step.label = std::move(label);
  step.thrown = std::move(error);
  return then(std::move(step));
}

std::vector<std::string> ScriptedModel::problems() {
  std::vector<std::string> out = std::move(problems_);
  problems_.clear();
  for (const Step& step : steps_)
    out.push_back("a step was not used" + (step.label.empty() ? "" : " for " + step.label) +
                  (step.reply.content.empty() ? "" : ": " + step.reply.content));
  steps_.clear();
  return out;
}

std::optional<ScriptedModel::Step> ScriptedModel::take(const ModelRequest& request) {
  const std::string last = request.messages.empty() ? "" : request.messages.back().content;
  for (auto step = steps_.begin(); step != steps_.end(); ++step) {
    if (!step->label.empty() && step->label != request.label) continue;
    if (!step->pattern.empty() && !boost::regex_search(last, boost::regex(step->pattern))) continue;
    std::optional<Step> out(std::move(*step));
    steps_.erase(step);
    return out;
  }
  return std::nullopt;
}

void ScriptedModel::release(std::string_view context, std::span<const Message> comes_again) {
  released_.push_back({.context = std::string(context),
                       .comes_again = {comes_again.begin(), comes_again.end()},
                       .requests = requests_.size()});
}

Async<ModelReply> ScriptedModel::generate(ModelRequest request) {
  requests_.push_back(request);
  std::optional<Step> step = take(request);
  if (!step) {
    const std::string last = request.messages.empty() ? "" : request.messages.back().content;
    problems_.push_back("the script has no step for " + request.label + ": " + last);
    throw ErrorException(failed(problems_.back()));
  }
  struct Running {
    int& count;
    ~Running() { --count; }
  } running{++running_};
  running_max_ = std::max(running_max_, running_);
  if (step->before) co_await step->before();
  if (step->delay.count() > 0) {
    const Deadline due = Deadline::after(clock_, step->delay).earlier(request.deadline);
    co_await wait_until(clock_, due.when());
    if (request.deadline.passed(clock_.now())) {
      ModelReply late;
      late.finish = FinishReason::deadline;
      co_return late;
    }
  }
  if (step->thrown) throw ErrorException(*step->thrown);
  std::string& content = step->reply.content;
  if (content.empty())
    for (const std::string& chunk : step->chunks) content += chunk;
  if (step->chunks.empty() && !content.empty()) step->chunks.push_back(content);
  if (request.on_progress)
    for (const std::string& chunk : step->chunks)
      request.on_progress({.phase = Phase::decode, .text = chunk});
  co_return std::move(step->reply);
}

}  // namespace swarm::agents
