// orchestrator/cli/ask.h — Asking the person at the terminal for consent to a tool call.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "orchestrator/cli/typed_line.h"
#include "orchestrator/orchestrator.h"

namespace swarm::cli {

// Reads one line: y, yes, a, always; anything else means no, and so does the end of the input.
// shared: with others who ask the same person.
run::Ask make_ask(std::shared_ptr<Desk> desk);

// Two lines, whatever the model wrote: control characters are shown as \u escapes, long arguments
// are cut.
//   Clerk wants to call shell {"command":"ls"}
//   allow? y = yes, N = no, a = always in this run (rule: ask shell)
std::vector<std::string> question_lines(const run::Question& question);

}  // namespace swarm::cli
