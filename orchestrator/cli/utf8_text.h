// orchestrator/cli/utf8_text.h — Texts that models are shown: read whole, refused with the place
// where they are not UTF-8. Blocking; main thread.
#pragma once

#include <istream>
#include <string>

#include "engine/base/error.h"

namespace swarm::cli {

// As read_text(); path "-" reads `in`.
Result<std::string> read_utf8(const std::string& path, std::istream& in);

}  // namespace swarm::cli
