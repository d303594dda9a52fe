#include "mcp/server/call.h"

#include <algorithm>
#include <array>

#include "engine/base/async/deadline.h"

namespace swarm::mcp {
namespace {

constexpr std::array<std::string_view, 8> kLevels{"debug", "info",     "notice", "warning",
                                                  "error", "critical", "alert",  "emergency"};

}  // namespace

std::string capability_of(const std::string& method) {
  if (method == "elicitation/create") return "elicitation";
  if (method == "sampling/createMessage") return "sampling";
  return "roots";
}

bool fits(const std::string& method, const Json& answer) {
  if (!answer.is_object()) return false;
  if (method == "elicitation/create") {
    const auto action = answer.find("action");
    if (action == answer.end()) return false;
    const bool known = *action == "accept" || *action == "decline" || *action == "cancel";
    const auto content = answer.find("content");
    return known && (content == answer.end() || content->is_object());
  }
  if (method == "roots/list") return answer.contains("roots") && answer.at("roots").is_array();
  return answer.contains("role") && answer.contains("content");
}

int log_rank(std::string_view level) {
  const auto found = std::find(kLevels.begin(), kLevels.end(), level);
  return found == kLevels.end() ? -1 : static_cast<int>(found - kLevels.begin());
}

Call::Call(const Service& service, RequestContext& context, const Json& params, std::string about)
    : service_(service), context_(context), about_(std::move(about)) {
  const auto meta = params.find("_meta");
  if (meta != params.end() && meta->is_object() && meta->contains("progressToken"))
    token_ = meta->at("progressToken");
  if (!context.modern) return;
  if (const auto state = params.find("requestState"); state != params.end()) {
    const auto opened = state->is_string()
                            ? service.seal().open(state->get<std::string>(), about_)
                            : std::nullopt;
    if (!opened) refuse(kInvalidParams, "requestState is not valid for this call");
    resumed_ = true;
    for (const auto& [key, answer] : opened->items()) answers_[key] = answer;
  }
  const auto responses = params.find("inputResponses");
  if (responses != params.end() && responses->is_object())
    for (const auto& [key, answer] : responses->items()) answers_[key] = answer;
}

void Call::progress(double value, std::optional<double> total, std::string message) {
  if (token_.is_null()) return;
  Json params = Json::object();
  params["progressToken"] = token_;
  params["progress"] = value;
  if (total) params["total"] = *total;
  if (!message.empty()) params["message"] = std::move(message);
  context_.reply->send(encode_notification("notifications/progress", params));
}

void Call::log(std::string_view level, Json data) {
  const std::string threshold = context_.session ? context_.session->log_level
                                                 : context_.log_level.value_or("");
  if (threshold.empty() || log_rank(level) < log_rank(threshold)) return;
  Json params = Json::object();
  params["level"] = level;
  params["logger"] = service_.served().name;
  params["data"] = std::move(data);
  context_.reply->send(encode_notification("notifications/message", params));
}

bool Call::client_offers(std::string_view capability) const {
  return context_.capabilities.contains(std::string(capability));
}

void Call::require(const Question& question) const {
  const std::string capability = capability_of(question.method);
  if (client_offers(capability)) return;
  if (!context_.modern) refuse(kInvalidParams, "the client does not offer " + capability);
  Json data = Json::object();
  data["requiredCapabilities"][capability] = Json::object();
  refuse(kMissingCapability, "the client does not offer " + capability, std::move(data), 400);
}

Async<std::map<std::string, Json>> Call::ask(std::map<std::string, Question> questions) {
  std::map<std::string, Json> out;
  NeedInput need;
  for (const auto& [key, question] : questions) {
    const auto known = answers_.find(key);
    if (known != answers_.end() && fits(question.method, known->second)) {
      out[key] = known->second;
      continue;
    }
    require(question);
    if (context_.modern) {
      need.questions[key] = question;
    } else {
      out[key] = co_await ask_legacy(question);
    }
  }
  if (!need.questions.empty()) throw need;
  co_return out;
}

Async<Json> Call::ask_legacy(Question question) {
  const std::shared_ptr<LegacySession> session = context_.session;
  const int64_t id = ++session->last_asked;
  const auto gate = std::make_shared<Channel<Json>>(1);  // shared with the table
  session->asked[id] = gate;
  struct Entry {
    LegacySession& session;
    int64_t id;
    ~Entry() { session.asked.erase(id); }
  } entry{*session, id};
  context_.reply->send(encode_request(id, question.method, question.params));
  const Deadline deadline = Deadline::after(steady_clock(), service_.options().ask_timeout);
  const std::optional<Json> message = co_await with_deadline(gate->receive(), deadline);
  if (!message) throw ErrorException(failed("the client left before it answered"));
  if (message->contains("error"))
    throw ErrorException(failed("the client refused: " + error_text(message->at("error"))));
  co_return message->at("result");
}

Json Call::input_required(const NeedInput& need) const {
  Json state = Json::object();
  for (const auto& [key, answer] : answers_) state[key] = answer;
  for (const auto& [key, question] : need.questions) state.erase(key);  // those are asked again
  Json requests = Json::object();
  for (const auto& [key, question] : need.questions) {
    requests[key]["method"] = question.method;
    if (question.params.is_object()) requests[key]["params"] = question.params;
  }
  Json out = Json::object();
  out["resultType"] = "input_required";
  out["inputRequests"] = std::move(requests);
  out["requestState"] = service_.seal().close(state, about_);
  return out;
}

}  // namespace swarm::mcp
