// mcp/server/call.h — One call as a handler sees it: progress, log, questions to the client.
#pragma once

#include <map>
#include <string>

#include "mcp/server/service.h"

namespace swarm::mcp {

// Thrown through a handler of a modern call: the questions that have no answer yet.
struct NeedInput {
  std::map<std::string, Question> questions;
};

class Call final : public ServedCall {
 public:
  // params: of the request; about: what its state is bound to. Throws RpcException{invalid params}
  // for a state that is not ours.
  Call(const Service& service, RequestContext& context, const Json& params, std::string about);

  void progress(double value, std::optional<double> total, std::string message) override;
  void log(std::string_view level, Json data) override;
  bool client_offers(std::string_view capability) const override;
  Async<std::map<std::string, Json>> ask(std::map<std::string, Question> questions) override;
  std::string_view protocol_version() const override { return context_.version; }
  bool resumed() const override { return resumed_; }
  // Input that was given so far (2026-07-28).
  const std::map<std::string, Json>& answers() const { return answers_; }
  void hang_up(std::chrono::milliseconds retry) override { context_.reply->hang_up(retry); }

  // The result that asks: {"resultType": "input_required", ...}.
  Json input_required(const NeedInput& need) const;

 private:
  Async<Json> ask_legacy(Question question);
  void require(const Question& question) const;

  const Service& service_;
  RequestContext& context_;
  const std::string about_;
  Json token_;                     // progress token, null = none
  std::map<std::string, Json> answers_;
  bool resumed_ = false;
};

// Which capability of the client a question needs.
std::string capability_of(const std::string& method);
// Whether an answer has the shape its question calls for.
bool fits(const std::string& method, const Json& answer);

// [debug, info, notice, warning, error, critical, alert, emergency]; -1 = none of them.
int log_rank(std::string_view level);

}  // namespace swarm::mcp
