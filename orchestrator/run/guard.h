// orchestrator/run/guard.h — The policy of a run at work: every tool call is decided when it is
// made and the decision is in the journal, with the rule, before the call has an effect. One
// strand; outlives the registry that asks it.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "engine/base/async/channel.h"
#include "orchestrator/config/config.h"
#include "orchestrator/run/recorder.h"
#include "tools/policy.h"

namespace swarm::run {

// A call that a person is asked about.
struct Question {
  std::string agent, tool, rule;
  Json arguments;
};
// always: also the later calls of this tool that come under the same rule, until the run ends.
enum class Consent : uint8_t { no, yes, always };
// Asked one at a time. Empty: there is nobody to ask.
using Ask = std::function<Async<Consent>(Question question)>;

class PolicyGuard final : public tools::Guard {
 public:
  // policy and recorder outlive the guard.
  PolicyGuard(const tools::Policy& policy, config::Unattended unattended, Ask ask,
              Recorder& recorder);
  // Throws ErrorException{failed} where nobody can be asked and the file says `unattended: fail`.
  Async<std::string> admit(const tools::ToolSpec& spec, const Json& arguments,
                           const tools::ToolContext& context) override;

 private:
  Async<Consent> ask(Question question);

  const tools::Policy& policy_;
  const config::Unattended unattended_;
  const Ask ask_;
  Recorder& recorder_;
  Channel<bool> turn_;
  std::set<std::string> always_;   // tool and rule
};

}  // namespace swarm::run
