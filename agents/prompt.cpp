// The layout is a contract with the models trained on it: change no byte of it.
#include "agents/agent.h"
#include "agents/text.h"

namespace swarm::agents {
namespace {

std::string role_line(const std::string& name, const std::string& instructions) {
  return "Role: " + name + "." + (instructions.empty() ? "" : " " + instructions) + "\n";
}

std::vector<Message> two_messages(const std::string& protocol, const std::string& task,
                                  std::string user) {
  Message system, question;
  system.role = Role::system;
  system.content = protocol + "\nTask: " + task;
  question.role = Role::user;
  question.content = std::move(user);
  return {std::move(system), std::move(question)};
}

}  // namespace

std::vector<Message> worker_prompt(const PromptParts& parts) {
  return two_messages(parts.protocol, parts.task,
                      role_line(parts.name, parts.instructions) + "Memory:\n" + parts.memory +
                          "Goal: " + indented(parts.goal));
}

std::vector<Message> manager_prompt(const ManagerPromptParts& parts) {
  std::string user = role_line(parts.name, parts.instructions) + "Goals:";
  for (size_t i = 0; i < parts.goals.size(); ++i)
    user += "\n[" + std::to_string(i + 1) + "] " + indented(parts.goals[i]);
  user += "\nReports:";
  for (const Report& report : parts.reports)
    if (!report.text.empty())
      user += "\n[" + std::to_string(parts.goals.size()) + "] " + report.author + ": " +
              indented(report.text);
  return two_messages(parts.protocol, parts.task, std::move(user));
}

}  // namespace swarm::agents
