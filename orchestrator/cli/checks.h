// orchestrator/cli/checks.h — What the value of an option may be. A wrong value is refused while
// the command line is read, in the words of the option: what was expected, what was found.
// Pure functions of an option that somebody else owns; main thread.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/error.h"

namespace CLI {
class Option;
}

namespace swarm::cli {

// Every value of the option is an integer from least to most; returns the option.
CLI::Option* expect_whole(CLI::Option* option, int64_t least, int64_t most);
// The same for 64 bits without sign, such as a seed.
CLI::Option* expect_seed(CLI::Option* option);
// A finite number, also with a bound.
CLI::Option* expect_number(CLI::Option* option,
                           double least = std::numeric_limits<double>::lowest(),
                           double most = std::numeric_limits<double>::max());
// A word and what the option takes for it; small and capital letters are the same.
CLI::Option* expect_one_of(CLI::Option* option,
                           std::vector<std::pair<std::string, std::string>> values);

// Messages about a field ("engine.k_type: ...", "top_p: ...") in the words of the command line:
// what people wrote there was a flag.
Error in_flags(Error error);

// Control characters made visible: text from files and arguments never moves the cursor. Line ends
// and tabs stay.
std::string visible(std::string_view text);

}  // namespace swarm::cli
