// tests/engine/grammar/validator.h — An independent judge: the valijson library (JSON Schema draft
// 7) behind one function. Its translation unit sees nlohmann/json with implicit conversions, so it
// includes nothing of ours.
#pragma once

#include <string>

namespace swarm::test {

// "" when text is JSON and valid against schema, else what is wrong. Duplicate keys pass.
std::string judge(const std::string& schema, const std::string& text);

}  // namespace swarm::test
