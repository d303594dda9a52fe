// orchestrator/cli/chat_input.h — Messages and tools as people keep them in files, in the form of
// the OpenAI chat API: [{"role", "content", "tool_calls": [{"function": {"name", "arguments"}}]}]
// and [{"type": "function", "function": {"name", "description", "parameters"}}]; the inner object
// alone is accepted too. Pure functions; errors name the place ("messages[2].role").
#pragma once

#include <string>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/json.h"
#include "engine/chat.h"

namespace swarm::cli {

// name: what error locations call the text.
Result<std::vector<engine::ChatMessage>> parse_messages(const std::string& text,
                                                        const std::string& name);
Result<std::vector<engine::ChatTool>> parse_tools(const std::string& text,
                                                  const std::string& name);
Json calls_json(const std::vector<engine::ChatToolCall>& calls);

}  // namespace swarm::cli
