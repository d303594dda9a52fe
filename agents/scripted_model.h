// agents/scripted_model.h — A model whose replies are written down beforehand: the double for tests
// and for rehearsing a swarm without weights. A request takes the oldest unused step whose label
// and pattern fit. A request without a fitting step throws ErrorException{failed}; it and every
// step that nobody used show up in problems(). One strand.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agents/model.h"
#include "engine/base/async/deadline.h"

namespace swarm::agents {

class ScriptedModel final : public Model {
 public:
  struct Step {
    std::string label = {};    // of the request; "" fits any
    std::string pattern = {};  // regular expression found in the last message; "" fits any
    ModelReply reply = {};
    std::vector<std::string> chunks = {};         // streamed, and the content if that is empty
    std::optional<Error> thrown = std::nullopt;   // thrown instead of replying
    std::chrono::nanoseconds delay{0};            // on the clock; the request's deadline cuts it
    std::function<Async<>()> before = nullptr;    // awaited first: order and cancellation tests
  };

  // clock outlives the model.
  explicit ScriptedModel(const Clock& clock = steady_clock()) : clock_(clock) {}
  // Checks that there are no problems (not while an exception unwinds).
  ~ScriptedModel() override;

  ScriptedModel& then(Step step);
  // A plain answer, for anybody or for one label.
  ScriptedModel& say(std::string content, std::string label = {});
  // A turn that calls tools.
  ScriptedModel& call(std::vector<ToolCall> calls, std::string label = {});
  ScriptedModel& fail(Error error, std::string label = {});

  Async<ModelReply> generate(ModelRequest request) override;
  void release(std::string_view context, std::span<const Message> comes_again) override;
  std::string_view name() const override { return "scripted"; }

  const std::vector<ModelRequest>& requests() const { return requests_; }
  struct Released {
    std::string context;
    std::vector<Message> comes_again;
    size_t requests;           // so many had been made before it
  };
  const std::vector<Released>& released() const { return released_; }
  int running() const { return running_; }
  int running_max() const { return running_max_; }

  // What went wrong so far, unused steps included. Reading acknowledges it.
  std::vector<std::string> problems();

 private:
  std::optional<Step> take(const ModelRequest& request);

  const Clock& clock_;
  std::deque<Step> steps_;
  std::vector<ModelRequest> requests_;
  std::vector<Released> released_;
  std::vector<std::string> problems_;
  int running_ = 0;
  int running_max_ = 0;
};

}  // namespace swarm::agents
