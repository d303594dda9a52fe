// orchestrator/cli/elicit.h — What an MCP server wants to know of the person at the terminal: a
// form, asked field by field, or a page to be opened. Nothing is sent without a yes in the end, and
// no page is opened or fetched by us. What the server wrote is shown without control characters.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "orchestrator/cli/typed_line.h"
#include "orchestrator/orchestrator.h"

namespace swarm::cli {

// Words "/decline" and "/cancel" end the form; so does the end of the input, as cancel.
// shared: with others who ask the same person.
run::Elicit make_elicit(std::shared_ptr<Desk> desk);

// What a field is asked with: "  age (integer, 0 to 120, required): how old".
std::string field_line(const std::string& name, const Json& schema, bool required);
// What was typed as a value of the field; the error says what was expected. Choices may be typed by
// their value, their title or their number from 1; several with commas.
Result<Json> field_value(const Json& schema, const std::string& typed);

// A page that should be opened: its address with what is not ASCII escaped, its host, and what
// should make one hesitate.
std::vector<std::string> url_lines(const std::string& url);

}  // namespace swarm::cli
