// orchestrator/cli/token_counter.h — How many tokens a text has, by the tokenizer of a model file.
// Defined beside the command that shows the tokens themselves. Any thread.
#pragma once

#include <string>

#include "agents/agent.h"

namespace swarm::cli {

// Reads the head and the vocabulary of the file, no weights. Empty where there is no such file, or
// none with a tokenizer.
agents::TokenCounter open_token_counter(const std::string& model);

}  // namespace swarm::cli
