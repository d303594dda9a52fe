#include "orchestrator/run/guard.h"

#include <utility>

namespace swarm::run {

using tools::Verdict;

PolicyGuard::PolicyGuard(const tools::Policy& policy, config::Unattended unattended, Ask ask,
                         Recorder& recorder)
    : policy_(policy), unattended_(unattended), ask_(std::move(ask)), recorder_(recorder),
      turn_(1) {
  turn_.try_send(true);
}

Async<Consent> PolicyGuard::ask(Question question) {
  co_await turn_.receive();
  struct Turn {
    Channel<bool>& turns;
    ~Turn() { turns.try_send(true); }
  } turn{turn_};
  const std::string key = question.tool + "\n" + question.rule;
  if (always_.contains(key)) co_return Consent::always;  // said while this call waited
  const Consent consent = co_await ask_(std::move(question));
  if (consent == Consent::always) always_.insert(key);
  co_return consent;
}

Async<std::string> PolicyGuard::admit(const tools::ToolSpec& spec, const Json& arguments,
                                      const tools::ToolContext& context) {
  const tools::Decision decision = policy_.decide(spec, arguments);
  bool allowed = decision.verdict == Verdict::allow;
  std::string by;
  if (always_.contains(spec.name + "\n" + decision.rule)) {
    allowed = true;
    by = "person, always";
  } else if (decision.verdict == Verdict::ask && ask_) {
    Question question;
    question.agent = context.agent;
    question.tool = spec.name;
    question.rule = decision.rule;
    question.arguments = arguments;
    const Consent consent = co_await ask(std::move(question));
    allowed = consent != Consent::no;
    by = consent == Consent::always ? "person, always" : "person";
  } else if (decision.verdict == Verdict::ask) {
    allowed = unattended_ == config::Unattended::allow;
    by = "unattended";
  }
  Json data{{"agent", context.agent}, {"call_id", context.call_id}, {"tool", spec.name},
            {"allowed", allowed},     {"rule", decision.rule}};
  if (!by.empty()) data["by"] = by;
  recorder_.event("tool.policy", data);
  if (allowed) co_return "";
  if (by == "unattended" && unattended_ == config::Unattended::fail)
    throw ErrorException(failed("tool " + spec.name + " needs somebody's consent (" +
                                decision.rule + ") and nobody can be asked"));
  if (by == "person") co_return "not allowed: the user refused this call; do without it";
  if (by == "unattended")
    co_return "not allowed: it needs somebody's consent (" + decision.rule +
        ") and nobody can be asked; do without it";
  co_return "not allowed by the policy (" + decision.rule + "); do without it";
}

}  // namespace swarm::run
