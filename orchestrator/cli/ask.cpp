#include "orchestrator/cli/ask.h"

#include <utility>

namespace swarm::cli {
namespace {

constexpr size_t kArgumentsMax = 300;

Async<run::Consent> ask(std::shared_ptr<Desk> desk, run::Question question) {
  const Desk::Turn turn = co_await desk->turn();
  for (const std::string& line : question_lines(question)) desk->show(line);
  const std::optional<std::string> typed = co_await desk->read();
  const std::string line = typed.value_or("");
  if (line == "a" || line == "A" || line == "always") co_return run::Consent::always;
  const bool yes = line == "y" || line == "Y" || line == "yes";
  co_return yes ? run::Consent::yes : run::Consent::no;
}

}  // namespace

std::vector<std::string> question_lines(const run::Question& question) {
  // JSON escapes control characters, so nothing a model writes moves the cursor.
  std::string arguments = question.arguments.dump(-1, ' ', /*ensure_ascii=*/true,
                                                  Json::error_handler_t::replace);
  if (arguments.size() > kArgumentsMax) {
    arguments.resize(kArgumentsMax);
    arguments += "...";
  }
  return {question.agent + " wants to call " + question.tool + " " + arguments,
          "allow? y = yes, N = no, a = always in this run (rule: " + question.rule + ")"};
}

run::Ask make_ask(std::shared_ptr<Desk> desk) {
  return [desk = std::move(desk)](run::Question question) {
    return ask(desk, std::move(question));
  };
}

}  // namespace swarm::cli
