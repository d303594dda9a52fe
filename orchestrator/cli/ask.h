// orchestrator/cli/ask.h — Asking the person at the terminal for consent to a tool call.
#pragma once

#include <functional>
#include <string>

#include "orchestrator/orchestrator.h"

namespace swarm::cli {

// Asks through show() and reads one line from standard input; anything but yes means no. The end of
// the input means no. Cancelling a question leaves the terminal as it was.
run::Ask make_ask(std::function<void(const std::string& line)> show);

// "Clerk wants to call shell {"command":"ls"} (ask shell): allow? [y/N]": one line whatever the
// model wrote: control characters are shown as \u escapes, long arguments are cut.
std::string question_text(const run::Question& question);

}  // namespace swarm::cli
