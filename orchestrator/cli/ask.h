// orchestrator/cli/ask.h — Asking the person at the terminal for consent to a tool call.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "orchestrator/orchestrator.h"

namespace swarm::cli {

// Asks through show() and reads one line from standard input: y, yes, a, always; anything else
// means no, and so does the end of the input. What was typed before the question answers nothing.
// Cancelling a question leaves the terminal as it was.
// answered: called after each line that was read.
run::Ask make_ask(std::function<void(const std::string& line)> show,
                  std::function<void()> answered);

// Two lines, whatever the model wrote: control characters are shown as \u escapes, long arguments
// are cut.
//   Clerk wants to call shell {"command":"ls"}
//   allow? y = yes, N = no, a = always in this run (rule: ask shell)
std::vector<std::string> question_lines(const run::Question& question);

}  // namespace swarm::cli
